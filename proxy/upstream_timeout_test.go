package proxy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// short is a limit that is passed soon, and long one that is not passed in a test.
const (
	short = config.Duration(300 * time.Millisecond)
	long  = config.Duration(time.Hour)
)

// limitedTo returns a change that sets one time limit and takes the others away.
func limitedTo(set func(*config.Timeouts)) func(*config.Config) {
	return func(c *config.Config) {
		c.Timeouts.FirstToken, c.Timeouts.Idle, c.Timeouts.Total = long, long, 0
		set(&c.Timeouts)
	}
}

var (
	firstToken = limitedTo(func(t *config.Timeouts) { t.FirstToken = short })
	idle       = limitedTo(func(t *config.Timeouts) { t.Idle = short })
	total      = limitedTo(func(t *config.Timeouts) { t.Total = short })
)

// dripping sends something every few milliseconds until the peer leaves.
func dripping(head func(*fakeprovider.Exchange), drop string) func(*fakeprovider.Exchange) {
	return func(e *fakeprovider.Exchange) {
		head(e)
		for e.Pause(5*time.Millisecond) && e.Chunk([]byte(drop)) {
		}
		e.Hold()
	}
}

// A provider that is silent for longer than a limit is closed: before the head of its
// answer the client gets an error response, and after it an error event.
// row B11
func TestTimeLimitsOfTheUpstream(t *testing.T) {
	t.Parallel()
	first := fakeprovider.ChatStream(fakeprovider.ChatOptions{})
	chunked := func(e *fakeprovider.Exchange) {
		e.Head(200, "Content-Type: application/json", "Transfer-Encoding: chunked")
	}
	for _, c := range []struct {
		name     string
		limit    func(*config.Config)
		stream   bool
		script   func(*fakeprovider.Exchange)
		phase    accounting.Phase
		events   int // that reach the client; -1 for an error response
		estimate bool
	}{
		{"first token/before headers", firstToken, true, silence, accounting.PhaseAwaitHeaders, -1, true},
		{"first token/before headers", firstToken, false, silence, accounting.PhaseAwaitHeaders, -1, true},
		{"first token/after headers", firstToken, true, streamThenSilence(), accounting.PhaseAwaitToken, 0, true},
		{"first token/after headers", firstToken, false, wholeThenSilence(""), accounting.PhaseAwaitToken, -1, true},
		{"first token/after the role", firstToken, true, streamThenSilence(first[0]), accounting.PhaseAwaitToken, 1, true},
		{"first token/interim responses", firstToken, true, func(e *fakeprovider.Exchange) { e.Head(103); e.Hold() }, accounting.PhaseAwaitHeaders, -1, true},
		{"idle/between tokens", idle, true, streamThenSilence(first[:3]...), accounting.PhaseStreaming, 3, true},
		{"idle/inside an event", idle, true, func(e *fakeprovider.Exchange) {
			e.StreamHead()
			e.Chunk([]byte(chatText(first[:3]) + "data: {"))
			e.Hold()
		}, accounting.PhaseStreaming, 3, true},
		{"idle/in a whole answer", idle, false, wholeThenSilence(`{"id":"x",`), accounting.PhaseStreaming, -1, true},
		{"total/before headers", total, true, silence, accounting.PhaseAwaitHeaders, -1, true},
		{"total/before headers", total, false, silence, accounting.PhaseAwaitHeaders, -1, true},
		{"total/after headers", total, true, streamThenSilence(), accounting.PhaseAwaitToken, 0, true},
		{"total/in a whole answer that drips", total, false, dripping(chunked, " "), accounting.PhaseStreaming, -1, true},
	} {
		t.Run(fmt.Sprintf("%s/stream=%v", c.name, c.stream), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, c.limit, mayBillPartial)
			r.up.Handle(c.script)
			body := map[bool]string{true: streamBody, false: wholeBody}[c.stream]
			p, rec := r.askAs("a", body)
			if c.events < 0 {
				p.requireError(t, 504, "upstream_timeout")
				require.Equal(t, "false", p.header.Get("X-Should-Retry"))
				require.Equal(t, 504, rec.StatusDownstream)
			} else {
				p.requireCut(t, "upstream_timeout", chatText(first[:c.events]))
				require.Equal(t, 200, rec.StatusDownstream)
			}
			requireEnded(t, rec, accounting.OutcomeUpstreamTimeout, c.phase, "upstream_timeout")
			requireUsage(t, rec, accounting.SourceEstimated, accounting.MayBillPartial)
			require.NotNil(t, rec.CloseMicros)
			requireClosed(t, r.up.WaitConn(1))
			require.Len(t, r.up.Exchanges(), 1, "nothing is tried twice")
		})
	}
}

