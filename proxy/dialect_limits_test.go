package proxy

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/chatrules"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// A provider that is silent for longer than a limit allows is closed, wherever in its
// stream it is.
// row B11
func TestTimeLimitsOfStreamsInEveryDialect(t *testing.T) {
	inEveryDialect(t, func(t *testing.T, v *fakeprovider.Voice) {
		oneOfEach(t, v)
		for _, m := range dialectMoments {
			limit := firstToken
			if m.phase == accounting.PhaseStreaming {
				limit = idle
			}
			r := newRig(t, speaking(v), limit, mayBillPartial)
			r.up.Handle(func(e *fakeprovider.Exchange) {
				if m.pieces != nil {
					v := v.Fresh()
					say(e, v, bytes.Join(m.pieces(v), nil))
				}
				e.Hold()
			})
			p, rec := r.askAs("late", chatWithTool)
			require.Equal(t, accounting.OutcomeUpstreamTimeout, rec.Outcome)
			require.Equal(t, accounting.MayBillPartial, rec.MayBill)
			requireClosed(t, r.up.WaitConn(1))
			if p.status == http.StatusGatewayTimeout {
				require.Empty(t, m.shows)
				p.requireError(t, 504, "upstream_timeout")
				continue
			}
			require.Error(t, p.err)
			require.Contains(t, string(p.body), m.shows)
			require.Contains(t, string(p.body), `"code":"upstream_timeout"`)
			require.NotContains(t, string(p.body), `"finish_reason":"`)
			require.NotContains(t, string(p.body), "[DONE]")
			requireEnded(t, rec, accounting.OutcomeUpstreamTimeout, m.phase, "upstream_timeout")
			requireCutUsage(t, v, m, rec)
		}
	})
}

// row B11
func TestTimeLimitsOfWholeAnswersInEveryDialect(t *testing.T) {
	inEveryDialect(t, func(t *testing.T, v *fakeprovider.Voice) {
		r := newRig(t, speaking(v), idle)
		r.up.Handle(wholeThenSilence(`{"id":"x",`))
		p, rec := r.askAs("a", wholeBody)
		p.requireError(t, 504, "upstream_timeout")
		require.Equal(t, "false", p.header.Get("X-Should-Retry"))
		requireEnded(t, rec, accounting.OutcomeUpstreamTimeout, accounting.PhaseStreaming, "upstream_timeout")
		require.Equal(t, accounting.SourceEstimated, rec.UsageSource)
		requireClosed(t, r.up.WaitConn(1))
	})
}

// The client of a silent stream gets comments between events, wherever the provider
// pauses: before its first event, between two, and within one.
// row B11
func TestCommentsKeepSilentStreamsOfEveryDialectAlive(t *testing.T) {
	inEveryDialect(t, func(t *testing.T, v *fakeprovider.Voice) {
		r := newRig(t, speaking(v), pinging)
		_, body := wireOf(v, fakeprovider.Chunked)
		parts := inPieces(string(body), max(len(body)/6, 1))
		next := make(chan struct{})
		r.up.Handle(func(e *fakeprovider.Exchange) {
			say(e, v)
			for _, part := range parts {
				<-next
				e.Chunk([]byte(part))
			}
			e.EndChunks()
		})
		resp := r.dial().post(chatWithTool, "X-Request-Id: a")
		var got bytes.Buffer
		for range parts {
			for seen := 0; seen < 2; { // two comments between one part and the next
				_, err := io.CopyN(&got, resp.Body, 1)
				require.NoError(t, err)
				if bytes.HasSuffix(got.Bytes(), []byte(comment)) {
					seen++
				}
			}
			next <- struct{}{}
		}
		p := read(resp)
		got.Write(p.body)
		for _, before := range strings.SplitAfter(got.String(), comment) {
			before = strings.TrimSuffix(before, comment)
			require.True(t, before == "" || strings.HasSuffix(before, "\n\n"), "a comment inside an event: %q", before)
		}
		p.body = bytes.ReplaceAll(got.Bytes(), []byte(comment), nil)
		requireStreamSaid(t, v, p, r.record("a"))
	})
}

