package proxy

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/chatrules"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// operations are what the request of each dialect goes to.
var operations = map[string][2]string{ // whole, stream
	"openai":               {"/v1/chat/completions", "/v1/chat/completions"},
	"anthropic":            {"/v1/messages", "/v1/messages"},
	"anthropic_on_bedrock": {"/model/m/invoke", "/model/m/invoke-with-response-stream"},
	"gemini":               {"/v1beta/models/m:generateContent", "/v1beta/models/m:streamGenerateContent?alt=sse"},
	"cohere":               {"/v2/chat", "/v2/chat"},
	"ollama":               {"/api/chat", "/api/chat"},
	"bedrock":              {"/model/m/converse", "/model/m/converse-stream"},
}

// An answer in one piece reaches the client as one, and its connection serves the next
// request, of whatever kind.
func TestWholeAnswersOfEveryDialect(t *testing.T) {
	inEveryDialect(t, func(t *testing.T, v *fakeprovider.Voice) {
		r := newRig(t, speaking(v))
		r.up.Handle(saying(v))
		c := r.dial()
		for i := range 3 {
			id := fmt.Sprint("whole", i)
			p := read(c.post(wholeWithTool, "X-Request-Id: "+id))
			requireWholeSaid(t, v, p, r.record(id))

			id = fmt.Sprint("stream", i)
			p = read(c.post(chatWithTool, "X-Request-Id: "+id))
			requireStreamSaid(t, v, p, r.record(id))
		}
		for i, e := range r.up.Exchanges() {
			require.Equal(t, operations[v.String()][i%2], e.Request.Target)
			require.Equal(t, "application/json", e.Request.Get("Content-Type"))
		}
	})
}

// What is packed although nobody asked for it is unpacked first.
// row B23
func TestGzippedAnswersOfEveryDialect(t *testing.T) {
	inEveryDialect(t, func(t *testing.T, v *fakeprovider.Voice) {
		r := newRig(t, speaking(v))
		r.up.Handle(func(e *fakeprovider.Exchange) {
			if !wantsStream(e) {
				e.Whole(200, "application/json", bytes.Join(gzipped(t, []byte(v.Answer(allSaid))), nil), "Content-Encoding: gzip")
				return
			}
			e.Head(200, "Content-Type: "+v.ContentType(), "Content-Encoding: gzip", "Transfer-Encoding: chunked")
			for _, p := range gzipped(t, v.Fresh().Stream(allSaid)...) {
				e.Chunk(p)
			}
			e.EndChunks()
		})
		p, rec := r.askAs("whole", wholeWithTool)
		requireWholeSaid(t, v, p, rec)
		p, rec = r.askAs("stream", chatWithTool)
		requireStreamSaid(t, v, p, rec)
		require.Equal(t, "identity", r.up.WaitExchange(1).Request.Get("Accept-Encoding"))
	})
}

// A provider that answers in one piece although a stream was asked for is understood:
// the client gets its stream.
// row B14
func TestAnswerInOnePieceBecomesAStream(t *testing.T) {
	inEveryDialect(t, func(t *testing.T, v *fakeprovider.Voice) {
		if v.Dialect == config.DialectOpenAI {
			t.Skip("a relay forwards the answer as it is")
		}
		r := newRig(t, speaking(v))
		r.up.Handle(func(e *fakeprovider.Exchange) { e.JSON(200, v.Answer(allSaid)) })
		p, rec := r.askAs("a", chatWithTool)
		requireStreamSaid(t, v, p, rec)
		require.Contains(t, p.header.Get("Content-Type"), "text/event-stream")
		if v.FailedAnswer("") == "" {
			return
		}
		r.up.Handle(func(e *fakeprovider.Exchange) { e.JSON(200, v.FailedAnswer("too much going on")) })
		p, rec = r.askAs("b", chatWithTool)
		require.Contains(t, string(p.body), "too much going on")
		require.NotContains(t, string(p.body), "[DONE]")
		require.Equal(t, accounting.OutcomeUpstreamError, rec.Outcome)
	})
}

// A page is no answer in any dialect, nor is what has no type at all, nor a stream
// where none was asked for.
// row B14
func TestOtherContentIsRefusedInEveryDialect(t *testing.T) {
	inEveryDialect(t, func(t *testing.T, v *fakeprovider.Voice) {
		r := newRig(t, speaking(v), mayBillPartial)
		for i, media := range []string{"text/html; charset=utf-8", "text/plain", "application/octet-stream", ""} {
			for kind, body := range bothKinds {
				r.up.Handle(func(e *fakeprovider.Exchange) {
					e.Head(200, "Content-Type: "+media, "Transfer-Encoding: chunked")
					e.Chunk([]byte("<html>canary</html>"))
					e.Hold()
				})
				p, rec := r.askAs(fmt.Sprint(kind, i), body)
				requireRefusedAnswer(t, p, rec, "upstream_bad_content_type")
				require.Equal(t, accounting.PhaseAwaitToken, rec.Phase)
				require.NotContains(t, string(p.body), "canary")
			}
		}
		r.requireUpstreamsClosed()
		if v.Dialect == config.DialectOpenAI {
			return
		}
		r.up.Handle(func(e *fakeprovider.Exchange) { say(e, v, v.Fresh().Stream(allSaid)...) })
		p, rec := r.askAs("stream", wholeBody)
		requireRefusedAnswer(t, p, rec, "upstream_bad_content_type")
	})
}

