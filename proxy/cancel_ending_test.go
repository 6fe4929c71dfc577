package proxy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/accounting/tokens"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

func hashOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// chunkView is what the tests look at in a chunk.
type chunkView struct {
	ID, Object, Model string
	Created           int64
	Choices           []struct {
		Index        int
		Text         *string
		Delta        json.RawMessage
		FinishReason *string `json:"finish_reason"`
	}
	Usage  json.RawMessage
	Sluice *struct {
		Outcome     string
		UsageSource string `json:"usage_source"`
	}
}

func chunksOf(t testing.TB, payloads []string) []chunkView {
	t.Helper()
	out := make([]chunkView, len(payloads))
	for i, p := range payloads {
		require.NoError(t, json.Unmarshal([]byte(p), &out[i]), "%s", p)
	}
	return out
}

// requireCancelEnding asserts the well-formed end of a cancelled chat stream: for each
// open choice a last chunk, the usage if it was asked for, and the sentinel. before
// are the events that the upstream had sent.
func requireCancelEnding(t testing.TB, p reply, before []string, open int, withUsage bool, source accounting.Source) []chunkView {
	t.Helper()
	p.requireWhole(t)
	require.True(t, strings.HasPrefix(p.header.Get("Content-Type"), "text/event-stream"))
	data := p.data()
	require.Equal(t, before, data[:len(before)])
	ending := chunksOf(t, data[len(before):len(data)-1])
	want := open
	if withUsage {
		want++
	}
	require.Len(t, ending, want, "%v", data[len(before):])
	for i, c := range ending {
		require.NotEmpty(t, c.ID)
		require.Positive(t, c.Created)
		require.NotEmpty(t, c.Model)
		require.NotNil(t, c.Sluice)
		require.Equal(t, "cancelled", c.Sluice.Outcome)
		require.Equal(t, string(source), c.Sluice.UsageSource)
		if i < open {
			require.Len(t, c.Choices, 1)
			require.Equal(t, "stop", *c.Choices[0].FinishReason)
			continue
		}
		require.NotNil(t, c.Choices, "choices must be an empty list")
		require.Empty(t, c.Choices)
		require.True(t, json.Valid(c.Usage))
		require.NotEqual(t, "null", string(c.Usage))
	}
	return ending
}

// cancelPoints are the phases in which a stream can be cancelled, and what the client
// has had by then.
var cancelPoints = []struct {
	phase  accounting.Phase
	script func(*fakeprovider.Exchange)
	body   string
	before []string
	source accounting.Source
}{
	{accounting.PhaseSending, silence, picture(6<<20, true), []string{}, accounting.SourceNone},
	{accounting.PhaseAwaitHeaders, silence, streamBody, []string{}, accounting.SourceEstimated},
	{accounting.PhaseAwaitToken, streamThenSilence(), streamBody, []string{}, accounting.SourceEstimated},
	{accounting.PhaseAwaitToken, streamThenSilence(firstChunks[0]), streamBody, firstChunks[:1], accounting.SourceEstimated},
	{accounting.PhaseStreaming, streamThenSilence(firstChunks...), streamBody, firstChunks, accounting.SourceEstimated},
}

// In whatever phase a stream is cancelled, its client gets a well-formed end, its
// connection serves on, and the upstream is closed.
// row A17
func TestCancelledStreamEndsWellInEveryPhase(t *testing.T) {
	t.Parallel()
	for _, p := range cancelPoints {
		t.Run(p.phase.String(), func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			if p.phase == accounting.PhaseSending {
				r.up.ReceiveBuffer(8 << 10)
				r.up.HoldBody()
			}
			r.up.Handle(p.script)
			c := r.dial()
			c.send("POST", chatPath, p.body, "X-Request-Id: a")
			e := r.up.WaitExchange(1)
			x := r.inPhase(p.phase)
			r.until("the chunks are not counted", func() bool { return x.last().live.chunks.Load() == int64(len(p.before)) })
			r.cancel("a")

			requireClosed(t, e.Conn)
			got := read(c.response())
			usage := p.body == streamBody // which asks for it
			ending := requireCancelEnding(t, got, p.before, 1, usage, p.source)
			for _, chunk := range ending {
				require.Equal(t, "chat.completion.chunk", chunk.Object)
			}
			rec := r.record("a")
			requireEnded(t, rec, accounting.OutcomeCancelled, p.phase, "cancelled")
			require.Equal(t, p.source, rec.UsageSource)
			require.Equal(t, 200, rec.StatusDownstream)
			require.EqualValues(t, len(got.body), rec.BytesDelivered)
			require.True(t, rec.Delivered)
			require.Len(t, r.up.Exchanges(), 1)

			r.up.Handle(fakeprovider.DefaultScript)
			if p.phase != accounting.PhaseSending { // the next connection would be slow too
				c.askOn(chatPath, streamBody).requireWhole(t)
			}
		})
	}
}

