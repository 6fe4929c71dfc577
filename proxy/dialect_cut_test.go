package proxy

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/internal/chatrules"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// briefly is a short stream of a voice, and how much of it says that the answer is
// whole: all up to the last byte of the event that says why the model has stopped.
func briefly(v *fakeprovider.Voice) (pieces [][]byte, whole int) {
	v = v.Fresh()
	pieces = [][]byte{v.Start(), v.Text("one "), v.End(false)}
	body, end := bytes.Join(pieces, nil), pieces[2]
	switch v.ContentType() {
	case "application/x-ndjson":
		return pieces, len(body) - 1
	case "application/vnd.amazon.eventstream": // one more frame follows
		last := end
		for size := 0; size < len(last); size = int(binary.BigEndian.Uint32(last)) {
			last = last[size:]
		}
		return pieces, len(body) - len(last)
	}
	marker := map[string]string{"openai": `"finish_reason":"stop"`, "anthropic": `"stop_reason":"end_turn"`, "gemini": `"finishReason"`, "cohere": `"COMPLETE"`}[v.Dialect]
	at := bytes.LastIndex(body, []byte(marker))
	line := bytes.IndexByte(body[at:], '\n')
	return pieces, at + len(bytes.TrimRight(body[at:at+line], "\r\n"))
}

// A stream that ends after any of its bytes, whatever its framing, is whole exactly when
// its content says so. Before that no reader can take it for whole.
// rows B8, B9, B10
func TestStreamsOfEveryDialectCutAtManyBytes(t *testing.T) {
	inEveryDialect(t, func(t *testing.T, v *fakeprovider.Voice) {
		pieces, whole := briefly(v)
		body := bytes.Join(pieces, nil)
		for name, framing := range framings {
			r := newRig(t, speaking(v))
			wire := fakeprovider.Response(200, v.ContentType(), framing, body)
			head := bytes.Index(wire, body)
			for cut := 0; cut <= len(body); cut++ {
				if cut%17 != 0 && cut < whole-12 || cut%5 != 0 && cut > whole+5 {
					continue
				}
				r.up.Handle(func(e *fakeprovider.Exchange) { e.Raw(wire[:head+cut]) })
				id := fmt.Sprint("cut-", cut)
				p, rec := r.askAs(id, streamBody)
				where := fmt.Sprintf("%s, cut at %d of %d: %s", name, cut, whole, p.body)
				if cut < whole {
					require.Equal(t, accounting.OutcomeUpstreamTruncated, rec.Outcome, where)
					require.Error(t, p.err, where)
					require.Contains(t, string(p.body), `"code":"upstream_truncated"`, where)
					require.NotContains(t, string(p.body), `"finish_reason":"`, where)
					require.NotContains(t, string(p.body), "[DONE]", where)
					require.Zero(t, rec.BadEvents, where)
					continue
				}
				require.NoError(t, p.err, where)
				require.Equal(t, accounting.OutcomeCompleted, rec.Outcome, where)
				o := rulesFor(v)
				o.UsageUnstated = true
				got := chatrules.CheckStream(t, p.body, o)
				require.True(t, got.Done, where)
				require.Equal(t, "one ", got.Choices[0].Text, where)
				require.Equal(t, "stop", got.Choices[0].Finish, where)
				require.NotEqual(t, accounting.SourceNone, rec.UsageSource, where)
				require.True(t, rec.Delivered, where)
			}
			r.requireUpstreamsClosed()
		}
	})
}

// The same of a body that is cut inside a chunk, or reset, behind the event that makes
// the answer whole; a reset may swallow what was sent before it.
// rows B7, B8
func TestAnswersOfEveryDialectAreWholeWhateverEndsTheBody(t *testing.T) {
	inEveryDialect(t, func(t *testing.T, v *fakeprovider.Voice) {
		pieces, _ := briefly(v)
		r := newRig(t, speaking(v))
		for i, tail := range []string{"", "1", "1000\r\nda", "garbage\r\n"} {
			r.up.Handle(func(e *fakeprovider.Exchange) {
				say(e, v, pieces...)
				e.Raw([]byte(tail))
				e.Cut()
			})
			p, rec := r.askAs(fmt.Sprint("a", i), streamBody)
			p.requireWhole(t)
			require.Equal(t, accounting.OutcomeCompleted, rec.Outcome)
			require.Equal(t, accounting.SourceReported, rec.UsageSource)
			require.Equal(t, i+1, r.up.Conns(), "the connection was used again")
		}
		for i := range pieces {
			r.up.Handle(func(e *fakeprovider.Exchange) {
				say(e, v, pieces[:i]...)
				e.Reset()
			})
			p, rec := r.askAs(fmt.Sprint("reset", i), streamBody)
			require.NotContains(t, string(p.body), "[DONE]")
			require.NotContains(t, string(p.body), `"finish_reason":"`)
			require.Contains(t, []string{"upstream_reset", "upstream_closed"}, rec.Code)
			require.Equal(t, accounting.OutcomeUpstreamError, rec.Outcome)
		}
	})
}