// Silence is noticed in time also when the first token took longer than silence may
// last, and when nothing else makes the timer look.
// row B11
func TestIdleLimitAfterALateFirstToken(t *testing.T) {
	t.Parallel()
	first := fakeprovider.ChatStream(fakeprovider.ChatOptions{})[:3]
	r := newRig(t, idle, func(c *config.Config) { c.KeepAlive, c.Timeouts.ClientStall = 0, 0 })
	r.up.Handle(func(e *fakeprovider.Exchange) {
		e.StreamHead()
		e.Pause(2 * short.Std())
		streamEvents(e, first)
		e.Hold()
	})
	p, rec := r.askAs("a", streamBody)
	p.requireCut(t, "upstream_timeout", chatText(first))
	requireEnded(t, rec, accounting.OutcomeUpstreamTimeout, accounting.PhaseStreaming, "upstream_timeout")
	requireClosed(t, r.up.WaitConn(1))
}

func streamEvents(e *fakeprovider.Exchange, payloads []string) {
	for _, p := range payloads {
		e.Event(p)
	}
}

// A stream that goes on and on ends at the total limit, between two events.
// rows B11, B12
func TestTotalLimitEndsAStreamThatFlows(t *testing.T) {
	t.Parallel()
	for name, drop := range map[string]string{
		"tokens":   chatText(fakeprovider.ChatStream(fakeprovider.ChatOptions{})[1:2]),
		"comments": ": still here\n\n",
		"bytes":    "x", // of an event that never ends
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, total)
			first := ""
			if name == "tokens" {
				first = chatText(fakeprovider.ChatStream(fakeprovider.ChatOptions{})[:1])
			}
			r.up.Handle(dripping(func(e *fakeprovider.Exchange) { e.StreamHead(); e.Chunk([]byte(first + drop)) }, drop))
			p, rec := r.askAs("a", streamBody)
			before := ""
			if name != "bytes" {
				before = first + strings.Repeat(drop, strings.Count(string(p.body), drop))
			}
			p.requireCut(t, "upstream_timeout", before)
			require.Equal(t, accounting.OutcomeUpstreamTimeout, rec.Outcome)
			requireClosed(t, r.up.WaitConn(1))
		})
	}
}

// The limits run from where they say, so a stream may last far longer than any of
// them if only it keeps going.
// rows B11, B12
func TestHealthyStreamOutlivesItsLimits(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *config.Config) {
		c.Timeouts.FirstToken, c.Timeouts.Idle = config.Duration(2*time.Second), config.Duration(2*time.Second)
		c.Timeouts.ClientStall = config.Duration(2 * time.Second)
	})
	texts := make([]string, 30)
	for i := range texts {
		texts[i] = fmt.Sprint(" word", i)
	}
	want := fakeprovider.ChatStream(fakeprovider.ChatOptions{Texts: texts, IncludeUsage: true})
	r.up.Handle(func(e *fakeprovider.Exchange) {
		e.StreamHead()
		for _, p := range want {
			e.Event(p)
			e.Pause(80 * time.Millisecond)
		}
		e.EndChunks()
	})
	p, rec := r.askAs("a", streamBody)
	p.requireWhole(t)
	require.Equal(t, chatText(want), string(p.body))
	require.Equal(t, accounting.OutcomeCompleted, rec.Outcome)
	require.Greater(t, rec.Total, 2*time.Second)
}

// A request that the provider does not take in time has not run.
// row B11
func TestTimeLimitBeforeTheRequestIsSent(t *testing.T) {
	t.Parallel()
	for _, stream := range []bool{true, false} {
		r := newRig(t, firstToken, mayBillPartial)
		r.up.ReceiveBuffer(8 << 10)
		r.up.HoldBody()
		r.up.Handle(silence)
		p, rec := r.askAs("a", picture(16<<20, stream))
		p.requireError(t, 504, "upstream_timeout")
		require.Empty(t, p.header.Get("X-Should-Retry"))
		requireEnded(t, rec, accounting.OutcomeUpstreamTimeout, accounting.PhaseSending, "upstream_timeout")
		requireUsage(t, rec, accounting.SourceNone, accounting.MayBillNone)
		r.up.WaitConn(1).WaitGone(patience)
	}
}

// row B11
func TestTotalLimitWhileConnecting(t *testing.T) {
	t.Parallel()
	r := newRig(t, total, mayBillPartial, func(c *config.Config) { c.Providers[0].BaseURL = "http://" + fakeprovider.Blackhole(t) })
	p, rec := r.askAs("a", streamBody)
	p.requireError(t, 504, "upstream_timeout")
	require.Empty(t, p.header.Get("X-Should-Retry"))
	requireNeverSent(t, rec, accounting.OutcomeUpstreamTimeout, "upstream_timeout")
}

const comment = ": keep-alive\n\n"

