package proxy

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// A provider of another dialect gets what belongs to its own API and to the trace of
// the call, and nothing else of what OpenAI's clients send.
// row B32
func TestRequestHeadersOfEveryDialect(t *testing.T) {
	sent := []string{
		"User-Agent: test/1", "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate: a=b", "baggage: c=d",
		"Accept: text/html", "Anthropic-Beta: beta-1", "Anthropic-Version: 1999-01-01", "Connection: keep-alive, X-Mine", "X-Mine: secret",
		"OpenAI-Organization: secret", "OpenAI-Beta: secret", "X-Stainless-Lang: secret", "Idempotency-Key: secret", "X-Custom: secret",
		"Authorization: Bearer secret-of-the-client", "X-Goog-Api-Key: secret", "X-Goog-User-Project: secret", "X-Amz-Date: secret",
		"X-Amz-Security-Token: secret", "Cookie: secret", "X-Forwarded-For: secret", "Referer: secret", "Origin: secret",
		"X-Both: secret", "X-Request-Id: mine",
	}
	inEveryDialect(t, func(t *testing.T, v *fakeprovider.Voice) {
		if v.Dialect == config.DialectOpenAI {
			t.Skip("a relay passes them")
		}
		for _, body := range []string{chatWithTool, wholeWithTool} {
			r := newRig(t, speaking(v), func(c *config.Config) {
				c.Providers[0].APIKey, c.Providers[0].Headers = "ours", map[string]config.Secret{"X-Both": "ours"}
			})
			r.up.Handle(saying(v))
			require.Equal(t, 200, r.ask(body, sent...).status)
			got := r.up.WaitExchange(1).Request
			want := http.Header{
				"Host": {r.up.Addr()}, "Content-Type": {"application/json"}, "Content-Length": {fmt.Sprint(len(got.Body))},
				"Accept": {"application/json"}, "Accept-Encoding": {"identity"}, "X-Request-Id": {"mine"}, "X-Both": {"ours"},
				"User-Agent": {"test/1"}, "Traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
				"Tracestate": {"a=b"}, "Baggage": {"c=d"}, "Authorization": {"Bearer ours"},
			}
			if body == chatWithTool {
				want["Accept"] = []string{"text/event-stream, application/x-ndjson, application/vnd.amazon.eventstream, application/json"}
			}
			switch {
			case v.Enveloped:
				want.Set("Anthropic-Beta", "beta-1")
			case v.Dialect == config.DialectAnthropic:
				want.Set("Anthropic-Beta", "beta-1")
				want.Set("Anthropic-Version", "2023-06-01")
				want.Set("X-Api-Key", "ours")
				want.Del("Authorization")
			case v.Dialect == config.DialectGemini:
				want.Set("X-Goog-Api-Key", "ours")
				want.Del("Authorization")
			}
			require.Equal(t, want, got.Header)
			require.NotContains(t, string(got.Head), "secret")
		}
	})
}

// What a client gets to see of a provider's head does not depend on the dialect.
// row B32
func TestAnswerHeadersOfEveryDialect(t *testing.T) {
	inEveryDialect(t, func(t *testing.T, v *fakeprovider.Voice) {
		for name, c := range map[string]struct{ field, id string }{
			"openai": {"X-Request-Id: up-7", "up-7"}, "anthropic": {"request-id: req_7", "req_7"}, "aws": {"x-amzn-RequestId: aws-7", "aws-7"},
		} {
			r := newRig(t, speaking(v))
			fields := slices.Concat(keptAnswerHeaders, []string{c.field, "Connection: X-RateLimit-Limit-Tokens", "X-RateLimit-Limit-Tokens: 5"})
			for _, line := range droppedAnswerHeaders {
				if !strings.HasPrefix(line, "X-Request-Id") {
					fields = append(fields, line)
				}
			}
			r.up.Handle(func(e *fakeprovider.Exchange) {
				switch {
				case e.Request.Get("User-Agent") == "refused":
					e.JSON(429, v.FailedAnswer("m"), fields...)
				case wantsStream(e):
					e.Head(200, append(fields, "Content-Type: "+v.ContentType(), "Transfer-Encoding: chunked")...)
					for _, p := range v.Fresh().Stream(allSaid) {
						e.Chunk(p)
					}
					e.EndChunks()
				default:
					e.JSON(200, v.Answer(allSaid), fields...)
				}
			})
			for _, agent := range []string{"served", "refused"} {
				for kind, body := range map[string]string{"stream": chatWithTool, "whole": wholeWithTool} {
					p, rec := r.askAs(agent+kind, body, "User-Agent: "+agent)
					require.NoError(t, p.err)
					want := http.Header{}
					for _, line := range keptAnswerHeaders {
						name, value, _ := strings.Cut(line, ": ")
						want.Add(name, value)
					}
					got := p.header.Clone()
					for _, name := range frameHeaders {
						got.Del(name)
					}
					require.Equal(t, want, got, "%s %s", name, kind)
					require.Equal(t, []string{agent + kind}, p.header.Values("X-Request-Id"))
					require.Equal(t, []string{c.id}, p.header.Values("X-Sluice-Upstream-Request-Id"))
					require.Equal(t, c.id, rec.UpstreamRequestID)
					require.Len(t, p.header.Values("Content-Type"), 1)
					require.NotContains(t, fmt.Sprint(p.header), "secret")
				}
			}
		}
	})
}

