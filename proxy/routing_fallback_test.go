package proxy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// fallingBack gives the model m, at the provider a, a fallback model at the provider b.
func fallingBack(on ...string) func(*config.Config) {
	return func(c *config.Config) {
		m := routedModel("m", "a")
		m.Fallback, m.FallbackOn = "big", on
		big := routedModel("big", "b")
		big.Targets[0].Model = "big-one"
		c.Models = []config.Model{m, big}
		c.ResponseModel = config.ResponseModelPublic
	}
}

const (
	tooLong  = "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens."
	filtered = "The response was filtered due to the prompt triggering a content management policy."
)

// refusing answers with status 400 and this code.
func refusing(code, message string) fakeprovider.Script {
	return func(e *fakeprovider.Exchange) {
		e.JSON(400, fakeprovider.ErrorBody(message, "invalid_request_error", code))
	}
}

// refusingInStream answers with status 200 and an error as the first event.
func refusingInStream(code, message string) fakeprovider.Script {
	return func(e *fakeprovider.Exchange) {
		e.StreamHead()
		e.Event(fakeprovider.ErrorBody(message, "invalid_request_error", code))
		e.EndChunks()
	}
}

// What one model cannot take, its fallback answers, and the client sees no difference.
func TestAFallbackModelServesWhatWasRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		refusal  fakeprovider.Script
		status   int
		code     string
		streamed bool // it makes sense for streams alone
	}{
		{"context length", refusing("context_length_exceeded", tooLong), 400, "context_length_exceeded", false},
		{"context length in words", refusing("", tooLong), 400, "invalid_request_error", false},
		{"content", refusing("content_filter", filtered), 400, "content_filter", false},
		{"too large", fakeprovider.Refusal(413), 413, "refused", false},
		{"context length as the first event", refusingInStream("context_length_exceeded", tooLong), 200, "context_length_exceeded", true},
		{"content as the first event", refusingInStream("content_filter", filtered), 200, "content_filter", true},
	} {
		for kind, body := range bothKinds {
			if c.streamed && kind != "stream" {
				continue
			}
			t.Run(c.name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				r := newRouted(t, 2, fallingBack())
				r.ups["a"].Handle(c.refusal)
				p, rec := r.askAs("x", body)
				require.Equal(t, "b", r.saidBy(p))
				require.Equal(t, "big-one", r.ups["b"].WaitExchange(1).Asked().Model)
				require.Contains(t, string(p.body), `"model":"m"`, "the name that the client knows")
				require.NotContains(t, string(p.body), "big")
				require.NotContains(t, string(p.body), "maximum context")
				require.Equal(t, map[string]int{"a": 1, "b": 1}, r.calls())

				require.Equal(t, accounting.OutcomeCompleted, rec.Outcome)
				require.Equal(t, "m", rec.ModelAsked)
				require.Equal(t, "b/big-one", rec.Target)
				require.Equal(t, "a", rec.Attempts[0].Provider)
				require.Equal(t, c.status, rec.Attempts[0].Status)
				require.Equal(t, c.code, rec.Attempts[0].Code)
				require.Equal(t, accounting.OutcomeUpstreamError, rec.Attempts[0].Outcome)
				require.Equal(t, accounting.AttemptFallback, rec.Attempts[1].Kind)
				require.Equal(t, accounting.MayBillFull, rec.MayBill)
				requireOneFinal(t, rec)
				if c.status >= 400 {
					require.False(t, rec.Attempts[0].Abandoned(), "what was refused has not run")
				}
				require.Equal(t, "closed", r.state("a").State)
				require.Zero(t, r.state("a").Failures, "it was the request")
				r.idleTargets()
				require.InDelta(t, 1, r.metric("sluice_attempts_total", "kind=fallback", "model=m"), 0)
			})
		}
	}
}

