package jsonview

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// value reads a document that is valid.
func value(t testing.TB, text string) Value {
	t.Helper()
	v, ok := Parse([]byte(text))
	require.True(t, ok, text)
	return v
}

func TestParseChecksTheDocument(t *testing.T) {
	f := func(text, raw string, at int) {
		t.Helper()
		v, ok := Parse([]byte(text))
		require.Equal(t, raw != "", ok, "%q", text)
		require.Equal(t, Value{raw, at}, v, "%q", text)
	}
	f(`{}`, `{}`, 0)
	f(" \r\n\t[1, 2]\n ", `[1, 2]`, 4)
	f(`"a"`, `"a"`, 0)
	f(` -1.5e+3 `, `-1.5e+3`, 1)
	f(`null`, `null`, 0)
	f("\"\xff\"", "\"\xff\"", 0)

	f(``, ``, 0)
	f(` `, ``, 0)
	f(`{} {}`, ``, 0)
	f(`{"a":}`, ``, 0)
	f(`[1,]`, ``, 0)
	f("\xef\xbb\xbf{}", ``, 0)
	f("\"\n\"", ``, 0)
	f(`01`, ``, 0)
}

func TestNestingIsBounded(t *testing.T) {
	nested := func(depth int, opening, closing string) []byte {
		return []byte(strings.Repeat(opening, depth) + "1" + strings.Repeat(closing, depth))
	}
	require.True(t, WellFormed(nested(MaxDepth, "[", "]")))
	require.True(t, WellFormed(nested(MaxDepth, `{"a":`, "}")))
	require.False(t, WellFormed(nested(MaxDepth+1, "[", "]")))
	require.False(t, WellFormed(nested(MaxDepth+1, `{"a":`, "}")))
	require.False(t, WellFormed(nested(10_000_000, "[", "]")))
	require.False(t, WellFormed([]byte(`["\\\"",`+string(nested(MaxDepth, "[", "]"))+`]`)))
	_, ok := Parse(nested(MaxDepth+1, "[", "]"))
	require.False(t, ok)

	flat := strings.Repeat(`[],{"a":"[[{\"["},`, MaxDepth)
	require.True(t, WellFormed([]byte("["+flat+"1]")))
	require.True(t, WellFormed([]byte(`"`+strings.Repeat("[", 2*MaxDepth)+`"`)))
	require.False(t, WellFormed([]byte(strings.Repeat("]", 2*MaxDepth)+strings.Repeat("[", 2*MaxDepth))))
	require.False(t, WellFormed([]byte(`"`+strings.Repeat("[", 2*MaxDepth)+`\`)))
}

func TestKinds(t *testing.T) {
	f := func(text, kinds string) {
		t.Helper()
		v := Value{}
		if text != "" {
			v = value(t, text)
		}
		var is []string
		for _, kind := range []struct {
			name string
			is   bool
		}{
			{"exists", v.Exists()},
			{"object", v.IsObject()},
			{"array", v.IsArray()},
			{"string", v.IsString()},
			{"number", v.IsNumber()},
			{"null", v.IsNull()},
			{"bool", v.IsBool()},
			{"true", v.IsTrue()},
		} {
			if kind.is {
				is = append(is, kind.name)
			}
		}
		require.Equal(t, kinds, strings.Join(is, " "), text)
	}
	f(``, ``)
	f(`{}`, `exists object`)
	f(`[]`, `exists array`)
	f(`""`, `exists string`)
	f(`0`, `exists number`)
	f(`-1`, `exists number`)
	f(`9e9`, `exists number`)
	f(`null`, `exists null`)
	f(`true`, `exists bool true`)
	f(`false`, `exists bool`)
}

func TestTextOfStrings(t *testing.T) {
	f := func(quoted, text string) {
		t.Helper()
		v := value(t, quoted)
		require.Equal(t, text, v.Text())
		require.Equal(t, quoted, `"`+v.Inside()+`"`)
		require.True(t, v.Is(text))
		require.False(t, v.Is(text+"!"))
		require.Equal(t, text, string(AppendText(nil, v.Inside())))
		require.Equal(t, "> "+text, string(AppendText([]byte("> "), v.Inside())))
	}
	f(`""`, ``)
	f(`"plain é"`, `plain é`)
	f(`"\"\\\/\b\f\n\r\t"`, "\"\\/\b\f\n\r\t")
	f(`"a\nb"`, "a\nb")
	f(`"\u0041\u00e9\u20AC\uD83D\ude00"`, "Aé€😀")
	f(`"\\u0041"`, `\u0041`)
	f(`"\u0000"`, "\x00")
	// Half a pair takes nothing that follows with it.
	f(`"\ud83d"`, "\uFFFD")
	f(`"\ud83dx"`, "\uFFFDx")
	f(`"\ud83d\u0041"`, "\uFFFDA")
	f(`"\ud83d\n"`, "\uFFFD\n")
	f(`"\ude00\ud83d"`, "\uFFFD\uFFFD")
	f(`"\ud83d\ud83d\ude00"`, "\uFFFD😀")
	f("\"\xff\\n\"", "\xff\n")

	for _, other := range []string{`1`, `null`, `true`, `["a"]`, `{"a":"b"}`} {
		require.Empty(t, value(t, other).Text())
		require.Empty(t, value(t, other).Inside())
		require.False(t, value(t, other).Is(""))
	}
	require.Empty(t, Value{}.Text())
	require.False(t, Value{}.Is(""))
}

func TestUnescapingEndsOnAnyInput(t *testing.T) {
	for _, inside := range []string{`\`, `a\`, `\u`, `\u12`, `\u12g4`, `\ud83d\u`, `\ud83d\u12`, `\x`, `\u\u\u`} {
		require.NotPanics(t, func() { AppendText(nil, inside) }, inside)
	}
}

func TestNumbers(t *testing.T) {
	f := func(text string, n int64, isInt, isDigits bool) {
		t.Helper()
		v := value(t, text)
		got, ok := v.Int()
		require.Equal(t, isInt, ok, text)
		if isInt {
			require.Equal(t, n, got, text)
		}
		got, ok = v.Digits()
		require.Equal(t, isDigits, ok, text)
		if isDigits {
			require.Equal(t, n, got, text)
		}
	}
	f(`0`, 0, true, true)
	f(`-0`, 0, true, true)
	f(`42`, 42, true, true)
	f(`-7`, -7, true, true)
	f(`999999999999999999`, 999999999999999999, true, true)
	f(`9223372036854775807`, 9223372036854775807, true, false)
	f(`-9223372036854775808`, -9223372036854775808, true, false)
	f(`9223372036854775808`, 0, false, false)
	f(`-9223372036854775809`, 0, false, false)
	f(`12.0`, 12, true, false)
	f(`1.2e1`, 12, true, false)
	f(`12E-1`, 0, false, false)
	f(`1e18`, 1e18, true, false)
	f(`1e19`, 0, false, false)
	f(`-1e19`, 0, false, false)
	f(`1e400`, 0, false, false)
	f(`1.5`, 0, false, false)
	f(`0.`+strings.Repeat("0", 100), 0, false, false)
	f(`"1"`, 0, false, false)
	f(`null`, 0, false, false)
	f(`true`, 0, false, false)

	number, ok := value(t, `1.25`).Float()
	require.True(t, ok)
	require.InDelta(t, 1.25, number, 0)
	for _, text := range []string{`"1"`, `null`, `1e400`} {
		_, ok = value(t, text).Float()
		require.False(t, ok, text)
	}
	_, ok = Value{}.Int()
	require.False(t, ok)
	_, ok = Value{}.Digits()
	require.False(t, ok)
}

func TestValuesStandWhereTheirOffsetsSay(t *testing.T) {
	data := []byte("\n { \"a\" : [ 1 , {\"b\\u0063\":\t\"x\\n\"} ,[ ] ], \"d\": null , \"e\":{ } , \"\":\"}]\\\"\"}\r\n")
	root, ok := Parse(data)
	require.True(t, ok)
	var seen []string
	var walk func(Value)
	walk = func(v Value) {
		require.Equal(t, v.Raw, string(data[v.At:v.At+len(v.Raw)]))
		for name, member := range v.Members {
			seen = append(seen, name)
			walk(member)
		}
		n := 0
		for i, element := range v.Elements {
			require.Equal(t, n, i)
			n++
			walk(element)
		}
	}
	walk(root)
	require.Equal(t, []string{"a", "bc", "d", "e", ""}, seen)
}

func TestLookingUpMembers(t *testing.T) {
	root := value(t, `{"a":1,"b":{"c":{"d":[5,6]}},"a":2,"mod\u0065l":"m","n":null}`)
	f := func(raw string, path ...string) {
		t.Helper()
		require.Equal(t, raw, root.Get(path...).Raw)
	}
	f(`2`, "a")
	f(`[5,6]`, "b", "c", "d")
	f(`"m"`, "model")
	f(`null`, "n")
	f(root.Raw)
	f(``, "x")
	f(``, "a", "b")
	f(``, "b", "x", "d")
	f(``, "n", "x")
	require.Equal(t, `5`, root.Get("b", "c", "d").First().Raw)
	require.False(t, root.First().Exists())
	require.False(t, value(t, `[]`).First().Exists())
	require.Equal(t, 5, root.Len())
	require.Equal(t, 2, root.Get("b", "c", "d").Len())
	require.Zero(t, value(t, ` [ ] `).Len())
	require.Zero(t, value(t, ` { } `).Len())
	require.Zero(t, value(t, `"ab"`).Len())
	require.Zero(t, Value{}.Len())
}

func TestIterationStopsWhenAsked(t *testing.T) {
	for name := range value(t, `{"a":1,"b":2}`).Members {
		require.Equal(t, "a", name)
		break
	}
	for i := range value(t, `[1,2]`).Elements {
		require.Zero(t, i)
		break
	}
}

func TestReadingAllocatesNothing(t *testing.T) {
	data := []byte(`{"id":"x","choices":[{"index":0,"delta":{"content":" token\n"},"finish_reason":null}],"usage":{"n":12}}`)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		root, ok := Parse(data)
		if !ok || !root.Get("choices").First().Get("delta", "content").IsString() || !root.Get("id").Is("x") {
			panic("not found")
		}
		count := 0
		for name, member := range root.Members {
			count += len(name) + member.Len()
		}
		for _, choice := range root.Get("choices").Elements {
			count += len(choice.Get("delta", "content").Inside())
		}
		if n, ok := root.Get("usage", "n").Int(); !ok || n != 12 || count == 0 {
			panic("not read")
		}
	}))
	buffer := make([]byte, 0, 1024)
	root := value(t, string(data))
	require.Zero(t, testing.AllocsPerRun(100, func() {
		AppendCompact(buffer, root.Raw)
		AppendEscaped(buffer, root.Raw)
		AppendText(buffer, root.Get("choices").First().Get("delta", "content").Inside())
	}))
}

func TestCompactAndEscaped(t *testing.T) {
	f := func(text, compact, escaped string) {
		t.Helper()
		v := value(t, text)
		require.Equal(t, "x"+compact, string(AppendCompact([]byte("x"), v.Raw)))
		require.Equal(t, "x"+escaped, string(AppendEscaped([]byte("x"), v.Raw)))
	}
	f(`1.50`, `1.50`, `1.50`)
	f(`"a b"`, `"a b"`, `\"a b\"`)
	f("{ \"b\" : [ 1 ,\t2 ],\n\"a\": \"x y\\n\\\"\\\\\\u0041\" }", `{"b":[1,2],"a":"x y\n\"\\\u0041"}`,
		`{\"b\":[1,2],\"a\":\"x y\\n\\\"\\\\\\u0041\"}`)
	f(`[ ]`, `[]`, `[]`)
	f(`"\\"`, `"\\"`, `\"\\\\\"`)
}

var seeds = []string{
	`{}`, `[]`, `null`, `true`, `false`, `0`, `-0`, `-1.5e+10`, `""`, `"a\u00e9\n\"\\\/"`, ` { "a" : [ 1 , {} ] } `,
	``, ` `, `{`, `[`, `"`, `{"a"}`, `{"a":}`, `{"a":1,}`, `[1,]`, `[,1]`, `{,}`, `[1 2]`, `{"a" 1}`, `{a:1}`, `{'a':1}`,
	`01`, `-`, `1.`, `.5`, `1e`, `1e+`, `+1`, `nul`, `tru`, `nulll`, `1 2`, `"\x"`, `"\u12g4"`, `"\u12"`, "\"\x01\"", "\"\t\"",
	`"long enough for eight bytes"`, `"exactly8"`, `"seven77\\"`, `{"a":1}{`, `[[[]]]]`, "\"\xff\xfe\"", "\xEF\xBB\xBF{}", "[1]\x00", "{\"a\":1\x00}",
	`{"a":1,"a":{"b":[]},"\u0061":"\ud83d\u0041","":[[],[{"x":"]}"}]]}`, "[\t1e2 ,\r\n\"\\ud83d\\ude00\" ]",
}

func FuzzReadingAgreesWithEncodingJSON(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, ok := Parse(data)
		if bytes.Count(data, []byte("["))+bytes.Count(data, []byte("{")) < MaxDepth {
			require.Equal(t, json.Valid(data), ok, "%q", data)
			require.Equal(t, ok, WellFormed(data))
		}
		if !ok {
			return
		}
		require.Equal(t, v.Raw, string(data[v.At:v.At+len(v.Raw)]))
		requireSame(t, v)
		var compact bytes.Buffer
		require.NoError(t, json.Compact(&compact, data))
		require.Equal(t, compact.String(), string(AppendCompact(nil, v.Raw)))
		escaped := `"` + string(AppendEscaped(nil, v.Raw)) + `"`
		require.Equal(t, compact.String(), value(t, escaped).Text(), "%q", data)
	})
}

// requireSame compares a value with what encoding/json makes of the same text. That
// replaces bytes which are no UTF-8.
func requireSame(t *testing.T, v Value) {
	t.Helper()
	switch {
	case v.IsObject():
		requireSameMembers(t, v)
	case v.IsArray():
		var want []json.RawMessage
		require.NoError(t, json.Unmarshal([]byte(v.Raw), &want))
		require.Equal(t, len(want), v.Len())
		for i, element := range v.Elements {
			require.Equal(t, string(want[i]), element.Raw)
			requireSame(t, element)
		}
	case v.IsString():
		var want string
		require.NoError(t, json.Unmarshal([]byte(v.Raw), &want))
		require.Equal(t, want, strings.ToValidUTF8(runes(v.Text()), "\uFFFD"), v.Raw)
	case v.IsNumber():
		var whole int64
		if json.Unmarshal([]byte(v.Raw), &whole) == nil && len(v.Raw) <= maxNumberLength {
			n, ok := v.Int()
			require.True(t, ok, v.Raw)
			require.Equal(t, whole, n)
		}
		var want float64
		if json.Unmarshal([]byte(v.Raw), &want) == nil {
			got, ok := v.Float()
			require.True(t, ok)
			require.InDelta(t, want, got, 0)
		}
	default:
		require.Contains(t, []string{"true", "false", "null"}, v.Raw)
	}
}

// runes makes one U+FFFD of every byte that is no UTF-8, as encoding/json does.
func runes(s string) string { return string([]rune(s)) }

func requireSameMembers(t *testing.T, v Value) {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(v.Raw))
	_, err := decoder.Token()
	require.NoError(t, err)
	last := map[string]Value{}
	for name, member := range v.Members {
		token, err := decoder.Token()
		require.NoError(t, err)
		require.Equal(t, token, runes(name))
		var want json.RawMessage
		require.NoError(t, decoder.Decode(&want))
		require.Equal(t, string(want), member.Raw)
		requireSame(t, member)
		last[name] = member
	}
	require.False(t, decoder.More())
	for name, member := range last {
		require.Equal(t, member, v.Get(name))
	}
}

func BenchmarkRead(b *testing.B) {
	data := []byte(`{"id":"chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT","object":"chat.completion.chunk","created":1741569952,` +
		`"model":"gpt-4o-mini-2024-07-18","choices":[{"index":0,"delta":{"content":" token"},"logprobs":null,"finish_reason":null}],"usage":null}`)
	b.Run("parse", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		b.ReportAllocs()
		for b.Loop() {
			if _, ok := Parse(data); !ok {
				b.Fatal("not valid")
			}
		}
	})
	b.Run("get", func(b *testing.B) {
		root := value(b, string(data))
		b.ReportAllocs()
		for b.Loop() {
			if !root.Get("choices").First().Get("delta", "content").IsString() {
				b.Fatal("not found")
			}
		}
	})
}