// What was dropped of a request is said in the head of every answer to it and in the
// record, and names that the client chose end no field.
func TestWarningsOfEveryDialect(t *testing.T) {
	inEveryDialect(t, func(t *testing.T, v *fakeprovider.Voice) {
		if v.Dialect == config.DialectOpenAI {
			t.Skip("a relay drops nothing")
		}
		r := newRig(t, speaking(v))
		const message = `"messages":[{"role":"user","content":"x","evil\r\nX-Injected: 1":1,"wörld\u0000\u007f":2,"it's":3,"` // and a long one
		members := `"logit_bias":{"1":2},` + message + strings.Repeat("long", 1000) + `":4`
		for i := range 50 {
			members += fmt.Sprintf(`,"stray%d":1`, i)
		}
		scripts := map[string]func(*fakeprovider.Exchange){
			"served": saying(v), "refused": func(e *fakeprovider.Exchange) { v.Refuse(e, 400, "no") },
			"failed": func(e *fakeprovider.Exchange) { e.JSON(200, v.FailedAnswer("no")) },
			"lost":   func(e *fakeprovider.Exchange) { e.Cut() },
		}
		for name, script := range scripts {
			for _, stream := range []bool{true, false} {
				r.up.Handle(script)
				p, rec := r.askAs(fmt.Sprint(name, stream), fmt.Sprintf(`{"model":"m","stream":%v,%s}]}`, stream, members))
				warnings := p.header.Values("X-Sluice-Warning")
				require.NotEmpty(t, warnings, "%s: %s", name, p.body)
				require.Equal(t, rec.Warnings, warnings)
				require.LessOrEqual(t, len(warnings), 12)
				require.Empty(t, p.header.Get("X-Injected"))
				require.Contains(t, warnings, "'logit_bias' was dropped: the provider of this model has nothing like it.")
				require.Contains(t, warnings, "'messages.0.evil??X-Injected: 1' was dropped: it is unknown.")
				for _, w := range warnings {
					require.Less(t, len(w), 256)
					require.Regexp(t, `^[ -~]+$`, w)
				}
			}
		}
	})
}

// The id of a request is the client's own where it has a fit one, goes to the provider,
// and finds the record, for a stream as for a whole answer.
func TestRequestIDsOfEveryDialect(t *testing.T) {
	inEveryDialect(t, func(t *testing.T, v *fakeprovider.Voice) {
		r := newRig(t, speaking(v))
		r.up.Handle(saying(v))
		for i, body := range []string{chatWithTool, wholeWithTool} {
			p := r.ask(body, "X-Request-Id: not fit/at all")
			id := p.header.Get("X-Request-Id")
			require.NotEmpty(t, id)
			require.NotContains(t, id, "fit")
			require.Equal(t, accounting.OutcomeCompleted, r.record(id).Outcome)
			require.Equal(t, []string{id}, r.up.WaitExchange(i+1).Request.Header.Values("X-Request-Id"))
		}
	})
}