// A stream cancelled while its provider is being dialled ends as well.
// row A17
func TestCancelledStreamEndsWellWhileDialing(t *testing.T) {
	t.Parallel()
	up := fakeprovider.New(t)
	up.NeverHandshake()
	r := newRig(t, func(c *config.Config) { c.Providers[0].BaseURL = up.URL() })
	c := r.dial()
	c.send("POST", chatPath, streamBody, "X-Request-Id: a")
	conn := up.WaitConn(1)
	r.inPhase(accounting.PhaseConnect)
	r.cancel("a")

	conn.WaitGone(patience)
	ending := requireCancelEnding(t, read(c.response()), []string{}, 1, true, accounting.SourceNone)
	require.Equal(t, "m", ending[0].Model)
	require.JSONEq(t, `{"prompt_tokens":null,"completion_tokens":null,"total_tokens":null}`, string(ending[1].Usage))
	rec := r.record("a")
	requireEnded(t, rec, accounting.OutcomeCancelled, accounting.PhaseConnect, "cancelled")
	requireNeverRan(t, rec)
}

// The end that sluice writes repeats what the provider's chunks had in common, and
// carries the usage that the record states.
// row A17
func TestCancelEndingMatchesTheStreamAndTheRecord(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *config.Config) {
		c.Models = []config.Model{{Name: "fast", Targets: []config.Target{{Provider: "fake", Model: "vendor-1", Weight: 1}}}}
	})
	r.up.Handle(streamThenSilence(fakeprovider.ChatStream(fakeprovider.ChatOptions{Model: "vendor-1-2026", RunningUsage: true})[:4]...))
	c := r.dial()
	resp := c.post(strings.Replace(streamBody, `"m"`, `"fast"`, 1), "X-Request-Id: a")
	r.until("the chunks are not counted", func() bool { return r.srv.running.get("a").last().live.chunks.Load() == 4 })
	r.cancel("a")

	p := read(resp)
	all := chunksOf(t, p.data()[:len(p.data())-1])
	ending := all[len(all)-2:]
	for _, chunk := range all {
		require.Equal(t, "chatcmpl-fake", chunk.ID)
		require.Equal(t, "fast", chunk.Model)
		require.EqualValues(t, 1700000000, chunk.Created)
		require.Equal(t, "chat.completion.chunk", chunk.Object)
	}
	require.Equal(t, "running", ending[0].Sluice.UsageSource)
	require.JSONEq(t, `{"prompt_tokens":10,"completion_tokens":3,"total_tokens":13}`, string(ending[1].Usage))
	rec := r.record("a")
	require.Equal(t, accounting.SourceRunning, rec.UsageSource)
	require.Equal(t, tokens.Known(10), rec.Usage.Input)
	require.Equal(t, tokens.Known(3), rec.Usage.Output)
}

// Without asking for usage a client gets none, not even a null.
// row A17
func TestCancelEndingHasNoUsageUnlessAsked(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.up.Handle(streamThenSilence(fakeprovider.ChatStream(fakeprovider.ChatOptions{NullUsage: true})[:3]...))
	c := r.dial()
	resp := c.post(withoutUsage, "X-Request-Id: a")
	r.until("the chunks are not counted", func() bool { return r.srv.running.get("a").last().live.chunks.Load() == 3 })
	r.cancel("a")
	p := read(resp)
	requireCancelEnding(t, p, firstChunks, 1, false, accounting.SourceEstimated)
	require.NotContains(t, string(p.body), `"usage":`)
}

// Only the choices that are still open get a last chunk; with none open nothing but
// the usage and the sentinel is missing.
// row A17
func TestCancelEndingClosesOpenChoicesOnly(t *testing.T) {
	t.Parallel()
	f := func(stream []string, n string, open []int) {
		t.Helper()
		r := newRig(t)
		r.up.Handle(streamThenSilence(stream...))
		c := r.dial()
		resp := c.post(strings.Replace(streamBody, `"stream":true`, `"n":`+n+`,"stream":true`, 1), "X-Request-Id: a")
		r.until("the chunks are not counted", func() bool { return r.srv.running.get("a").last().live.chunks.Load() == int64(len(stream)) })
		r.cancel("a")
		ending := requireCancelEnding(t, read(resp), stream, len(open), true, accounting.SourceEstimated)
		for i, index := range open {
			require.Equal(t, index, ending[i].Choices[0].Index)
		}
	}
	two := fakeprovider.ChatStream(fakeprovider.ChatOptions{Choices: 2, NoDone: true})
	f(two[:4], "2", []int{0, 1})
	f(two[:len(two)-1], "2", []int{1})
	f(two, "2", nil)
	one := fakeprovider.ChatStream(fakeprovider.ChatOptions{NoDone: true})
	f(one, "1", nil)
	f(one[:len(one)-1], "1", []int{0})
}

