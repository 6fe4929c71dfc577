package dialecttest

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting/tokens"
	"github.com/sluicehq/sluice/translate"
)

// Rules checks that a dialect says of every member of a chat request what becomes of
// it, and of no other.
func Rules(t *testing.T, d translate.Dialect) {
	t.Helper()
	rules := d.Rules()
	for _, name := range translate.ChatMembers {
		require.NotZero(t, rules[name], name)
	}
	require.Len(t, rules, len(translate.ChatMembers))
}

// Recording is a provider's recorded answer.
type Recording struct {
	Body   []byte
	Media  string // its content type, empty if that was not recorded
	Status int
}

// EachRecording runs one subtest for each recorded answer of an API. The recordings are
// not part of the repository; root is where they are looked for.
func EachRecording(t *testing.T, root, api string, run func(t *testing.T, r Recording)) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(root, "*", "*", "meta.json"))
	require.NoError(t, err)
	if len(paths) == 0 {
		t.Skip("there are no recordings beside the repository")
	}
	for _, path := range paths {
		var meta struct {
			API     string            `json:"api"`
			Status  int               `json:"status"`
			File    string            `json:"response_file"`
			Headers map[string]string `json:"response_headers"`
		}
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(text, &meta))
		if meta.API != api {
			continue
		}
		t.Run(filepath.Base(filepath.Dir(path)), func(t *testing.T) {
			body, err := os.ReadFile(filepath.Join(filepath.Dir(path), meta.File))
			require.NoError(t, err)
			run(t, Recording{Body: body, Media: meta.Headers["content-type"], Status: meta.Status})
		})
	}
}

// Expectation is what a test has read of an answer on its own.
type Expectation struct {
	Content, Thoughts string
	Calls             []Call // an empty ID is not compared
	Reason, Native    string // of an answer that failed, empty
	Input, Output     tokens.Count
	Cached            tokens.Count
	Failed            bool
}

// Check compares what a decoder made of an answer with an expectation.
func (e Expectation) Check(t *testing.T, r *Recorder, progress translate.Progress) {
	t.Helper()
	require.Equal(t, e.Failed, progress == translate.Failed)
	require.Equal(t, e.Failed, r.Failure != nil)
	if !e.Failed {
		require.Equal(t, translate.Complete, progress)
	} else {
		require.NotEmpty(t, r.Failure.Message)
	}
	require.Equal(t, e.Content, r.Content)
	require.Equal(t, e.Thoughts, r.Thoughts)
	require.Equal(t, e.Reason, r.Reason)
	require.Equal(t, e.Native, r.Native)
	require.Equal(t, e.Input, r.Counts.Input)
	require.Equal(t, e.Output, r.Counts.Output)
	require.Equal(t, e.Cached, r.Counts.InputCached)
	require.Len(t, r.Calls, len(e.Calls))
	for i, call := range e.Calls {
		if call.ID != "" {
			require.Equal(t, call.ID, r.Calls[i].ID)
		}
		require.Equal(t, call.Name, r.Calls[i].Name)
		if call.Arguments != "" || r.Calls[i].Arguments != "" {
			require.JSONEq(t, call.Arguments, r.Calls[i].Arguments)
		}
	}
}

// Chunked decodes a body that arrives in random pieces into chunks for a client, and
// checks that each is JSON.
func Chunked(t *testing.T, d translate.Dialect, f translate.Framing, body []byte) {
	t.Helper()
	for _, size := range []int{1, 7, 1 + rand.IntN(64), 4096} {
		w := translate.NewChunkWriter(translate.Head{ID: "id", Model: "m", Created: 1}, translate.WriterOptions{Extensions: true})
		w.Lend(nil)
		Stream(d, w, f, body, size)
		for data := range w.Events(w.Take(), 0) {
			require.True(t, json.Valid(data), "%s", data)
		}
	}
}

// Discard is a Sink that keeps nothing, to measure what a decoder costs.
type Discard struct{ translate.Sink }

// Text implements translate.Sink.
func (Discard) Text(int, string) {}

// Reasoning implements translate.Sink.
func (Discard) Reasoning(int, string) {}

// Arguments implements translate.Sink.
func (Discard) Arguments(int, int, string) {}

// ArgumentsJSON implements translate.Sink.
func (Discard) ArgumentsJSON(int, int, string) {}

// Call implements translate.Sink.
func (Discard) Call(int, translate.Call) int { return 0 }

// Head implements translate.Sink.
func (Discard) Head(string, string, int64) {}

// Open implements translate.Sink.
func (Discard) Open(int) {}

// Usage implements translate.Sink.
func (Discard) Usage(tokens.Usage, string) {}

// BenchmarkEvent measures one event after a first one.
func BenchmarkEvent(b *testing.B, d translate.Dialect, first, event string) {
	b.Helper()
	var to translate.Sink = Discard{}
	decoder := d.Decoder(&translate.Context{Stream: true})
	decoder.Event(to, nil, []byte(first))
	data := []byte(event)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if decoder.Event(to, nil, data) != translate.More {
			b.Fatal("the event was not read")
		}
	}
}
