package proxy

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/accounting/tokens"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// askedLater makes the provider one that is asked after a cut, with a key of sluice's own.
func askedLater(c *config.Config) {
	c.Providers[0].UsageLookup, c.Providers[0].APIKey = yes, canaryProviderKey
	c.Prices.Overrides = []config.Price{{Model: "m", Input: config.USD, Output: 2 * config.USD}}
}

const generationID = "gen-17/a b"

// cutChunks are the beginning of a stream of OpenRouter's.
var cutChunks = fakeprovider.ChatStream(fakeprovider.ChatOptions{ID: generationID, Texts: []string{canaryAnswer, canaryAnswer, "."}})[:3]

// knows answers questions for a generation.
const knows = `{"data":{"id":"gen-17/a b","model":"canary-model","provider_name":"canary-vendor","origin":"https://canary.test","streamed":true,
	"cancelled":true,"tokens_prompt":8,"tokens_completion":7,"native_tokens_prompt":20,"native_tokens_completion":30,"native_tokens_reasoning":5,
	"native_tokens_cached":4,"native_finish_reason":"canary","total_cost":1.2345678904e-3,"usage":0.0012345678904,"upstream_inference_cost":null,"is_byok":false}}`

// keptOf is what the record keeps of it.
const keptOf = `{"streamed":true,"cancelled":true,"tokens_prompt":8,"tokens_completion":7,"native_tokens_prompt":20,"native_tokens_completion":30,` +
	`"native_tokens_reasoning":5,"native_tokens_cached":4,"total_cost":1.2345678904e-3,"usage":0.0012345678904,"is_byok":false}`

var knownUsage = tokens.Usage{
	Input: tokens.Known(20), InputCached: tokens.Known(4), Output: tokens.Known(30), OutputReasoning: tokens.Known(5),
}

// cutting cuts the streams of a provider, and lets answer deal with what it is asked
// afterwards.
func (r *rig) cutting(answer func(e *fakeprovider.Exchange)) {
	r.up.Handle(func(e *fakeprovider.Exchange) {
		if e.Request.Method == http.MethodGet {
			answer(e)
			return
		}
		e.StreamHead()
		for _, c := range cutChunks {
			e.Event(c)
		}
		e.Cut()
	})
}

// hasten makes the lookups of a rig wait for less.
func (r *rig) hasten(times int, pause time.Duration) {
	r.srv.lookups.pauses = make([]time.Duration, times)
	for i := range r.srv.lookups.pauses {
		r.srv.lookups.pauses[i] = pause
	}
}

// requireLookups waits until so many lookups have come to so much.
func (r *rig) requireLookups(want map[string]float64) {
	r.Helper()
	r.until("other lookups have ended", func() bool {
		for _, result := range []string{"settled", "not_found", "failed", "dropped"} {
			if r.metric("sluice_usage_lookups_total", "result="+result) != want[result] {
				return false
			}
		}
		return len(r.srv.lookups.waiting) == 0
	})
}

