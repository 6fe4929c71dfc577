package accounting

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting/tokens"
)

var jsonSeeds = []string{
	`{}`, `[]`, `null`, `true`, `false`, `0`, `-0`, `-1.5e+10`, `""`, `"a\u00e9\n\"\\\/"`, ` { "a" : [ 1 , {} ] } `,
	``, ` `, `{`, `[`, `"`, `{"a"}`, `{"a":}`, `{"a":1,}`, `[1,]`, `[,1]`, `{,}`, `[1 2]`, `{"a" 1}`, `{a:1}`, `{'a':1}`,
	`01`, `-`, `1.`, `.5`, `1e`, `1e+`, `+1`, `nul`, `tru`, `nulll`, `1 2`, `"\x"`, `"\u12g4"`, `"\u12"`, "\"\x01\"", "\"\t\"",
	`"long enough for eight bytes"`, `"exactly8"`, `"seven77\\"`, `{"a":1}{`, `[[[]]]]`, "\"\xff\xfe\"", "\xEF\xBB\xBF{}", "[1]\x00", "{\"a\":1\x00}",
}

func FuzzWellFormedAgreesWithEncodingJSON(f *testing.F) {
	for _, s := range jsonSeeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if strings.Count(string(b), "[")+strings.Count(string(b), "{") < maxDepth {
			require.Equal(t, json.Valid(b), wellFormed(b), "%q", b)
		}
	})
}

func TestNestingIsBounded(t *testing.T) {
	nested := func(depth int, opening, closing string) []byte {
		return []byte(strings.Repeat(opening, depth) + "1" + strings.Repeat(closing, depth))
	}
	require.True(t, wellFormed(nested(maxDepth, "[", "]")))
	require.True(t, wellFormed(nested(maxDepth, `{"a":`, "}")))
	require.False(t, wellFormed(nested(maxDepth+1, "[", "]")))
	require.False(t, wellFormed(nested(maxDepth+1, `{"a":`, "}")))
	require.False(t, wellFormed(nested(10_000_000, "[", "]")))
	require.False(t, wellFormed([]byte(`["\\\"",`+string(nested(maxDepth, "[", "]"))+`]`)))

	flat := strings.Repeat(`[],{"a":"[[{\"["},`, maxDepth)
	require.True(t, wellFormed([]byte("["+flat+"1]")))
	require.True(t, wellFormed([]byte(`"`+strings.Repeat("[", 2*maxDepth)+`"`)))
	require.False(t, wellFormed([]byte(strings.Repeat("]", 2*maxDepth)+strings.Repeat("[", 2*maxDepth))))
	require.False(t, wellFormed([]byte(`"`+strings.Repeat("[", 2*maxDepth)+`\`)))
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
	for _, s := range jsonSeeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		whole := append(append([]byte{'"'}, b...), '"')
		require.Equal(t, json.Valid(whole), stringEnd(whole, 1) == len(whole)-1, "%q", whole)
	})
}

func TestValuesStandWhereTheirOffsetsSay(t *testing.T) {
	data := []byte("\n { \"a\" : [ 1 , {\"b\\u0063\":\t\"x\\n\"} ,[ ] ], \"d\": null , \"e\":{ } }\r\n")
	root, ok := parse(data)
	require.True(t, ok)
	var seen []string
	var walk func(value)
	walk = func(v value) {
		for name, member := range v.members {
			seen = append(seen, name)
			require.Equal(t, member.raw, string(data[member.span().Start:member.span().End]))
			walk(member)
		}
		for element := range v.elements {
			require.Equal(t, element.raw, string(data[element.span().Start:element.span().End]))
			walk(element)
		}
	}
	walk(root)
	require.Equal(t, []string{"a", "bc", "d", "e"}, seen)
}

func TestEscapedKeysMeanTheSame(t *testing.T) {
	u, ok := ParseUsage([]byte(`{"prompt\u005ftokens":3}`))
	require.True(t, ok)
	require.Equal(t, tokens.Known(3), u.Input)
}

func FuzzEscapeRoundTrip(f *testing.F) {
	f.Add([]byte("a\"b\\c\n\x00é"))
	f.Fuzz(func(t *testing.T, b []byte) {
		escaped := appendEscaped(nil, string(b))
		require.True(t, wellFormed([]byte(`"`+string(escaped)+`"`)))
		require.Equal(t, string(b), string(appendUnescaped(nil, escaped)))
	})
}