// A whole answer that reports a failure under a good status is an error.
// row B17
func TestErrorUnderAGoodStatusInEveryDialect(t *testing.T) {
	inEveryDialect(t, func(t *testing.T, v *fakeprovider.Voice) {
		if v.FailedAnswer("") == "" || v.Dialect == config.DialectOpenAI {
			t.Skip("there is no such answer, or it is relayed as it is")
		}
		r := newRig(t, speaking(v))
		r.up.Handle(func(e *fakeprovider.Exchange) { e.JSON(200, v.FailedAnswer("too much going on")) })
		for i := range 2 {
			p, rec := r.askAs(fmt.Sprint(i), wholeBody)
			require.NoError(t, p.err)
			require.GreaterOrEqual(t, p.status, 500)
			require.Equal(t, "too much going on", chatrules.CheckError(t, p.body, chatrules.Options{}).Message)
			require.Equal(t, accounting.OutcomeUpstreamError, rec.Outcome)
			require.Equal(t, 200, rec.StatusUpstream)
			require.Equal(t, p.status, rec.StatusDownstream)
		}
		require.Equal(t, 1, r.up.Conns(), "the answer was read to its end")
		require.NotContains(t, r.logs.String(), "too much going on")
	})
}

// A whole answer that is cut is an error, also where only the end of the connection
// tells the end of the body.
// row B9
func TestWholeAnswerThatIsCutInEveryDialect(t *testing.T) {
	inEveryDialect(t, func(t *testing.T, v *fakeprovider.Voice) {
		answer := v.Answer(allSaid)
		r := newRig(t, speaking(v), mayBillPartial)
		for framing, f := range framings {
			wire := fakeprovider.Response(200, "application/json", f, []byte(answer))
			for _, missing := range []int{1, 2, 7, len(answer) / 2, len(answer) - 1} {
				r.up.Handle(func(e *fakeprovider.Exchange) { e.Raw(wire[:len(wire)-missing]) })
				p, rec := r.askAs(fmt.Sprint(strings.ReplaceAll(framing, " ", "-"), missing), wholeBody)
				p.requireError(t, 502, "upstream_truncated")
				require.Equal(t, "false", p.header.Get("X-Should-Retry"))
				requireEnded(t, rec, accounting.OutcomeUpstreamTruncated, rec.Phase, "upstream_truncated")
				requireUsage(t, rec, accounting.SourceEstimated, accounting.MayBillPartial)
			}
			r.up.Handle(func(e *fakeprovider.Exchange) { e.Raw(wire); keptAlive(e, f) })
			p, rec := r.askAs("whole"+strings.ReplaceAll(framing, " ", "-"), wholeWithTool)
			requireWholeSaid(t, v, p, rec)
		}
	})
}

// What is no answer of the dialect is no answer, however well framed.
func TestWholeAnswerThatCannotBeReadInEveryDialect(t *testing.T) {
	inEveryDialect(t, func(t *testing.T, v *fakeprovider.Voice) {
		if v.Dialect == config.DialectOpenAI {
			t.Skip("a relay forwards what it cannot read")
		}
		r := newRig(t, speaking(v))
		answer := v.Answer(allSaid)
		for i, body := range []string{
			answer[:len(answer)-1], answer + "}", `{}`, `[]`, `null`, `"text"`, "[" + strings.Repeat("[", 100_000), "\x00\xff", `{"a":`,
		} {
			for kind, request := range bothKinds {
				r.up.Handle(func(e *fakeprovider.Exchange) { e.JSON(200, body) })
				p, rec := r.askAs(fmt.Sprint(kind, i), request)
				if v.Dialect == config.DialectGemini && kind == "stream" { // whose streams are JSON too
					require.NotContains(t, string(p.body), "[DONE]", "%s", body)
				} else {
					p.requireError(t, 502, "upstream_bad_response")
				}
				require.Contains(t, []accounting.Outcome{accounting.OutcomeUpstreamError, accounting.OutcomeUpstreamTruncated}, rec.Outcome, "%s", body)
				require.False(t, rec.Delivered && rec.StatusDownstream == 200)
			}
		}
		r.up.Handle(func(e *fakeprovider.Exchange) { e.Whole(200, "application/json", nil) })
		p, _ := r.askAs("empty", wholeBody)
		p.requireError(t, 502, "upstream_truncated")
	})
}

// An answer over the limit is not held.
func TestWholeAnswerThatIsTooLargeInEveryDialect(t *testing.T) {
	inEveryDialect(t, func(t *testing.T, v *fakeprovider.Voice) {
		r := newRig(t, speaking(v), func(c *config.Config) { c.Limits.MaxAnswer = 4096 })
		r.up.Handle(func(e *fakeprovider.Exchange) {
			e.JSON(200, v.Answer(fakeprovider.Said{Texts: []string{strings.Repeat("word ", 10_000)}}))
			e.Hold()
		})
		p, rec := r.askAs("a", wholeBody)
		p.requireError(t, 502, "upstream_bad_response")
		require.Equal(t, accounting.OutcomeUpstreamError, rec.Outcome)
		requireClosed(t, r.up.WaitConn(1))
	})
}