// The record of a cut stream has the provider's own numbers once it tells them, and the
// estimate beside them. Nothing else that the provider says is kept or logged.
func TestUsageOfACutStreamIsLookedUp(t *testing.T) {
	t.Parallel()
	r := newRig(t, askedLater)
	r.hasten(5, time.Millisecond)
	estimated := make(chan struct{})
	asked := 0
	r.cutting(func(e *fakeprovider.Exchange) {
		<-estimated
		switch asked++; asked {
		case 1:
			e.JSON(404, fakeprovider.ErrorBody(canaryAnswer, "t", "c"))
		case 2:
			e.JSON(200, `{"data":{"id":"gen-17/a b","native_tokens_prompt":null,"native_tokens_completion":null,"total_cost":0}}`)
		case 3:
			e.JSON(503, canaryAnswer)
		default:
			e.JSON(200, knows)
		}
	})
	p, before := r.askAs("a", withCanaries(streamBody), "Authorization: Bearer "+canaryClientKey)
	require.Equal(t, accounting.OutcomeUpstreamTruncated, before.Outcome)
	require.Equal(t, accounting.SourceEstimated, before.UsageSource)
	require.Nil(t, before.Estimate)
	close(estimated)
	r.requireLookups(map[string]float64{"settled": 1})

	rec := r.record("a")
	require.Equal(t, accounting.SourceReported, rec.UsageSource)
	require.Equal(t, knownUsage, rec.Usage)
	require.Equal(t, before.Usage, *rec.Estimate)
	require.Equal(t, keptOf, string(rec.RawUsage))
	for _, cost := range []*int64{rec.CostNanoUSD, rec.CostLowNanoUSD, rec.CostHighNanoUSD} {
		require.Equal(t, int64(1_234_568), *cost)
	}
	amended := *before
	amended.Usage, amended.UsageSource, amended.RawUsage, amended.Estimate = rec.Usage, rec.UsageSource, rec.RawUsage, rec.Estimate
	amended.CostNanoUSD, amended.CostLowNanoUSD, amended.CostHighNanoUSD = rec.CostNanoUSD, rec.CostLowNanoUSD, rec.CostHighNanoUSD
	require.Equal(t, &amended, rec, "the rest stays")

	require.Len(t, r.up.Exchanges(), 1+4)
	question := r.up.WaitExchange(2).Request
	require.Equal(t, "/v1/generation?id=gen-17%2Fa+b", question.Target)
	require.Equal(t, "Bearer "+canaryProviderKey, question.Get("Authorization"))
	require.NotContains(t, string(question.Head), canaryClientKey)
	require.Empty(t, question.Body)
	requireNoCanary(t, r, p, before, rec)
}

// The cost is that of the prices where the provider states none, and both parts of it where
// the vendor behind it charges the operator for itself.
func TestCostOfLookedUpUsage(t *testing.T) {
	t.Parallel()
	const fromPrices = 20*1_000 + 30*2_000 // nano-USD, at 1 and 2 USD for a million
	for name, c := range map[string]struct {
		members string
		want    int64
	}{
		"stated":           {`"total_cost":0.5,"upstream_inference_cost":0.5`, 500_000_000},
		"nothing":          {`"total_cost":0`, 0},
		"not stated":       {`"usage":0.5`, fromPrices},
		"not a number":     {`"total_cost":"0.5"`, fromPrices},
		"below nothing":    {`"total_cost":-1`, fromPrices},
		"own account":      {`"is_byok":true,"total_cost":0.025,"upstream_inference_cost":0.5`, 525_000_000},
		"own, not in full": {`"is_byok":true,"total_cost":0.025,"upstream_inference_cost":null`, fromPrices},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, askedLater)
			r.hasten(1, 0)
			r.cutting(func(e *fakeprovider.Exchange) {
				e.JSON(200, `{"data":{"native_tokens_prompt":20,"native_tokens_completion":30,`+c.members+`}}`)
			})
			r.askAs("a", streamBody)
			r.requireLookups(map[string]float64{"settled": 1})
			rec := r.record("a")
			for _, cost := range []*int64{rec.CostNanoUSD, rec.CostLowNanoUSD, rec.CostHighNanoUSD} {
				require.NotNil(t, cost)
				require.Equal(t, c.want, *cost)
			}
		})
	}
}

// A name in the head of the answer is enough: a stream can be cut before its first event.
func TestGenerationIsKnownFromTheHead(t *testing.T) {
	t.Parallel()
	r := newRig(t, askedLater)
	r.hasten(1, 0)
	r.up.Handle(func(e *fakeprovider.Exchange) {
		if e.Request.Method == http.MethodGet {
			e.JSON(200, strings.Replace(knows, generationID, "gen-head", 1))
			return
		}
		e.StreamHead("X-Generation-Id: gen-head")
		e.Hold()
	})
	c := r.dial()
	resp := c.post(streamBody, "X-Request-Id: a")
	require.Equal(t, 200, resp.StatusCode)
	require.NoError(t, c.Close())
	r.requireLookups(map[string]float64{"settled": 1})
	require.Equal(t, "/v1/generation?id=gen-head", r.up.WaitExchange(2).Request.Target)
	rec := r.record("a")
	require.Equal(t, accounting.OutcomeClientGone, rec.Outcome)
	require.Equal(t, knownUsage, rec.Usage)
}