// pinging sends comments very often, and takes other limits out of the way.
func pinging(c *config.Config) { c.KeepAlive = config.Duration(10 * time.Millisecond) }

// The client of a silent stream gets comments, which stand between events wherever the
// upstream pauses, and change nothing in what is recorded.
// row B11
func TestCommentsKeepASilentStreamAlive(t *testing.T) {
	t.Parallel()
	for _, request := range []string{streamBody, withoutUsage} {
		r := newRig(t, pinging)
		all := fakeprovider.ChatStream(fakeprovider.ChatOptions{})
		whole := chatText(all)
		next := make(chan struct{})
		parts := inPieces(whole, 100) // cut inside events, mostly
		r.up.Handle(func(e *fakeprovider.Exchange) {
			e.StreamHead()
			for _, part := range parts {
				e.Chunk([]byte(part))
				<-next
			}
			e.EndChunks()
		})
		resp := r.dial().post(request, "X-Request-Id: a")
		var body strings.Builder
		for range parts[1:] {
			for seen := 0; seen < 2; { // two comments between one part and the next
				var b [1]byte
				_, err := resp.Body.Read(b[:])
				require.NoError(t, err)
				body.WriteByte(b[0])
				if strings.HasSuffix(body.String(), comment) {
					seen++
				}
			}
			next <- struct{}{}
		}
		close(next)
		p := read(resp)
		require.NoError(t, p.err)
		body.Write(p.body)
		require.Equal(t, whole, strings.ReplaceAll(body.String(), comment, ""))
		for at, rest := 0, body.String(); ; {
			i := strings.Index(rest[at:], comment)
			if i < 0 {
				break
			}
			at += i
			require.True(t, at == 0 || strings.HasSuffix(rest[:at], "\n\n"), "a comment inside an event")
			at += len(comment)
		}
		rec := r.record("a")
		require.Equal(t, accounting.OutcomeCompleted, rec.Outcome)
		require.EqualValues(t, len(all), rec.Chunks)
		require.EqualValues(t, body.Len(), rec.BytesDelivered)
	}
}

func inPieces(s string, size int) (out []string) {
	for len(s) > 0 {
		n := min(size, len(s))
		out, s = append(out, s[:n]), s[n:]
	}
	return out
}

// No comment is written into the pieces of an event that is too large to be held, nor
// into an answer that is not a stream.
// row B11
func TestCommentsNeverStandInsideAnEvent(t *testing.T) {
	t.Parallel()
	r := newRig(t, pinging)
	big := `data: {"choices":[{"index":0,"delta":{"content":"` + strings.Repeat("x", 2*maxHeld)
	tail := `"}}]}` + "\n\n" + chatText(fakeprovider.ChatStream(fakeprovider.ChatOptions{}))
	r.up.Handle(func(e *fakeprovider.Exchange) {
		if !e.Asked().Stream {
			e.Pause(50 * time.Millisecond)
			e.Head(200, "Content-Type: application/json", "Transfer-Encoding: chunked")
			e.Chunk([]byte(`{"choices":[`))
			e.Pause(100 * time.Millisecond)
			e.Chunk([]byte(`]}`))
			e.EndChunks()
			return
		}
		e.StreamHead()
		e.Chunk([]byte(big))
		e.Pause(100 * time.Millisecond)
		e.Chunk([]byte(tail))
		e.EndChunks()
	})
	p := r.ask(streamBody)
	p.requireWhole(t)
	at := strings.Index(string(p.body), "data: ")
	require.True(t, strings.HasPrefix(string(p.body[at:]), big+`"}}]}`+"\n\n"))
	require.Equal(t, big+tail, strings.ReplaceAll(string(p.body), comment, ""))

	p = r.ask(wholeBody)
	require.Equal(t, `{"choices":[]}`, string(p.body))
}

// Comments of ours are no sign of life of the provider.
// row B11
func TestCommentsDoNotExtendTheLimits(t *testing.T) {
	t.Parallel()
	first := fakeprovider.ChatStream(fakeprovider.ChatOptions{})[:3]
	for name, c := range map[string]struct {
		limit func(*config.Config)
		sent  []string
	}{"first token": {firstToken, nil}, "idle": {idle, first}, "total": {total, first}} {
		r := newRig(t, c.limit, pinging)
		r.up.Handle(streamThenSilence(c.sent...))
		p, rec := r.askAs("a", streamBody)
		require.Contains(t, string(p.body), comment, name)
		p.body = []byte(strings.ReplaceAll(string(p.body), comment, ""))
		p.requireCut(t, "upstream_timeout", chatText(c.sent))
		require.Equal(t, accounting.OutcomeUpstreamTimeout, rec.Outcome)
		requireClosed(t, r.up.WaitConn(1))
	}
}
