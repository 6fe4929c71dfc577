package proxy

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/fakeprovider"
	"github.com/sluicehq/sluice/translate"
)

// limited is a configuration with one key, "alice", and its limits.
func limited(q config.Quota) func(*config.Config) {
	return func(c *config.Config) {
		c.Keys = []config.Key{
			{Alias: "alice", SHA256: hashOf("alice-secret"), Limits: q},
			{Alias: "bob", SHA256: hashOf("bob-secret")},
		}
		c.Models = []config.Model{{Name: "m", Targets: []config.Target{{Provider: "fake", Model: "m", Weight: 1}}}}
		c.Prices.Overrides = []config.Price{{Model: "m", Input: config.USD, Output: 2 * config.USD}}
	}
}

const (
	asAlice = "Authorization: Bearer alice-secret"
	asBob   = "Authorization: Bearer bob-secret"
)

func TestRequestsBeyondALimitAreRefusedInOpenAIsForm(t *testing.T) {
	t.Parallel()
	tokens := config.Quota{TokensPerMinute: 2000}
	budget := config.Quota{Budgets: []config.Budget{{Tokens: 1500, Per: "day", Hard: true}}}
	for _, c := range []struct {
		name, code string
		quota      config.Quota
		body       string
		fields     []string
	}{
		{"requests", "rate_limit_exceeded", config.Quota{RequestsPerMinute: 1}, streamBody, []string{"Requests"}},
		{"tokens", "rate_limit_exceeded", tokens, `{"model":"m","max_tokens":1000,"stream":true,"messages":[{"role":"user","content":"` + strings.Repeat("many words ", 600) + `"}]}`, []string{"Tokens"}},
		{"budget", "insufficient_quota", budget, `{"model":"m","max_tokens":800,"messages":[{"role":"user","content":"` + strings.Repeat("many words ", 200) + `"}]}`, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, limited(c.quota))
			release := make(chan struct{})
			r.up.Handle(func(e *fakeprovider.Exchange) {
				<-release
				fakeprovider.DefaultScript(e)
			})
			first := r.dial()
			first.send("POST", chatPath, c.body, asAlice)
			r.up.WaitExchange(1)

			second := r.dial()
			p := second.askOn(chatPath, c.body, asAlice)
			p.requireError(t, 429, c.code)
			require.NotEmpty(t, p.header.Get("Retry-After"))
			for _, of := range c.fields {
				for _, field := range []string{"X-Ratelimit-Limit-", "X-Ratelimit-Remaining-", "X-Ratelimit-Reset-"} {
					require.NotEmpty(t, p.header.Get(field+of), field+of)
				}
			}
			require.Len(t, r.up.Exchanges(), 1, "it reached no provider")
			go close(release)
			require.Equal(t, 200, second.askOn(chatPath, wholeBody, asBob).status, "another key is not concerned")
			got := read(first.response())
			require.Equal(t, 200, got.status)
			for _, of := range c.fields {
				require.NotEmpty(t, got.header.Get("X-Ratelimit-Remaining-"+of))
			}
		})
	}
}

// A slot is free again when the client has its answer: it may ask again at once.
func TestASlotIsGivenBackWithTheLastByte(t *testing.T) {
	t.Parallel()
	r := newRig(t, limited(config.Quota{Streams: 1}))
	c := r.dial()
	for range 50 {
		c.askOn(chatPath, streamBody, asAlice).requireWhole(t)
	}
	r.up.Handle(silence)
	c.send("POST", chatPath, streamBody, asAlice)
	r.up.WaitExchange(51)
	r.dial().askOn(chatPath, streamBody, asAlice).requireError(t, 429, "too_many_streams")
	require.NoError(t, c.Close())
	r.up.Handle(fakeprovider.DefaultScript)
	require.Eventually(t, func() bool { return r.dial().askOn(chatPath, streamBody, asAlice).status == 200 }, patience, time.Millisecond)
	r.allEnded()
	require.Zero(t, r.srv.limiter.Held())
}

// endlessStream goes on until its connection is closed.
func endlessStream(e *fakeprovider.Exchange) {
	defer e.Hold() // a write may fail before the end is read
	e.StreamHead()
	for e.Event(`{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"And so it goes on, with words and words and words, for as long as anyone listens. "},"finish_reason":null}]}`) {
		if !e.Pause(time.Millisecond) {
			return
		}
	}
}

