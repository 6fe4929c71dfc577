package proxy

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/accounting/tokens"
	"github.com/sluicehq/sluice/internal/fakeprovider"
	"github.com/sluicehq/sluice/internal/recordings"
)

// asChunks lets the fake upstream answer with an event stream whose chunks are these
// pieces, each in a write of its own.
func (r *rig) asChunks(pieces ...[]byte) {
	r.up.Handle(func(e *fakeprovider.Exchange) {
		e.StreamHead()
		for _, p := range pieces {
			if len(p) > 0 {
				e.Chunk(p)
			}
		}
		e.EndChunks()
	})
}

// asReads is asChunks with pauses that make each piece likely to be read alone.
func (r *rig) asReads(pieces ...[]byte) {
	r.up.Handle(func(e *fakeprovider.Exchange) {
		e.StreamHead()
		for _, p := range pieces {
			if len(p) > 0 {
				e.Chunk(p)
				e.Pause(200 * time.Microsecond)
			}
		}
		e.EndChunks()
	})
}

// splitStream has what a cut can fall into: characters of several bytes, escapes,
// surrogate pairs, all kinds of lines, and a tool call.
func splitStream(eol string) []byte {
	return []byte(strings.ReplaceAll("\xEF\xBB\xBF: héllo\n\n"+
		"id: 7\nevent: x\nretry: 10\ndata: {\"choices\":[{\"delta\":{\"content\":\"h\\u00e9\\ud83d\\ude00 日本\"}}],\"usage\":null}\n\n"+
		"data:{\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"c\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":\"}}]}}]}\n\n"+
		"data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"1}\"}}]},\"finish_reason\":\"tool_calls\"}]}\n\n\n"+
		"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":5}}\n\n"+
		"data: [DONE]\n\n", "\n", eol))
}

// Wherever a stream is cut on its way, the client gets the same bytes and the record
// the same totals.
// row B28
func TestEverySplitGivesTheSameBytesAndTotals(t *testing.T) {
	t.Parallel()
	for name, eol := range map[string]string{"LF": "\n", "CRLF": "\r\n", "CR": "\r"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			stream := splitStream(eol)
			c := r.dial()
			for cut := range len(stream) {
				r.asReads(stream[:cut], stream[cut:])
				p := read(c.post(streamBody))
				require.NoError(t, p.err, "cut at %d", cut)
				require.Equal(t, string(stream), string(p.body), "cut at %d", cut)
			}
			for _, rec := range r.allEnded() {
				require.Equal(t, accounting.OutcomeCompleted, rec.Outcome)
				require.Equal(t, tokens.Known(3), rec.Usage.Input)
				require.Equal(t, tokens.Known(5), rec.Usage.Output)
				require.Equal(t, []accounting.ToolCallSummary{{Name: "f", ArgumentBytes: 7, Complete: true}}, rec.ToolCalls)
				require.Equal(t, []string{"tool_calls"}, rec.FinishReasons)
				require.EqualValues(t, 5, rec.Chunks)
				require.Zero(t, rec.BadEvents)
			}
		})
	}
}

// The same with usage to hide, so that every event goes through the editor.
// rows B28, B30
func TestEverySplitLosesOnlyTheHiddenUsage(t *testing.T) {
	t.Parallel()
	for name, eol := range map[string]string{"LF": "\n", "CRLF": "\r\n", "CR": "\r"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			stream := splitStream(eol)
			want := strings.Replace(string(stream), `,"usage":null`, "", 1)
			want = strings.Replace(want, "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":5}}"+eol+eol, "", 1)
			c := r.dial()
			for cut := range len(stream) {
				r.asReads(stream[:cut], stream[cut:])
				p := read(c.post(withoutUsage))
				require.NoError(t, p.err, "cut at %d", cut)
				require.Equal(t, want, string(p.body), "cut at %d", cut)
			}
			for _, rec := range r.allEnded() {
				require.Equal(t, accounting.SourceReported, rec.UsageSource)
				require.Equal(t, tokens.Known(5), rec.Usage.Output)
			}
		})
	}
}

