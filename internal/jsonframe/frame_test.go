package jsonframe

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/internal/jsonview"
)

// holes are those of the members at the given paths, whose names are joined by dots.
func holes(t testing.TB, document string, paths ...string) []Hole {
	t.Helper()
	root, ok := jsonview.Parse([]byte(document))
	require.True(t, ok, document)
	var all []Hole
	for _, path := range paths {
		v := root.Get(strings.Split(path, ".")...)
		require.True(t, v.Exists(), path)
		all = append(all, HoleIn(v))
	}
	return all
}

func learnt(t testing.TB, document string, paths ...string) *Frame {
	t.Helper()
	f := &Frame{}
	require.True(t, f.Learn([]byte(document), holes(t, document, paths...)...), document)
	return f
}

// contents are what is in the holes of a document, in the order in which they were named.
func (f *Frame) contents(data string) []string {
	var all []string
	for i := range f.n {
		from, to := f.Hole(i)
		all = append(all, data[from:to])
	}
	return all
}

func TestDocumentsMatchThatDifferInTheirHoles(t *testing.T) {
	const document = `{"n":12,"a":{"text":"one","other":"x"},"p":""}`
	frame := learnt(t, document, "a.text", "n", "p")
	f := func(data string, contents ...string) {
		t.Helper()
		require.True(t, json.Valid([]byte(data)), data)
		require.Equal(t, contents != nil, frame.Match([]byte(data)), data)
		if contents != nil {
			require.Equal(t, contents, frame.contents(data))
		}
	}
	f(document, "one", "12", "")
	f(`{"n":0,"a":{"text":"","other":"x"},"p":"abc"}`, "", "0", "abc")
	f(`{"n":999999999999999,"a":{"text":"\"\\\/\b\f\n\r\t\u00e9\uD83D","other":"x"},"p":"}"}`,
		`\"\\\/\b\f\n\r\t\u00e9\uD83D`, "999999999999999", "}")
	f(`{"n":1,"a":{"text":"long enough for more than a word, é and 世界\" too","other":"x"},"p":"\\"}`,
		`long enough for more than a word, é and 世界\" too`, "1", `\\`)
	f("{\"n\":1,\"a\":{\"text\":\"\xff\x7f\",\"other\":\"x\"},\"p\":\"\"}", "\xff\x7f", "1", "")
	// Blanks as padding.
	f(`{"n":1,"a":{"text":"b","other":"x"},"p":""       }`, "b", "1", "")
	f("{\"n\":1,\"a\":{\"text\":\"b\",\"other\":\"x\"},\"p\":\"\"\r\n\t}\n ", "b", "1", "")

	f(`{"n":12,"a":{"text":"one","other":"y"},"p":""}`)
	f(`{"n":12,"a":{"text":"one","other":"x"},"q":""}`)
	f(`{"n":12,"a":{"text":"one","other":"x"},"p":"","q":1}`)
	f(`{"n":12,"a":{"text":"one","other":"x"}}`)
	f(`{"n":12 ,"a":{"text":"one","other":"x"},"p":""}`)
	f(`{"n":12,"a":{"text":"one","other":"x" },"p":""}`)
	f(`{"n":-12,"a":{"text":"one","other":"x"},"p":""}`)
	f(`{"n":1.5,"a":{"text":"one","other":"x"},"p":""}`)
	f(`{"n":1e5,"a":{"text":"one","other":"x"},"p":""}`)
	f(`{"n":1000000000000000,"a":{"text":"one","other":"x"},"p":""}`)
	f(`{"n":"12","a":{"text":"one","other":"x"},"p":""}`)
	f(`{"n":12,"a":{"text":null,"other":"x"},"p":""}`)
	f(`{}`)
	f(`[]`)
}