// A fallback may speak another dialect than the model, or both another than the client.
func TestAFallbackModelOfAnotherDialect(t *testing.T) {
	t.Parallel()
	anthropic := &fakeprovider.Voice{Dialect: config.DialectAnthropic}
	gemini := &fakeprovider.Voice{Dialect: config.DialectGemini}
	openai := &fakeprovider.Voice{Dialect: config.DialectOpenAI}
	for _, c := range []struct {
		from, to *fakeprovider.Voice
		message  string
	}{
		{anthropic, openai, "prompt is too long: 210000 tokens > 200000 maximum"},
		{anthropic, gemini, "prompt is too long: 210000 tokens > 200000 maximum"},
		{gemini, anthropic, "The input token count (1100000) exceeds the maximum number of tokens allowed (1048575)."},
		{openai, anthropic, tooLong},
	} {
		for kind, body := range bothKinds {
			t.Run(fmt.Sprintf("%s to %s/%s", c.from, c.to, kind), func(t *testing.T) {
				t.Parallel()
				r := newRouted(t, 2, fallingBack(config.FallbackOnContextLength), func(cfg *config.Config) {
					for i, v := range []*fakeprovider.Voice{c.from, c.to} {
						cfg.Providers[i].Dialect = v.Dialect
						if v.Dialect != config.DialectOpenAI {
							cfg.Providers[i].APIKey, cfg.Providers[i].ContinuousUsage = "secret", nil
						}
					}
				})
				r.ups["a"].Handle(func(e *fakeprovider.Exchange) { c.from.Refuse(e, 400, c.message) })
				said := fakeprovider.Said{Texts: []string{wordOf("b")}}
				r.ups["b"].Handle(func(e *fakeprovider.Exchange) {
					v := c.to.Fresh()
					if kind == "whole" {
						e.JSON(200, v.Answer(said))
						return
					}
					say(e, v, v.Stream(said)...)
					e.EndChunks()
				})
				p, rec := r.askAs("x", body)
				require.Equal(t, "b", r.saidBy(p))
				require.NotContains(t, string(p.body), "token count")
				require.Equal(t, accounting.OutcomeCompleted, rec.Outcome)
				require.Equal(t, c.to.Dialect, rec.DialectOut)
				require.Len(t, rec.Attempts, 2)
				require.Equal(t, accounting.AttemptFallback, rec.Attempts[1].Kind)
				r.idleTargets()
			})
		}
	}
}

// What is no reason to fall back stays what it is, in the provider's words.
func TestWhatIsNoReasonToFallBack(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		on      []string
		refusal fakeprovider.Script
		status  int
		code    string
	}{
		{"only content, and it is the length", []string{config.FallbackOnContent}, refusing("context_length_exceeded", tooLong), 400, "context_length_exceeded"},
		{"only the length, and it is content", []string{config.FallbackOnContextLength}, refusing("content_filter", filtered), 400, "content_filter"},
		{"another mistake", nil, refusing("invalid_value", "temperature must be at most 2"), 400, "invalid_value"},
		{"no credentials", nil, fakeprovider.Refusal(401), 401, "refused"},
		{"no such model", nil, fakeprovider.Refusal(404), 404, "refused"},
	} {
		for kind, body := range bothKinds {
			t.Run(c.name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				r := newRouted(t, 2, fallingBack(c.on...))
				r.ups["a"].Handle(c.refusal)
				p, rec := r.askAs("x", body)
				p.requireError(t, c.status, c.code)
				require.Equal(t, map[string]int{"a": 1}, r.calls())
				requireRows(t, rec, "a first upstream_error/"+c.code+"*")
			})
		}
	}
}

// chained are models that fall back on each other in a row.
func chained(c *config.Config) {
	c.Models = nil
	for i, name := range []string{"m", "n", "o"} {
		m := routedModel(name, string(rune('a'+i)))
		m.Fallback = map[string]string{"m": "n", "n": "o"}[name]
		c.Models = append(c.Models, m)
	}
}

func TestAFallbackModelMayHaveAFallback(t *testing.T) {
	t.Parallel()
	r := newRouted(t, 3, chained)
	r.ups["a"].Handle(refusing("context_length_exceeded", tooLong))
	r.ups["b"].Handle(refusing("content_filter", filtered))
	p, rec := r.askAs("x", streamBody)
	require.Equal(t, "c", r.saidBy(p))
	requireRows(t, rec, "a first upstream_error/context_length_exceeded", "b fallback upstream_error/content_filter", "c fallback completed/*")

	// When nobody can take it, the client has the words of the last one.
	r.ups["c"].Handle(refusing("context_length_exceeded", tooLong))
	p, rec = r.askAs("y", wholeBody)
	p.requireError(t, 400, "context_length_exceeded")
	require.Equal(t, "c", rec.Provider)
	requireOneFinal(t, rec)
	require.Equal(t, accounting.SourceNone, rec.UsageSource)
	r.idleTargets()
}

