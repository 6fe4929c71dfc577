package anthropic

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting/tokens"
	"github.com/sluicehq/sluice/translate"
	"github.com/sluicehq/sluice/translate/wire"
)

// checker is a Sink that checks what every Sink may rely on.
type checker struct {
	t                 *testing.T
	calls             int
	finished, carried bool
	failed            bool
}

func (c *checker) inside(s string) {
	if !json.Valid([]byte(`"` + s + `"`)) {
		c.t.Errorf("not the inside of a string: %q", s)
	}
}

func (c *checker) value(raw string) {
	if !json.Valid([]byte(raw)) {
		c.t.Errorf("not a value: %q", raw)
	}
}

func (c *checker) Head(string, string, int64)     {}
func (c *checker) Served(string)                  {}
func (c *checker) Open(int)                       {}
func (c *checker) Text(_ int, s string)           { c.inside(s) }
func (c *checker) Reasoning(_ int, s string)      { c.inside(s) }
func (c *checker) Refusal(_ int, s string)        { c.inside(s) }
func (c *checker) Image(_ int, s string)          { c.inside(s) }
func (c *checker) Logprobs(_ int, raw string)     { c.value(raw) }
func (c *checker) Usage(_ tokens.Usage, r string) { c.value(r) }

func (c *checker) Call(int, translate.Call) int {
	c.calls++
	return c.calls - 1
}

func (c *checker) Arguments(_, call int, s string) {
	require.Less(c.t, call, c.calls)
	c.inside(s)
}

func (c *checker) ArgumentsJSON(_, call int, raw string) {
	require.Less(c.t, call, c.calls)
	c.value(raw)
}

func (c *checker) Carry(_ int, _, raw string) {
	require.False(c.t, c.carried || c.finished)
	c.carried = true
	c.value(raw)
	require.LessOrEqual(c.t, len(raw), wire.MaxThoughts+64)
}

func (c *checker) Finish(int, string, string) {
	require.False(c.t, c.finished)
	c.finished = true
}

func (c *checker) Fail(e *translate.Error) {
	require.False(c.t, c.failed || c.finished)
	c.failed = true
	require.NotEmpty(c.t, e.Message)
	require.GreaterOrEqual(c.t, e.Status, 400)
}

// FuzzDecoder feeds lines as events, wrapped in Bedrock's frames or not.
func FuzzDecoder(f *testing.F) {
	paths, err := filepath.Glob("testdata/stream/*.txtar")
	require.NoError(f, err)
	for _, path := range paths {
		content, err := os.ReadFile(path)
		require.NoError(f, err)
		var events []string
		for line := range strings.Lines(string(content)) {
			for _, before := range []string{"data: ", "chunk\t"} {
				if data, ok := strings.CutPrefix(line, before); ok {
					events = append(events, strings.TrimSpace(data))
				}
			}
		}
		f.Add(strings.Join(events, "\n"), false, "")
		f.Add(strings.Join(events, "\n"), true, "json")
	}
	f.Fuzz(func(t *testing.T, stream string, bedrock bool, answerTool string) {
		c := &translate.Context{AnswerTool: answerTool, Carried: memory{}}
		if bedrock {
			c.Platform.Platform = translate.PlatformBedrock
		}
		to := &checker{t: t}
		d := Dialect{}.Decoder(c).(*decoder)
		p := translate.More
		for line := range bytes.SplitSeq([]byte(stream), []byte("\n")) {
			if bedrock && bytes.HasPrefix(line, []byte(`{"type"`)) {
				line = []byte(`{"bytes":"` + base64.StdEncoding.EncodeToString(line) + `"}`)
			}
			if p = d.Event(to, []byte("chunk"), line); p != translate.More {
				break
			}
			require.LessOrEqual(t, len(d.open), maxOpen)
		}
		if p == translate.More {
			p = d.End(to)
		}
		require.Equal(t, p == translate.Complete, to.finished)
		require.Equal(t, p == translate.Failed, to.failed)
	})
}

// FuzzRequest turns any request that can be parsed into JSON or into an error.
func FuzzRequest(f *testing.F) {
	paths, err := filepath.Glob("testdata/request/*.txtar")
	require.NoError(f, err)
	for _, path := range paths {
		content, err := os.ReadFile(path)
		require.NoError(f, err)
		_, rest, _ := strings.Cut(string(content), "-- chat --\n")
		chat, _, _ := strings.Cut(rest, "\n-- ")
		f.Add([]byte(chat))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if !json.Valid(body) {
			return
		}
		chat, failed := translate.ParseChat(body)
		if failed != nil {
			return
		}
		out, failed := Dialect{}.Request(&translate.Context{Model: "m"}, chat)
		require.True(t, failed != nil || json.Valid(out), "%s", out)
	})
}