// While a tool call is open no finish reason is invented: an error keeps half a call
// from being executed.
// row A17
func TestCancelWithAnOpenToolCallEndsInAnError(t *testing.T) {
	t.Parallel()
	calls := fakeprovider.ChatStream(fakeprovider.ChatOptions{
		ToolCalls: []fakeprovider.ToolCall{{ID: "call_1", Name: "pay", Arguments: []string{`{"amount":`, `100`, `}`}}}, NoDone: true,
	})
	f := func(stream []string, open bool) {
		t.Helper()
		r := newRig(t)
		r.up.Handle(streamThenSilence(stream...))
		c := r.dial()
		resp := c.post(streamBody, "X-Request-Id: a")
		r.until("the chunks are not counted", func() bool { return r.srv.running.get("a").last().live.chunks.Load() == int64(len(stream)) })
		r.cancel("a")
		p := read(resp)
		rec := r.record("a")
		requireEnded(t, rec, accounting.OutcomeCancelled, accounting.PhaseStreaming, "cancelled")
		require.Len(t, rec.ToolCalls, 1)
		require.Equal(t, !open, rec.ToolCalls[0].Complete)
		if !open {
			requireCancelEnding(t, p, stream, 0, true, accounting.SourceEstimated)
			return
		}
		p.requireWhole(t)
		data := p.data()
		require.Equal(t, stream, data[:len(stream)])
		require.Len(t, data, len(stream)+2)
		require.Equal(t, "cancelled", errorOf(t, []byte(data[len(stream)])))
		for _, chunk := range chunksOf(t, data[:len(data)-1]) {
			for _, choice := range chunk.Choices {
				require.Nil(t, choice.FinishReason)
			}
		}
		r.up.Handle(fakeprovider.DefaultScript)
		c.askOn(chatPath, streamBody).requireWhole(t)
	}
	for k := 2; k < len(calls); k++ { // from the call's first chunk to its last argument
		f(calls[:k], true)
	}
	f(calls, false)
}

// A cancelled legacy completion ends in its own format.
// row A17
func TestCancelledTextCompletionEndsWell(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	chunk := `{"id":"cmpl-1","object":"text_completion","created":1700000000,"model":"m","choices":[{"index":0,"text":"Hello","logprobs":null,"finish_reason":null}]}`
	r.up.Handle(streamThenSilence(chunk))
	c := r.dial()
	c.send("POST", "/v1/completions", `{"model":"m","stream":true,"prompt":"Say hello."}`, "X-Request-Id: a")
	resp := c.response()
	r.until("the chunk is not counted", func() bool { return r.srv.running.get("a").last().live.chunks.Load() == 1 })
	r.cancel("a")
	ending := requireCancelEnding(t, read(resp), []string{chunk}, 1, false, accounting.SourceEstimated)
	require.Equal(t, "text_completion", ending[0].Object)
	require.Equal(t, "cmpl-1", ending[0].ID)
	require.NotNil(t, ending[0].Choices[0].Text)
	require.Empty(t, *ending[0].Choices[0].Text)
}

// A request for a whole answer is cancelled with an error in every phase, and its
// connection serves on.
// row A17
func TestCancelledWholeAnswerIsAnError(t *testing.T) {
	t.Parallel()
	for _, p := range []struct {
		phase  accounting.Phase
		script func(*fakeprovider.Exchange)
		source accounting.Source
	}{
		{accounting.PhaseSending, silence, accounting.SourceNone},
		{accounting.PhaseAwaitHeaders, silence, accounting.SourceEstimated},
		{accounting.PhaseAwaitToken, wholeThenSilence(""), accounting.SourceEstimated},
		{accounting.PhaseStreaming, wholeThenSilence(`{"id":"x"`), accounting.SourceEstimated},
	} {
		t.Run(p.phase.String(), func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			body := wholeBody
			if p.phase == accounting.PhaseSending {
				body = picture(6<<20, false)
				r.up.ReceiveBuffer(8 << 10)
				r.up.HoldBody()
			}
			r.up.Handle(p.script)
			c := r.dial()
			c.send("POST", chatPath, body, "X-Request-Id: a")
			e := r.up.WaitExchange(1)
			r.inPhase(p.phase)
			r.cancel("a")

			requireClosed(t, e.Conn)
			got := read(c.response())
			got.requireError(t, 499, "cancelled")
			require.Equal(t, "a", got.header.Get("X-Request-Id"))
			rec := r.record("a")
			requireEnded(t, rec, accounting.OutcomeCancelled, p.phase, "cancelled")
			require.Equal(t, p.source, rec.UsageSource)
			require.Equal(t, 499, rec.StatusDownstream)
			if p.phase != accounting.PhaseSending {
				r.up.Handle(fakeprovider.DefaultScript)
				require.Equal(t, 200, c.askOn(chatPath, wholeBody).status)
			}
		})
	}
}

// A provider that answers a request for a stream with a whole answer changes nothing
// for a client that cancels meanwhile: it asked for a stream.
// row A17
func TestCancelledStreamThatIsAnsweredAsAWhole(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.up.Handle(wholeThenSilence(`{"id":"x"`))
	c := r.dial()
	c.send("POST", chatPath, streamBody, "X-Request-Id: a")
	r.inPhase(accounting.PhaseStreaming)
	r.cancel("a")
	requireCancelEnding(t, read(c.response()), []string{}, 1, true, accounting.SourceEstimated)
	requireClosed(t, r.up.WaitExchange(1).Conn)
}