// A limit that is crossed while a stream runs shuts its valve: the client gets a
// well-formed end, the provider is closed, and the record says why.
func TestALimitCutsARunningStream(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, code string
		quota      config.Quota
	}{
		{"tokens of a hard budget", "budget_exceeded", config.Quota{Budgets: []config.Budget{{Tokens: 5000, Per: "day", Hard: true}}}},
		{"money of a hard budget", "budget_exceeded", config.Quota{Budgets: []config.Budget{{USD: config.USD / 100, Per: "total", Hard: true}}}},
		{"output tokens", "output_limit", config.Quota{MaxOutputTokens: 2000}},
		{"time", "duration_limit", config.Quota{MaxDuration: config.Duration(200 * time.Millisecond)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, limited(c.quota))
			r.up.Handle(endlessStream)
			p := r.dial().askOn(chatPath, streamBody, asAlice, "X-Request-Id: a")
			p.requireWhole(t)
			data := p.data()
			ending := chunksOf(t, data[len(data)-3:len(data)-1])
			require.Equal(t, "stop", *ending[0].Choices[0].FinishReason)
			require.Equal(t, "limit", ending[0].Sluice.Outcome)
			require.NotEqual(t, "null", string(ending[1].Usage))
			require.Equal(t, "[DONE]", data[len(data)-1])

			requireClosed(t, r.up.WaitExchange(1).Conn)
			rec := r.record("a")
			requireEnded(t, rec, accounting.OutcomeLimit, accounting.PhaseStreaming, c.code)
			require.Equal(t, accounting.SourceEstimated, rec.UsageSource)
			require.True(t, rec.Delivered)
			require.NotNil(t, rec.CostNanoUSD)
			if c.code == "budget_exceeded" {
				r.dial().askOn(chatPath, streamBody, asAlice).requireError(t, 429, "insufficient_quota")
			}
			require.Zero(t, r.srv.limiter.Held())
		})
	}
}

// Whoever hangs up before the usage is told has used it all the same.
func TestHangingUpIsNotFree(t *testing.T) {
	t.Parallel()
	r := newRig(t, limited(config.Quota{Budgets: []config.Budget{{Tokens: 3000, Per: "day", Hard: true}}}))
	r.up.Handle(endlessStream)
	for i := range 100 {
		c := r.dial()
		c.send("POST", chatPath, streamBody, asAlice)
		resp := c.response()
		if resp.StatusCode == 429 {
			require.Positive(t, i)
			return
		}
		_, err := io.CopyN(io.Discard, c.r, 8<<10)
		require.NoError(t, err)
		c.reset()
		r.allEnded()
	}
	require.Fail(t, "the budget never ran out")
}

func TestARequestForMoreThanMayBeIsRefusedByName(t *testing.T) {
	t.Parallel()
	r := newRig(t, limited(config.Quota{MaxOutputTokens: 100}))
	p := r.dial().askOn(chatPath, `{"model":"m","max_tokens":101,"messages":[]}`, asAlice)
	p.requireError(t, 400, "max_tokens_exceeded")
	require.Contains(t, string(p.body), "100")
	require.Zero(t, r.up.Conns())
}

func TestAHardBudgetInMoneyNeedsAPrice(t *testing.T) {
	t.Parallel()
	r := newRig(t, limited(config.Quota{Budgets: []config.Budget{{USD: config.USD, Per: "day", Hard: true}}}), func(c *config.Config) {
		c.Prices.Overrides = nil
		c.Models[0].Targets[0].Model = "nobody-knows-this-one"
	})
	r.dial().askOn(chatPath, streamBody, asAlice).requireError(t, 403, "price_unknown")
	require.Zero(t, r.up.Conns())
	require.Equal(t, 200, r.dial().askOn(chatPath, streamBody, asBob).status)
}

func TestAKeyMayAskForItsModelsOnly(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *config.Config) {
		c.Keys = []config.Key{{Alias: "alice", SHA256: hashOf("alice-secret"), Models: []string{"m*"}, Metadata: map[string]string{"team": "search"}}}
	})
	r.dial().askOn(chatPath, strings.Replace(streamBody, `"m"`, `"other"`, 1), asAlice).requireError(t, 404, "model_not_found")
	r.dial().askOn(chatPath, streamBody, asAlice, "X-Request-Id: a").requireWhole(t)
	require.Equal(t, map[string]string{"team": "search"}, r.record("a").Metadata)
}

// What a whole answer may have is reserved in full, for it cannot be cut.
func TestWholeAnswersReserveAllTheyMayHave(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		stream     bool
		asked, cap int64
		want       int64
	}{
		{true, 0, 0, outputSlice},
		{true, 100, 0, 100},
		{true, 100_000, 0, outputSlice},
		{true, 0, 200, 200},
		{false, 0, 0, wholeAnswer},
		{false, 100, 0, 100},
		{false, 100_000, 0, 100_000},
		{false, 0, 200, 200},
	} {
		x := &exchange{request: &translate.Request{Stream: c.stream}}
		x.quota.asked = c.asked
		require.Equal(t, c.want, x.firstReservation(c.cap), "%+v", c)
	}
}