// A hidden event takes its whole line end with it, also the half that comes later.
// rows B28, B30
func TestHiddenEventCutInsideItsLineEndLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	text, end := "data: "+chunkWith("hi", "null", "")+"\r\n\r\ndata: "+chunkWith("", "stop", "")+"\r\n\r\n", "data: [DONE]\r\n\r\n"
	r := newRig(t)
	seen := make(chan struct{})
	r.up.Handle(func(e *fakeprovider.Exchange) {
		e.Chunk([]byte(text + "data: " + usageOnly(`{"prompt_tokens":3}`) + "\r\n\r"))
		<-seen
		e.Chunk([]byte("\n" + end))
		e.EndChunks()
	})
	resp := r.dial().post(withoutUsage)
	x := r.inPhase(accounting.PhaseStreaming)
	r.until("the hidden event was not read", func() bool { return x.last().live.chunks.Load() == 3 })
	close(seen)
	p := read(resp)
	require.NoError(t, p.err)
	require.Equal(t, text+end, string(p.body))
}

// The last event has its whole line end, though nothing behind it is waited for.
// row B28
func TestLastEventCutInsideItsLineEndIsWhole(t *testing.T) {
	t.Parallel()
	for path, c := range map[string]struct{ request, end, behind string }{
		chatPath:        {streamBody, "data: [DONE]\r\n\r", ""},
		"/v1/responses": {responsesBody, "data: {\"type\":\"response.completed\",\"response\":{\"status\":\"completed\",\"output\":[]}}\r\n\r", "data: [DONE]\r\n\r\n"},
	} {
		r := newRig(t)
		r.up.Handle(func(e *fakeprovider.Exchange) {
			e.Chunk([]byte(c.end))
			e.Chunk([]byte("\n" + c.behind))
			e.EndChunks()
		})
		p := r.dial().askOn(path, c.request)
		require.NoError(t, p.err)
		require.Equal(t, c.end+"\n"+c.behind, string(p.body))
	}
}

// One byte at a time, in chunks and in writes, is slow but nothing else.
// rows B12, B28
func TestByteByByte(t *testing.T) {
	t.Parallel()
	stream := splitStream("\r\n")
	r := newRig(t)
	wire := fakeprovider.Response(200, "text/event-stream", fakeprovider.Chunked, bytes.Split(stream, nil)...)
	r.up.Handle(func(e *fakeprovider.Exchange) {
		for i := range wire {
			e.Raw(wire[i : i+1])
		}
		e.KeepAlive()
	})
	p, rec := r.askAs("a", streamBody)
	require.NoError(t, p.err)
	require.Equal(t, string(stream), string(p.body))
	require.Equal(t, tokens.Known(5), rec.Usage.Output)
}

// An event of 64 KiB that comes byte by byte costs no more for each byte than for the
// first ones: it arrives while the test is young.
// row B12
func TestLargeEventInOneByteChunks(t *testing.T) {
	t.Parallel()
	events := fakeprovider.ChatStream(fakeprovider.ChatOptions{Texts: []string{strings.Repeat("x", 64<<10)}, IncludeUsage: true})
	r := newRig(t)
	wire := fakeprovider.Response(200, "text/event-stream", fakeprovider.Chunked, bytes.Split([]byte(chatText(events)), nil)...)
	r.up.Handle(func(e *fakeprovider.Exchange) {
		e.Raw(wire)
		e.KeepAlive()
	})
	p, rec := r.askAs("a", streamBody)
	p.requireWhole(t)
	requireSame(t, chatText(events), p.body)
	require.Equal(t, accounting.SourceReported, rec.UsageSource)
}

// notJSON are payloads that no parser of JSON accepts.
var notJSON = []string{
	"", "{", "}", "[", "]", "{]", "nul", "tru", "NaN", "Infinity", "01", "1.", ".5", "+1", "1e", "0x1", "'a'", `"a`, `"\x"`, `"\u12"`, `{"a"}`, `{"a":}`,
	`{"a":1,}`, `{,}`, `{"a":1 "b":2}`, `[1,]`, `[1 2]`, `{"a":"b"} x`, `{"choices":[`, `{"choices":[{"delta":{"content":"x"}]}`, `{a:1}`, `{'a':1}`,
	`{"usage":{"prompt_tokens":1}`, `{"error":{"message":"x"}`, "\x00", "\xff\xfe", `"` + "\t" + `"`, `{"a":"` + "\x01" + `"}`, strings.Repeat("[", 10_000), strings.Repeat(`{"a":`, 10_000),
	"/* c */ {}", "{} // c", "hello", "[DONE", "undefined", `{"a":1}{"b":2}`,
}