func TestWhatIsNotValidDoesNotMatch(t *testing.T) {
	const before, behind = `{"text":"`, `","n":1}`
	frame := learnt(t, before+behind, "text", "n")
	for _, inside := range []string{
		"\n", "\x00", "\x1f", "long enough for a word\t", `\`, `\x`, `\u12`, `\u12g4`, `\u123`, `"`, `long enough \`, `\\\`, `a"`,
	} {
		require.False(t, json.Valid([]byte(before+inside+behind)), inside)
		require.False(t, frame.Match([]byte(before+inside+behind)), inside)
	}
	whole := before + "a" + behind
	require.True(t, frame.Match([]byte(whole)))
	for i := range len(whole) {
		require.False(t, frame.Match([]byte(whole[:i])), whole[:i])
	}
	for _, more := range []string{"}", "x", "\x00", " {}", "\v"} {
		require.False(t, frame.Match([]byte(whole+more)), more)
	}
	for _, number := range []string{"", "01", "00", "-0", "1.", "1-"} {
		require.False(t, frame.Match([]byte(`{"text":"","n":`+number+`}`)), number)
	}
}

func TestFramesAreBounded(t *testing.T) {
	f := func(ok bool, document string, places ...Hole) {
		t.Helper()
		var frame Frame
		frame.Learn([]byte(`{"a":"b"}`), Hole{From: 6, To: 7})
		require.Equal(t, ok, frame.Learn([]byte(document), places...))
		require.Equal(t, ok, frame.n > 0)
		require.Equal(t, ok, frame.Match([]byte(document)))
		require.LessOrEqual(t, len(frame.text), maxFrame)
	}
	large := `{"a":"` + strings.Repeat("x", 2*maxFrame) + `","b":1}`
	f(true, large, holes(t, large, "a")...)
	f(false, large, holes(t, large, "b")...)

	f(false, `{"a":1}`)
	eight := `{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6,"g":7,"h":8,"i":9}`
	f(true, eight, holes(t, eight, "a", "b", "c", "d", "e", "f", "g", "h")...)
	f(true, eight, holes(t, eight, "h", "g", "f", "e", "d", "c", "b", "a")...)
	f(false, eight, holes(t, eight, "a", "b", "c", "d", "e", "f", "g", "h", "i")...)
	f(false, eight, holes(t, eight, "a", "a")...)

	// Of other values, there are no holes.
	for _, value := range []string{`null`, `true`, `{}`, `[1]`, `-1`, `1.0`, `1e3`, `1234567890123456`} {
		document := `{"a":` + value + `}`
		f(false, document, holes(t, document, "a")...)
	}
	for _, h := range []Hole{{From: -1, To: 1}, {From: 3, To: 2}, {From: 0, To: 100}, {From: 0, To: 0}, {From: 3, To: 4}, HoleIn(jsonview.Value{})} {
		f(false, `{"a":"b"}`, h)
	}
	// At both ends of a document.
	f(true, `"a"`, Hole{From: 1, To: 2})
	f(true, `12`, Hole{To: 2, digits: true})
}

func TestForgetting(t *testing.T) {
	frame := learnt(t, `{"a":"b"}`, "a")
	require.True(t, frame.Match([]byte(`{"a":"c"}`)))
	frame.Forget()
	require.False(t, frame.Match([]byte(`{"a":"c"}`)))
	require.False(t, (&Frame{}).Match(nil))
	require.False(t, (&Frame{}).Match([]byte(`{}`)))
}

func TestOffsetsMoveWithTheHolesInFrontOfThem(t *testing.T) {
	const document = `{"a":"b","u":{"n":10,"m":1},"c":"d","v":[1]}`
	frame := learnt(t, document, "u.n", "c", "a")
	f := func(data string) {
		t.Helper()
		require.True(t, frame.Match([]byte(data)))
		for _, constant := range []string{`"u":{`, `"m":1}`, `"c":`, `"v":[1]`, `[1]`} {
			was, is := strings.Index(document, constant), strings.Index(data, constant)
			require.Equal(t, is, frame.Moved(was), constant)
			require.Equal(t, is+len(constant), frame.Moved(was+len(constant)), constant)
		}
	}
	f(document)
	f(`{"a":"","u":{"n":1,"m":1},"c":"","v":[1]}`)
	f(`{"a":"bcd","u":{"n":12345,"m":1},"c":"\"}","v":[1]   }`)
}

func TestMatchingAllocatesNothing(t *testing.T) {
	document := []byte(`{"a":"some text","n":1}`)
	frame, places := learnt(t, string(document), "a", "n"), holes(t, string(document), "a", "n")
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if !frame.Match(document) || !frame.Learn(document, places...) {
			panic("no match")
		}
	}))
}

// leaf is a value of a document that has no others in it, or the name of a member.
type leaf struct {
	path string
	raw  string
	hole Hole
}

func leaves(path string, v jsonview.Value) (all []leaf) {
	n := 0
	for name, member := range v.Members {
		path := fmt.Sprintf("%s.%d:%q", path, n, name)
		all = append(all, leaf{path: path})
		all = append(all, leaves(path, member)...)
		n++
	}
	for i, element := range v.Elements {
		all = append(all, leaves(fmt.Sprintf("%s[%d]", path, i), element)...)
	}
	if v.IsObject() || v.IsArray() {
		return append(all, leaf{path: path + " ends"})
	}
	return append(all, leaf{path, v.Raw, HoleIn(v)})
}

// FuzzMatch makes holes of some values of a document, and reads what matches it both
// with other contents in the holes and otherwise.
func FuzzMatch(f *testing.F) {
	f.Add(`{"a":{"text":"b"},"n":12,"p":"x"}`, `{"a":{"text":"c"},"n":0,"p":"xyz"  }`, "x\n", "12", uint16(0xffff))
	f.Add(`{"a":{"text":"b"},"n":12,"p":"x"}`, `{"a":{"text":"c"},"n":0,"p":"xyz"}} `, `\u00e9\"`, "0", uint16(1))
	f.Add(`[1,2,"a",{"b":"\\"}] `, `[1,2,"b",{"b":"\""}]`, "", "012", uint16(6))
	f.Add(`"a"`, `"b"`, `\`, "", uint16(1))
	f.Add(`{"a":"","a":""}`, `{"a":"\ud83d","a":"\ude00"}`, "\x7f\xff", "1234567890123456", uint16(2))
	f.Fuzz(func(t *testing.T, document, other, text, digits string, which uint16) {
		root, ok := jsonview.Parse([]byte(document))
		if !ok {
			return
		}
		were := leaves("", root)
		var places []Hole
		for _, l := range were {
			if l.raw == "" {
				continue
			}
			if which&1 == 1 && len(places) < MaxHoles && l.hole.fits([]byte(document)) {
				places = append(places, l.hole)
			}
			which >>= 1
		}
		var frame Frame
		if !frame.Learn([]byte(document), places...) {
			require.True(t, len(places) == 0 || len(document) > maxFrame)
			return
		}
		requireSame(t, &frame, were, document)
		requireSame(t, &frame, were, other)

		filled, from, right := bytes.Buffer{}, 0, true
		for _, h := range places {
			filled.WriteString(document[from:h.From])
			if h.digits {
				filled.WriteString(digits)
				right = right && len(digits) <= maxDigits && jsonview.WellFormed([]byte(digits)) && strings.Trim(digits, "0123456789") == ""
			} else {
				filled.WriteString(text)
				right = right && jsonview.WellFormed([]byte(`"`+text+`"`))
			}
			from = h.To
		}
		filled.WriteString(document[from:])
		require.True(t, !right || frame.Match(filled.Bytes()), "%q", filled.String())
		requireSame(t, &frame, were, filled.String())
	})
}

// requireSame checks that a document which matches is what was learnt, with other
// contents in the holes.
func requireSame(t *testing.T, frame *Frame, were []leaf, data string) {
	t.Helper()
	if !frame.Match([]byte(data)) {
		return
	}
	root, ok := jsonview.Parse([]byte(data))
	require.True(t, ok, "%q", data)
	require.True(t, json.Valid([]byte(data)), "%q", data)
	are := leaves("", root)
	require.Len(t, are, len(were))
	places := map[int]int{} // the ends of the holes that were learnt, by their places in gaps
	for i, g := range frame.gaps[:frame.n] {
		places[int(g.learnt)] = i
	}
	for i, was := range were {
		is := are[i]
		require.Equal(t, was.path, is.path)
		if was.raw == "" {
			continue
		}
		at, varies := places[was.hole.To]
		if !varies {
			require.Equal(t, was.raw, is.raw)
			require.Equal(t, is.hole.From, frame.Moved(was.hole.From))
			continue
		}
		g := frame.gaps[at]
		require.Equal(t, is.hole, Hole{int(g.from), int(g.to), g.digits})
		from, to := frame.Hole(slices.Index(frame.place[:], uint8(at)))
		require.Equal(t, Hole{from, to, g.digits}, is.hole)
	}
}

func TestStringEndFindsEveryStop(t *testing.T) {
	for i := range 40 {
		for _, stop := range []string{`"`, `\`, "\x00", "\x1f", "\n"} {
			b := []byte(strings.Repeat("\x80\xffA!", 10)[:i] + stop + "tail that goes on")
			want := -1
			if stop == `"` {
				want = i
			}
			require.Equal(t, want, stringEnd(b, 0), "%q", b)
		}
	}
}