// The record stands where the provider never says anything of use.
func TestRecordStandsWhereNothingIsFound(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer func(e *fakeprovider.Exchange)
		result string
		times  int
	}{
		"not found":       {func(e *fakeprovider.Exchange) { e.JSON(404, `{}`) }, "not_found", 4},
		"another request": {func(e *fakeprovider.Exchange) { e.JSON(200, strings.Replace(knows, generationID, "gen-2", 1)) }, "not_found", 4},
		"no numbers": {func(e *fakeprovider.Exchange) {
			e.JSON(200, `{"data":{"native_tokens_prompt":-1,"native_tokens_completion":"9"}}`)
		}, "not_found", 4},
		"busy":      {func(e *fakeprovider.Exchange) { e.JSON(429, `{}`) }, "failed", 4},
		"broken":    {func(e *fakeprovider.Exchange) { e.JSON(500, `{}`) }, "failed", 4},
		"no answer": {func(e *fakeprovider.Exchange) { e.Reset() }, "failed", 4},
		"no JSON":   {func(e *fakeprovider.Exchange) { e.JSON(200, canaryAnswer) }, "failed", 4},
		"too much":  {func(e *fakeprovider.Exchange) { e.JSON(200, `"`+strings.Repeat("a", maxGeneration)+`"`) }, "failed", 4},
		"refused":   {func(e *fakeprovider.Exchange) { e.JSON(401, canaryAnswer) }, "failed", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, askedLater)
			r.hasten(4, time.Millisecond)
			r.cutting(c.answer)
			p, rec := r.askAs("a", streamBody)
			r.requireLookups(map[string]float64{c.result: 1})
			require.Len(t, r.up.Exchanges(), 1+c.times)
			require.Same(t, rec, r.record("a"))
			require.Equal(t, accounting.SourceEstimated, rec.UsageSource)
			requireNoCanary(t, r, p, rec)
		})
	}
}

// Nobody is asked without a key of sluice's own, where the provider has said it already, or
// where it has done nothing.
func TestNothingIsLookedUpWithoutNeed(t *testing.T) {
	t.Parallel()
	cut := func(e *fakeprovider.Exchange) {
		e.StreamHead()
		e.Event(cutChunks[0])
		e.Event(cutChunks[1])
		e.Cut()
	}
	for name, c := range map[string]struct {
		change func(*config.Config)
		script func(e *fakeprovider.Exchange)
	}{
		"the client's key": {func(c *config.Config) { c.Providers[0].APIKey = "" }, cut},
		"a key in a header": {func(c *config.Config) {
			c.Providers[0].APIKey, c.Providers[0].Headers = "", map[string]config.Secret{"Authorization": canaryProviderKey}
		}, cut},
		"turned off":   {func(c *config.Config) { c.Providers[0].UsageLookup = no }, cut},
		"not told":     {func(c *config.Config) { c.Providers[0].UsageLookup = nil }, cut},
		"reported":     {nil, func(e *fakeprovider.Exchange) { fakeprovider.DefaultScript(e) }},
		"refused":      {nil, func(e *fakeprovider.Exchange) { e.JSON(400, `{}`, "X-Generation-Id: gen-1") }},
		"without name": {nil, func(e *fakeprovider.Exchange) { e.StreamHead(); e.Cut() }},
		"a long name": {nil, func(e *fakeprovider.Exchange) {
			e.StreamHead("X-Generation-Id: " + strings.Repeat("a", maxGenerationID+1))
			e.Cut()
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			changes := []func(*config.Config){askedLater}
			if c.change != nil {
				changes = append(changes, c.change)
			}
			r := newRig(t, changes...)
			r.hasten(1, 0)
			r.up.Handle(c.script)
			r.ask(streamBody, "Authorization: Bearer "+canaryClientKey)
			rec := r.onlyRecord() // what is looked up waits by then
			r.requireLookups(nil)
			require.Len(t, r.up.Exchanges(), 1)
			require.Nil(t, rec.Estimate)
		})
	}
}