// What is not JSON is none of sluice's business: it passes, is counted, and spoils
// nothing around it.
// row B26
func TestPayloadsThatAreNotJSONPass(t *testing.T) {
	t.Parallel()
	events := append([]string(nil), notJSON...)
	events = append(events, `"text"`, `1`, `null`, `[]`) // JSON, but no object
	events = append(events, fakeprovider.ChatStream(fakeprovider.ChatOptions{IncludeUsage: true})...)
	r := newRig(t)
	r.play(events)
	p, rec := r.askAs("a", streamBody)
	require.NoError(t, p.err)
	requireSame(t, chatText(events), p.body)
	require.Equal(t, accounting.OutcomeCompleted, rec.Outcome)
	require.EqualValues(t, len(notJSON)+4-1, rec.BadEvents, "empty data is not bad")
	require.Equal(t, tokens.Known(4), rec.Usage.Output)
	require.Equal(t, accounting.SourceReported, rec.UsageSource)

	p = r.ask(withoutUsage)
	plain := append(append([]string(nil), events[:len(notJSON)+4]...), fakeprovider.ChatStream(fakeprovider.ChatOptions{})...)
	requireSame(t, chatText(plain), p.body)
}

// Bytes that are no text at all pass as they are.
// row B27
func TestRandomBytesPassByteForByte(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(27, 27))
	tail := "\n\n" + chatText(fakeprovider.ChatStream(fakeprovider.ChatOptions{IncludeUsage: true}))
	r := newRig(t)
	c := r.dial()
	for range 100 {
		noise := make([]byte, rng.IntN(20_000))
		for i := range noise {
			noise[i] = byte(rng.Uint32())
			if rng.IntN(20) == 0 {
				noise[i] = "\n\r:d\x00"[rng.IntN(5)]
			}
		}
		stream := append([]byte("\xEF\xBB\xBF"), noise...)
		stream = append(append(stream, "\ndata: \xff\xc0\x80\xed\xa0\x80\x00"...), tail...)
		r.asChunks(recordings.Chunks(rng, stream)...)
		p := read(c.post(streamBody))
		require.NoError(t, p.err)
		require.True(t, bytes.Equal(stream, p.body))
	}
	for _, rec := range r.allEnded() {
		require.Equal(t, accounting.OutcomeCompleted, rec.Outcome)
		require.Equal(t, tokens.Known(4), rec.Usage.Output)
	}
}

// Very many tiny events and comments pass unchanged, and several that arrive together
// leave together.
// row B25
func TestManyTinyEventsLeaveTogether(t *testing.T) {
	t.Parallel()
	const n = 100_000
	tiny := bytes.Repeat([]byte("data:x\n\n:x\n\n"), n)
	tail := chatText(fakeprovider.ChatStream(fakeprovider.ChatOptions{IncludeUsage: true}))
	for _, request := range []string{streamBody, withoutUsage} {
		r := newRig(t)
		r.up.Handle(func(e *fakeprovider.Exchange) {
			e.StreamHead()
			for rest := tiny; len(rest) > 0; {
				k := min(len(rest), 60_000)
				e.Chunk(rest[:k])
				rest = rest[k:]
			}
			e.Chunk([]byte(tail))
			e.EndChunks()
		})
		c := r.dial()
		c.send("POST", chatPath, request, "X-Request-Id: a", "Connection: close")
		raw, err := io.ReadAll(c)
		require.NoError(t, err)
		_, chunked, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
		body, chunks := unframed(t, chunked)
		require.True(t, bytes.HasPrefix(body, tiny))
		require.Less(t, chunks, n/50, "events that came together were sent one by one")

		rec := r.record("a")
		require.Equal(t, accounting.OutcomeCompleted, rec.Outcome)
		require.EqualValues(t, n, rec.BadEvents)
		require.Equal(t, accounting.SourceReported, rec.UsageSource)
	}
}

// unframed takes the chunks off a body and counts them.
func unframed(t testing.TB, framed []byte) (body []byte, chunks int) {
	t.Helper()
	for {
		line, rest, ok := bytes.Cut(framed, []byte("\r\n"))
		require.True(t, ok)
		var size int
		_, err := fmt.Sscanf(string(line), "%x", &size)
		require.NoError(t, err)
		if size == 0 {
			require.Equal(t, "\r\n", string(rest))
			return body, chunks
		}
		body = append(body, rest[:size]...)
		require.Equal(t, "\r\n", string(rest[size:size+2]))
		framed = rest[size+2:]
		chunks++
	}
}