func FuzzStringEndAgreesWithEncodingJSON(f *testing.F) {
	for _, s := range []string{
		``, `a`, `a\u00e9\n\"\\\/`, `\x`, `\u12g4`, `\u12`, "\x01", "\t", `long enough for eight bytes`, `exactly8`, `seven77\\`, "\xff\xfe", `a"b`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		whole := append(append([]byte{'"'}, b...), '"')
		require.Equal(t, json.Valid(whole), stringEnd(whole, 1) == len(whole)-1, "%q", whole)
	})
}

func BenchmarkMatch(b *testing.B) {
	const gemini = `{"candidates": [{"content": {"parts": [{"text": " the most recognizable symbol of Paris, this wrought-iron lattice"}],"role": "model"},"index": 0}],` +
		`"usageMetadata": {"promptTokenCount": 14,"candidatesTokenCount": 121,"totalTokenCount": 135,"promptTokensDetails": [{"modality": "TEXT","tokenCount": 14}]},` +
		`"modelVersion": "gemini-2.5-flash-lite","responseId": "YSewaNSeEt3skdUPj_ruyQ8"}`
	frame := learnt(b, gemini, "usageMetadata.candidatesTokenCount", "usageMetadata.totalTokenCount", "responseId")
	b.SetBytes(int64(len(gemini)))
	b.ReportAllocs()
	data := []byte(gemini)
	for b.Loop() {
		if !frame.Match(data) {
			b.Fatal("no match")
		}
	}
}