// The end of sluice does not wait for what is looked up, and the record stands.
func TestShutdownDoesNotWaitForLookups(t *testing.T) {
	t.Parallel()
	for name, entered := range map[string]bool{"while it waits": false, "while it asks": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, askedLater)
			r.hasten(1, time.Hour)
			if entered {
				r.hasten(1, 0)
			}
			r.cutting(func(e *fakeprovider.Exchange) { e.Hold() })
			_, rec := r.askAs("a", streamBody)
			if entered {
				r.up.WaitExchange(2)
			}
			require.Len(t, r.srv.lookups.waiting, 1)
			now, returned := r.shutdown()
			now()
			requireReturned(t, returned)
			require.Empty(t, r.srv.lookups.waiting)
			r.requireLookups(map[string]float64{"dropped": 1})
			require.Same(t, rec, r.record("a"))

			r.srv.lookups.begin(lookup{}) // a record that was kept late
			r.requireLookups(map[string]float64{"dropped": 2})
		})
	}
}

// What waits is bounded.
func TestLookupsBeyondTheBoundAreDropped(t *testing.T) {
	t.Parallel()
	r := newRig(t, askedLater)
	r.hasten(1, time.Hour)
	r.srv.lookups.waiting = make(chan struct{}, 2)
	r.cutting(func(e *fakeprovider.Exchange) { e.JSON(200, knows) })
	for range 5 {
		r.ask(streamBody)
	}
	require.Len(t, r.allEnded(), 5)
	require.Len(t, r.srv.lookups.waiting, 2)
	require.InDelta(t, 3, r.metric("sluice_usage_lookups_total", "result=dropped"), 0)
}

// A panic in a lookup is one that failed, and is logged without what was said.
func TestPanicOfALookupIsContained(t *testing.T) {
	t.Parallel()
	r := newRig(t, askedLater)
	r.hasten(1, 0)
	r.srv.lookups.begin(lookup{record: &accounting.Record{ID: "a"}}) // of no provider
	r.requireLookups(map[string]float64{"failed": 1})
	require.Contains(t, r.logs.String(), "panic in the background")
}

// What a request has used beyond its estimate counts for its budgets too.
func TestBudgetsAreChargedWhatWasLookedUp(t *testing.T) {
	t.Parallel()
	r := newRig(t, limited(config.Quota{Budgets: []config.Budget{{Tokens: 2000, Per: "total", Hard: true}}}), func(c *config.Config) {
		c.Providers[0].UsageLookup, c.Providers[0].APIKey = yes, canaryProviderKey
	})
	r.hasten(1, 0)
	r.cutting(func(e *fakeprovider.Exchange) {
		e.JSON(200, `{"data":{"native_tokens_prompt":20,"native_tokens_completion":1970}}`)
	})
	body := strings.Replace(streamBody, `"m"`, `"m","max_tokens":10`, 1)
	require.Equal(t, 200, r.ask(body, asAlice).status)
	r.requireLookups(map[string]float64{"settled": 1})
	require.Equal(t, 429, r.ask(body, asAlice).status)
	require.Equal(t, 200, r.ask(body, asBob).status)
	r.requireLookups(map[string]float64{"settled": 2})
}

// refusingLedger takes no usage that was looked up.
type refusingLedger struct{ *accounting.Memory }

func (l refusingLedger) Amend(r *accounting.Record) *accounting.Receipt {
	if r.Estimate != nil {
		return accounting.Settled(accounting.ErrLedgerUnavailable)
	}
	return l.Memory.Amend(r)
}

func TestLookupThatTheLedgerRefusesHasFailed(t *testing.T) {
	t.Parallel()
	r := newRig(t, askedLater)
	r.srv.ledger = refusingLedger{r.ledger}
	r.hasten(1, 0)
	r.cutting(func(e *fakeprovider.Exchange) { e.JSON(200, knows) })
	c := r.dial()
	c.send("POST", chatPath, streamBody, "X-Request-Id: a")
	_ = read(c.response())
	r.requireLookups(map[string]float64{"failed": 1})
	rec, ok := r.ledger.Get(context.Background(), "a")
	require.True(t, ok)
	require.Equal(t, accounting.SourceEstimated, rec.UsageSource)
}

func TestRecordOfALookupIsValidJSON(t *testing.T) {
	t.Parallel()
	g := parseGeneration([]byte(knows), generationID)
	require.True(t, json.Valid(g.raw))
	require.Equal(t, knownUsage, g.usage)
}
