package translate

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"
)

// keys are the members that sluice acts on, each with values it may have.
var keys = map[string][2]string{
	"model": {`"a"`, `"b"`}, "stream": {`true`, `false`}, "stream_options": {`{}`, `null`}, "n": {`1`, `100`},
	"max_tokens": {`1`, `2`}, "max_completion_tokens": {`1`, `2`}, "max_output_tokens": {`1`, `2`},
	"stream_options.include_usage": {`true`, `false`}, "stream_options.continuous_usage_stats": {`null`, `true`},
}

// bodyWith is a request that has these members as well, on the level of param.
func bodyWith(param string, members ...string) string {
	if strings.HasPrefix(param, "stream_options.") {
		return `{"model":"m","stream":true,"stream_options":{"x":1,` + strings.Join(members, ",") + `}}`
	}
	all := slices.Concat([]string{`"x":{"model":1}`}, members)
	if param != "model" {
		all = append(all, `"model":"m"`)
	}
	return "{" + strings.Join(all, ",") + "}"
}

// escapedSpellings are names that every parser reads as this one.
func escapedSpellings(name string) []string {
	spell := func(pick func(i int) string) string {
		var b strings.Builder
		for i := range len(name) {
			if format := pick(i); format != "" {
				fmt.Fprintf(&b, format, name[i])
			} else {
				b.WriteByte(name[i])
			}
		}
		return b.String()
	}
	spellings := []string{
		spell(func(int) string { return `\u%04x` }),
		spell(func(int) string { return `\u%04X` }),
		spell(func(i int) string { return []string{`\u%04x`, ""}[i%2] }),
	}
	for at := range len(name) {
		spellings = append(spellings, spell(func(i int) string {
			if i == at {
				return `\u%04x`
			}
			return ""
		}))
	}
	return spellings
}

// foldedSpellings are names that differ from this one by letter case alone, by Unicode's
// simple folding, plain and escaped.
func foldedSpellings(name string) []string {
	folded := []string{strings.ToUpper(name), strings.ToUpper(name[:1]) + name[1:], name[:len(name)-1] + strings.ToUpper(name[len(name)-1:])}
	for _, pair := range [][2]string{{"s", "ſ"}, {"k", "\u212a"}, {"s", `\u017f`}, {"k", `\u212A`}} {
		if strings.Contains(name, pair[0]) {
			folded = append(folded, strings.ReplaceAll(name, pair[0], pair[1]), strings.Replace(name, pair[0], pair[1], 1))
		}
	}
	return append(folded, escapedSpellings(strings.ToUpper(name))...)
}

// row C3
func TestMembersThatSluiceActsOnMayAppearOnce(t *testing.T) {
	for param, values := range keys {
		_, name := cutParam(param)
		f := func(members ...string) {
			t.Helper()
			requireRefused(t, bodyWith(param, members...), CodeDuplicateKey, param)
		}
		exact := `"` + name + `":`
		f(exact+values[0], exact+values[1])
		f(exact+values[0], exact+values[0])
		f(exact+"null", exact+values[0])
		f(exact+values[0], exact+"null")
		for _, spelling := range slices.Concat(escapedSpellings(name), foldedSpellings(name)) {
			other := `"` + spelling + `":`
			f(exact+values[0], other+values[1])
			f(other+values[0], exact+values[1])
			f(other+values[0], `"y":2`, exact+"null")
			f(exact+values[0], other+`["of","any","type"]`)
		}
		for _, spelling := range escapedSpellings(name) {
			f(`"`+spelling+`":`+values[0], `"`+spelling+`":`+values[1])
		}
	}
}

// row C3: servers that read keys whatever their letter case would take such a member for
// the one that was not checked.
func TestMembersThatDifferByLetterCaseAloneAreRefused(t *testing.T) {
	for param, values := range keys {
		_, name := cutParam(param)
		for _, spelling := range foldedSpellings(name) {
			for _, value := range []string{values[0], values[1], "null", "[]"} {
				requireRefused(t, bodyWith(param, `"`+spelling+`":`+value), CodeAmbiguousKey, param)
			}
		}
	}
}

func cutParam(param string) (object, name string) {
	if object, name, ok := strings.Cut(param, "."); ok {
		return object, name
	}
	return "", param
}

func requireRefused(t *testing.T, body, code, param string) {
	t.Helper()
	r, failed := ParseRequest(ChatCompletions, []byte(body))
	require.Nil(t, r, body)
	require.NotNil(t, failed, body)
	require.Equal(t, code, failed.Code, body)
	require.Equal(t, param, failed.Param, body)
	require.Equal(t, 400, failed.Status)
	require.Contains(t, failed.Message, "'"+param+"'")
}