// The configuration refuses circles. Should there be one, each model is asked once.
func TestFallbacksDoNotGoRound(t *testing.T) {
	t.Parallel()
	r := newRouted(t, 2, func(c *config.Config) {
		c.Retry.Attempts = 10
		m, n := routedModel("m", "a"), routedModel("n", "b")
		m.Fallback, n.Fallback = "n", "m"
		c.Models = []config.Model{m, n}
	})
	r.ups["a"].Handle(refusing("context_length_exceeded", tooLong))
	r.ups["b"].Handle(refusing("context_length_exceeded", tooLong))
	p, rec := r.askAs("x", streamBody)
	p.requireError(t, 400, "context_length_exceeded")
	require.Equal(t, map[string]int{"a": 1, "b": 1}, r.calls())
	require.Len(t, rec.Attempts, 2)
}

// The number of calls holds for fallbacks too, and without a call there is none.
func TestAFallbackIsACallLikeOthers(t *testing.T) {
	t.Parallel()
	r := newRouted(t, 3, chained, func(c *config.Config) { c.Retry.Attempts = 2 })
	r.ups["a"].Handle(refusing("context_length_exceeded", tooLong))
	r.ups["b"].Handle(refusing("content_filter", filtered))
	r.ask(streamBody).requireError(t, 400, "content_filter")
	require.Zero(t, r.ups["c"].Conns())
}

// A fallback that cannot be reached leaves the words of the model that was asked for.
func TestAFallbackThatIsDownLeavesTheRefusal(t *testing.T) {
	t.Parallel()
	r := newRouted(t, 2, fallingBack(), func(c *config.Config) { c.Breaker.Failures = 1 })
	r.ups["a"].Handle(refusing("context_length_exceeded", tooLong))
	r.ups["b"].Handle(fakeprovider.Refusal(503))
	r.ask(asking("big", wholeBody)).requireError(t, 503, "refused") // its breaker is open now
	p, rec := r.askAs("x", streamBody)
	p.requireError(t, 400, "context_length_exceeded")
	requireRows(t, rec, "a first upstream_error/context_length_exceeded*")
}

// What the operator falls back on is no name that the key's owner has asked for.
func TestAFallbackNeedsNoPermissionOfTheKey(t *testing.T) {
	t.Parallel()
	r := newRouted(t, 2, fallingBack(), func(c *config.Config) {
		c.Keys = []config.Key{{Alias: "alice", SHA256: hashOf("alice-secret"), Models: []string{"m"}}}
	})
	r.ups["a"].Handle(refusing("context_length_exceeded", tooLong))
	r.ask(asking("big", streamBody), asAlice).requireError(t, 404, "model_not_found")
	require.Equal(t, "b", r.saidBy(r.ask(streamBody, asAlice)))
}

// Once a token has come, what the filter says is the end of the stream.
func TestNoFallbackAfterTheFirstToken(t *testing.T) {
	t.Parallel()
	r := newRouted(t, 2, fallingBack())
	first := fakeprovider.ChatStream(sayings("a", fakeprovider.Asked{Model: "m"}))[:2]
	r.ups["a"].Handle(func(e *fakeprovider.Exchange) {
		e.StreamHead()
		for _, p := range first {
			e.Event(p)
		}
		e.Event(fakeprovider.ErrorBody(filtered, "invalid_request_error", "content_filter"))
		e.EndChunks()
	})
	p, rec := r.askAs("x", streamBody)
	require.Error(t, p.err)
	require.Equal(t, 1, strings.Count(string(p.body), wordOf("a")))
	require.Contains(t, string(p.body), `"code":"content_filter"`)
	require.NotContains(t, string(p.body), "[DONE]")
	require.Zero(t, r.ups["b"].Conns())
	requireRows(t, rec, "a first upstream_error/content_filter*")
}