// A refusal keeps the provider's words and says how long to wait once, and its
// connection is used again.
// rows B15, B16
func TestRefusalsOfEveryDialect(t *testing.T) {
	inEveryDialect(t, func(t *testing.T, v *fakeprovider.Voice) {
		r := newRig(t, speaking(v))
		for kind, body := range bothKinds {
			for status, code := range map[int]string{400: "invalid_request_error", 429: "rate_limit_error"} {
				r.up.Handle(func(e *fakeprovider.Exchange) { v.Refuse(e, status, "not like this") })
				p, rec := r.askAs(kind+strconv.Itoa(status), body)
				require.NoError(t, p.err)
				require.Equal(t, status, p.status)
				require.Equal(t, "not like this", chatrules.CheckError(t, p.body, chatrules.Options{}).Message)
				if v.Dialect != config.DialectOpenAI { // whose words stay as they are
					require.Equal(t, code, chatrules.CheckError(t, p.body, chatrules.Options{}).Type)
				}
				if status == 429 && v.RetriesSaid() {
					require.Equal(t, []string{strconv.Itoa(fakeprovider.VoiceRetry)}, p.header.Values("Retry-After"))
				}
				require.Len(t, p.header.Values("Content-Type"), 1)
				require.Equal(t, accounting.OutcomeUpstreamError, rec.Outcome)
				require.Equal(t, status, rec.StatusUpstream)
				requireUsage(t, rec, accounting.SourceNone, accounting.MayBillNone)
			}
		}
		require.Equal(t, 1, r.up.Conns())
		require.NotContains(t, r.logs.String(), "not like this")
	})
}

// What a provider says in the head of its answer counts before what its body says.
// row B16
func TestRetryAfterIsSaidOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, speaking(&fakeprovider.Voice{Dialect: config.DialectGemini}))
	r.up.Handle(func(e *fakeprovider.Exchange) {
		e.JSON(429, `{"error":{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"6.4s"}]}}`, "Retry-After: 99")
	})
	require.Equal(t, []string{"99"}, r.ask(streamBody).header.Values("Retry-After"))
}

// Errors of the machines in between, which speak no dialect, become one.
// row B15
func TestErrorsWithoutADialect(t *testing.T) {
	inEveryDialect(t, func(t *testing.T, v *fakeprovider.Voice) {
		r := newRig(t, speaking(v))
		for status := 400; status < 600; status += 13 {
			for kind, page := range map[string][2]string{
				"html": {"text/html", "<html><h1>Bad gateway</h1></html>"}, "empty": {"", ""}, "text": {"text/plain", "upstream connect error"},
				"json": {"application/json", `{"detail":["no"]}`}, "broken": {"application/json", `{"error":{"message":"cu`},
				"large": {"application/json", `{"error":{"message":"` + strings.Repeat("x", 2<<20) + `"}}`},
			} {
				if kind == "large" && status > 413 {
					continue
				}
				r.up.Handle(func(e *fakeprovider.Exchange) { e.Whole(status, page[0], []byte(page[1])) })
				p, rec := r.askAs(kind+strconv.Itoa(status), streamBody)
				require.NoError(t, p.err)
				require.GreaterOrEqual(t, p.status, 400)
				require.Equal(t, "application/json", p.header.Get("Content-Type"))
				require.NotEmpty(t, chatrules.CheckError(t, p.body, chatrules.Options{Unknown: true}).Message, kind)
				require.Equal(t, accounting.OutcomeUpstreamError, rec.Outcome)
				require.Equal(t, status, rec.StatusUpstream)
				require.Equal(t, p.status, rec.StatusDownstream)
			}
		}
	})
}

// A provider that answers before it has read the request gets no more of it.
// row B22
func TestAnswerBeforeTheRequestWasReadInEveryDialect(t *testing.T) {
	inEveryDialect(t, func(t *testing.T, v *fakeprovider.Voice) {
		oneOfEach(t, v)
		r := newRig(t, speaking(v))
		r.up.ReceiveBuffer(8 << 10)
		r.up.HoldBody()
		r.up.Handle(func(e *fakeprovider.Exchange) {
			v.Refuse(e, http.StatusBadRequest, "too large for us")
			e.Hold()
		})
		p, rec := r.askAs("a", picture(8<<20, true))
		require.NoError(t, p.err)
		require.Equal(t, 400, p.status, "%s", p.body)
		require.Contains(t, string(p.body), "too large for us")
		require.Equal(t, accounting.OutcomeUpstreamError, rec.Outcome)
		requireUsage(t, rec, accounting.SourceNone, accounting.MayBillNone)
		r.up.WaitConn(1).WaitGone(patience)
		require.Equal(t, 1, r.up.Conns())
	})
}