// A connection that ends before its head is complete has brought no answer, and the
// request is not sent again.
// rows B5, B6
func TestNoAnswerInAnyDialect(t *testing.T) {
	inEveryDialect(t, func(t *testing.T, v *fakeprovider.Voice) {
		r := newRig(t, speaking(v), mayBillPartial)
		n := 0
		for name, end := range map[string]func(*fakeprovider.Exchange){
			"fin": (*fakeprovider.Exchange).Cut, "rst": (*fakeprovider.Exchange).Reset,
			"head": func(e *fakeprovider.Exchange) {
				e.Raw([]byte("HTTP/1.1 200 OK\r\nContent-Type: " + v.ContentType()))
				e.Cut()
			},
		} {
			for kind, body := range bothKinds {
				r.up.Handle(end)
				p, rec := r.askAs(name+kind, body)
				p.requireError(t, 502, "upstream_closed")
				require.Equal(t, "false", p.header.Get("X-Should-Retry"))
				requireEnded(t, rec, accounting.OutcomeUpstreamError, accounting.PhaseAwaitHeaders, "upstream_closed")
				requireUsage(t, rec, accounting.SourceEstimated, accounting.MayBillPartial)
				n++
				require.Len(t, r.up.Exchanges(), n)
			}
		}
	})
}

// Nothing of what is no HTTP, nor of a redirect, reaches the client or the log.
// rows B13, B18, B19
func TestStrangeHeadsInEveryDialect(t *testing.T) {
	inEveryDialect(t, func(t *testing.T, v *fakeprovider.Voice) {
		const canary = "canary-9c1d"
		r := newRig(t, speaking(v))
		elsewhere := fakeprovider.New(t)
		for name, c := range map[string]struct{ raw, code string }{
			"garbage":  {"hello " + canary + "\r\n\r\n", "upstream_bad_response"},
			"switched": {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: " + canary + "\r\n\r\n", "upstream_bad_response"},
			"interim":  {strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: "+canary+"\r\n\r\n", 6), "upstream_bad_response"},
			"redirect": {"HTTP/1.1 307 Temporary Redirect\r\nLocation: " + elsewhere.URL() + "/" + canary + "\r\nContent-Length: 0\r\n\r\n", "upstream_redirect"},
			"moved":    {"HTTP/1.1 301 Moved\r\nLocation: " + elsewhere.URL() + "/" + canary + "\r\nContent-Length: 0\r\n\r\n", "upstream_redirect"},
			"encoded":  {"HTTP/1.1 200 OK\r\nContent-Type: " + v.ContentType() + "\r\nContent-Encoding: br\r\nContent-Length: 1\r\n\r\nx", "upstream_bad_encoding"},
			"chunks":   {"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n" + canary + "\r\n", "upstream_bad_response"},
		} {
			for kind, body := range bothKinds {
				r.up.Handle(func(e *fakeprovider.Exchange) { e.Raw([]byte(c.raw)); e.Hold() })
				p, rec := r.askAs(name+kind, body)
				require.Contains(t, string(p.body), `"code":"`+c.code+`"`, "%s: %s", name, p.body)
				require.Equal(t, accounting.OutcomeUpstreamError, rec.Outcome)
				require.Equal(t, c.code, rec.Code)
				require.NotContains(t, string(p.body), canary)
				require.NotContains(t, fmt.Sprint(p.header), canary)
			}
		}
		r.up.Handle(func(e *fakeprovider.Exchange) {
			e.Head(103, "Link: </x>")
			e.Head(100)
			saying(v)(e)
		})
		p, rec := r.askAs("fine", chatWithTool)
		requireStreamSaid(t, v, p, rec)
		require.NotContains(t, r.logs.String(), canary)
		require.Zero(t, elsewhere.Conns())
		r.until("a refused connection is still open", func() bool { return r.up.OpenConns() <= 1 })
	})
}
