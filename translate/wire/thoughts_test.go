package wire

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/translate"
)

func TestThoughtsAreBounded(t *testing.T) {
	piece := strings.Repeat("x", 1<<10)
	f := func(pieces int, carried bool) {
		t.Helper()
		var thoughts Thoughts
		thoughts.Begin()
		for range pieces {
			thoughts.Text(piece)
			require.LessOrEqual(t, cap(thoughts.raw), 2*MaxThoughts)
		}
		thoughts.Sign("c2ln")
		thoughts.Redacted("AAAA")
		raw := thoughts.Take("digest")
		require.Equal(t, carried, raw != "")
		require.Empty(t, thoughts.Take(""), "nothing is left")
	}
	f(1, true)
	f(255, true)
	f(256, false)
	f(2000, false)

	var calls Thoughts
	for range MaxThoughts {
		calls.Called()
	}
	require.LessOrEqual(t, cap(calls.between), 2*MaxThoughts)
	calls.Redacted("AAAA")
	require.Empty(t, calls.Take(""))

	var signature Thoughts
	signature.Begin()
	for range 2 * MaxThoughts / len(piece) {
		signature.SignMore(piece)
	}
	require.LessOrEqual(t, cap(signature.signature), 2*MaxThoughts)
	require.Empty(t, signature.Take(""))
}

func TestNothingThatCannotGoBackIsCarried(t *testing.T) {
	f := func(want string, collect func(t *Thoughts)) {
		t.Helper()
		var thoughts Thoughts
		collect(&thoughts)
		require.Equal(t, want, thoughts.Take(""))
	}
	signed := func(t *Thoughts) { t.Begin(); t.Text("a"); t.Sign("YQ=="); t.End() }
	const a = `{"thinking_blocks":[{"type":"thinking","thinking":"a","signature":"YQ=="}]}`
	f("", func(*Thoughts) {})
	f("", func(t *Thoughts) { t.Said("a"); t.Called() })
	f("", func(t *Thoughts) { t.Begin(); t.Text("unsigned"); t.End(); signed(t) })
	f("", func(t *Thoughts) { t.Text("of none"); t.Sign("of none"); t.Redacted("") })
	f(a, func(t *Thoughts) { signed(t); t.Begin(); t.Text("unsigned") })
	f(a, func(t *Thoughts) {
		signed(t)
		t.Said("x")
		t.Called()
		t.Other()
		t.Called()
		signed(t)
		t.Redacted("Yg==")
	})
	f(a, func(t *Thoughts) { t.Begin(); t.Text("a"); t.Sign("other"); t.Sign("YQ==") })
	f(a, func(t *Thoughts) { t.Begin(); t.Text("a"); t.SignMore("YQ"); t.SignMore("==") })
}

func TestThoughtsOfAConversationNameIt(t *testing.T) {
	var thoughts Thoughts
	thoughts.Redacted("YQ==")
	require.JSONEq(t, `{"thinking_blocks":[{"type":"redacted_thinking","data":"YQ=="}],"prefix":"digest"}`, thoughts.Take("digest"))
}

func TestLengthOfText(t *testing.T) {
	for _, text := range []string{
		"", "plain", "é€😀", "\n\t\"\\/\b\x00", "a\\u0041", "\u2028", "😀😀", "x😀y\nz",
	} {
		for _, inside := range []string{
			strings.Trim(string(must(json.Marshal(text))), `"`), escapedAll(text),
		} {
			if _, ok := jsonview.Parse([]byte(`"` + inside + `"`)); ok {
				require.Equal(t, len(jsonview.AppendText(nil, inside)), textLen(inside), inside)
			}
		}
	}
	for _, broken := range []string{`\`, `\u`, `\u00`, `a\ud83d`, `\ud83d\u0041`, `\ud83d\n`, `\ude00\ud83d`, `\ud83d\ud83d\ude00`} {
		require.LessOrEqual(t, textLen(broken), 3*len(broken), broken)
	}
}

// escapedAll writes every UTF-16 unit of a text as an escape.
func escapedAll(text string) string {
	quoted := string(must(json.Marshal(strings.ToValidUTF8(text, ""))))
	var b strings.Builder
	for _, c := range quoted[1 : len(quoted)-1] {
		if c > 0xffff {
			c -= 0x10000
			b.WriteString(unit(0xd800+c>>10) + unit(0xdc00+c&0x3ff))
		} else if c >= 0x80 {
			b.WriteString(unit(c))
		} else {
			b.WriteRune(c)
		}
	}
	return b.String()
}

func unit(c rune) string {
	const digits = "0123456789abcdef"
	return `\u` + string([]byte{digits[c>>12&15], digits[c>>8&15], digits[c>>4&15], digits[c&15]})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestLengthOfTextNeedsNoMemory(t *testing.T) {
	require.Zero(t, testing.AllocsPerRun(10, func() { textLen(`a\n\u00e9\ud83d\ude00`) }))
}

func TestBlankTexts(t *testing.T) {
	for text, want := range map[string]bool{
		`""`: true, `" "`: true, `"\n\t \r"`: true, `"\u0020\u00a0"`: true, "\"\u00a0\"": true,
		`"a"`: false, `" \n."`: false, `"\\n"`: false, `"\u0041"`: false, `"\"\""`: false,
	} {
		require.Equal(t, want, Blank(view(text)), text)
	}
}

// carriedBy is what a memory gives back.
type carriedBy map[string]string

func (c carriedBy) Keep(string, string)   {}
func (c carriedBy) Find(id string) string { return c[id] }

func TestWhatIsSentBackCountsMoreThanWhatIsRemembered(t *testing.T) {
	f := func(want string, c *translate.Context, m translate.Message) {
		t.Helper()
		require.Equal(t, want, Carried(c, &m, "v").Raw)
	}
	calls := []translate.AssistantCall{{ID: "a"}, {ID: "b"}}
	remembering := &translate.Context{Carried: carriedBy{"a": `{"kept":1}`, "b": `{}`}}
	f(`{"sent":1}`, remembering, translate.Message{Calls: calls, Extra: view(`{"v":{"sent":1}}`)})
	f(`{"kept":1}`, remembering, translate.Message{Calls: calls, Extra: view(`{"w":{"sent":1}}`)})
	f(`{"kept":1}`, remembering, translate.Message{Calls: calls})
	f(``, remembering, translate.Message{})
	f(``, remembering, translate.Message{Calls: []translate.AssistantCall{{ID: "c"}}})
	f(``, &translate.Context{}, translate.Message{Calls: calls})
}
