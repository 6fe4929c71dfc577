package accounting

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func wellFormed(b []byte) bool {
	c := cursor{b: b}
	c.value()
	return c.done()
}

var jsonSeeds = []string{
	`{}`, `[]`, `null`, `true`, `false`, `0`, `-0`, `-1.5e+10`, `""`, `"a\u00e9\n\"\\\/"`, ` { "a" : [ 1 , {} ] } `,
	``, ` `, `{`, `[`, `"`, `{"a"}`, `{"a":}`, `{"a":1,}`, `[1,]`, `[,1]`, `{,}`, `[1 2]`, `{"a" 1}`, `{a:1}`, `{'a':1}`,
	`01`, `-`, `1.`, `.5`, `1e`, `1e+`, `+1`, `nul`, `tru`, `nulll`, `1 2`, `"\x"`, `"\u12g4"`, `"\u12"`, "\"\x01\"", "\"\t\"",
	`"long enough for eight bytes"`, `"exactly8"`, `"seven77\\"`, `{"a":1}{`, `[[[]]]]`, "\"\xff\xfe\"", "\xEF\xBB\xBF{}", "[1]\x00", "{\"a\":1\x00}",
}

func FuzzCursorAgreesWithEncodingJSON(f *testing.F) {
	for _, s := range jsonSeeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if strings.Count(string(b), "[")+strings.Count(string(b), "{") < maxDepth {
			require.Equal(t, json.Valid(b), wellFormed(b), "%q", b)
		}
	})
}

func TestCursorBoundsItsDepth(t *testing.T) {
	require.True(t, wellFormed([]byte(strings.Repeat("[", maxDepth)+strings.Repeat("]", maxDepth))))
	require.False(t, wellFormed([]byte(strings.Repeat("[", 100_000)+strings.Repeat("]", 100_000))))
	require.False(t, wellFormed([]byte(strings.Repeat(`{"a":`, 100_000))))
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

func TestEscapedKeysMeanTheSame(t *testing.T) {
	u, ok := ParseUsage([]byte(`{"prompt\u005ftokens":3}`))
	require.True(t, ok)
	require.Equal(t, Known(3), u.Input)
}

func FuzzEscapeRoundTrip(f *testing.F) {
	f.Add([]byte("a\"b\\c\n\x00é"))
	f.Fuzz(func(t *testing.T, b []byte) {
		escaped := appendEscaped(nil, b)
		require.True(t, wellFormed([]byte(`"`+string(escaped)+`"`)))
		require.Equal(t, string(b), string(appendUnescaped(nil, escaped)))
	})
}