// reading is what a server may understand of a request.
type reading struct {
	Model  string
	Stream bool
}

// readExactly reads members by their exact names, and the last of those that repeat.
func readExactly(t *testing.T, body string) (r reading) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(body))
	_, err := d.Token()
	require.NoError(t, err)
	for d.More() {
		key, err := d.Token()
		require.NoError(t, err)
		var value any
		require.NoError(t, d.Decode(&value))
		switch key {
		case "model":
			r.Model, _ = value.(string)
		case "stream":
			r.Stream, _ = value.(bool)
		}
	}
	_, err = d.Token()
	require.NoError(t, err)
	_, err = d.Token()
	require.ErrorIs(t, err, io.EOF)
	return r
}

// requireAgreement checks that whoever accepts the body reads the same: encoding/json takes
// keys of any letter case and the last of several, gjson exact ones and the first.
func requireAgreement(t *testing.T, body, model string, stream bool) {
	t.Helper()
	want := reading{model, stream}
	require.Equal(t, want, readExactly(t, body), "%q", body)
	var folded reading
	require.NoError(t, json.Unmarshal([]byte(body), &folded), "%q", body)
	require.Equal(t, want, folded, "%q", body)
	require.Equal(t, model, gjson.Get(body, "model").String(), "%q", body)
	require.Equal(t, stream, gjson.Get(body, "stream").Bool(), "%q", body)
}

// checkAgreement holds a body, and what becomes of it, against three other parsers.
func checkAgreement(t *testing.T, body string) (accepted bool) {
	t.Helper()
	r, failed := ParseRequest(ChatCompletions, []byte(body))
	if failed != nil {
		return false
	}
	requireAgreement(t, body, r.Model, r.Stream)
	sent := r.Prepare(nil, []byte(body), "up", Ask{IncludeUsage: true, ContinuousUsage: true})
	requireAgreement(t, string(sent), "up", r.Stream)
	chat, failed := ParseChat([]byte(body))
	if failed == nil {
		require.Equal(t, reading{r.Model, r.Stream}, reading{chat.Model, chat.Stream})
	}
	return true
}

// anyKeys makes a body of members whose names look like those that sluice acts on.
func anyKeys(random *rand.Rand) string {
	names := []string{"model", "model", "stream", "stream", "stream_options", "n", "max_tokens", "messages", "x"}
	pick := func(from []string) string { return from[random.IntN(len(from))] }
	var members []string
	for range random.IntN(5) + 1 {
		name := pick(names)
		spelling := name
		switch random.IntN(8) {
		case 0:
			spelling = pick(escapedSpellings(name))
		case 1:
			spelling = pick(foldedSpellings(name))
		case 2:
			spelling = pick([]string{name + " ", " " + name, name + `\u0000`, name + "s", name[1:], name + "\u0301", "\ufeff" + name, name + `\ud800`, "\xff" + name})
		}
		value := pick([]string{`"a"`, `"b"`, `true`, `false`, `null`, `1`, `{}`, `[]`, `{"model":"c"}`, `"\u0061"`, `""`})
		if random.IntN(2) == 0 {
			value = map[string]string{"model": `"a"`, "stream": `true`}[name]
		}
		if value == "" {
			value = "null"
		}
		members = append(members, `"`+spelling+`":`+value)
	}
	return "{" + strings.Join(members, pick([]string{",", " , ", ",\n"})) + "}"
}

// row C3
func TestAllParsersReadTheSameModel(t *testing.T) {
	accepted := 0
	for seed := range uint64(5_000) {
		if checkAgreement(t, anyKeys(rand.New(rand.NewPCG(seed, 1)))) {
			accepted++
		}
	}
	require.Greater(t, accepted, 300, "the bodies are not all nonsense")
}

func FuzzParsersAgree(f *testing.F) {
	f.Add(`{"model":"allowed","MODEL":"forbidden"}`)
	f.Add(`{"model":"allowed","\u004dodel":"forbidden","ſtream":true}`)
	f.Add(`{"mod\u0065l":"m","stream":true,"stream_options":{"include_usage":false}}`)
	f.Add(`{"model":"m","model\u0000":"n","mod\xffel":"o"}`)
	for seed := range uint64(20) {
		f.Add(anyKeys(rand.New(rand.NewPCG(seed, 2))))
	}
	f.Fuzz(func(t *testing.T, body string) { checkAgreement(t, body) })
}
