package proxy

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/limits"
	"github.com/sluicehq/sluice/translate"
)

// quota is what bounds one exchange: what is reserved for it of the limits of its key and
// its model, and what they set for it alone. Limits of providers are with the attempts.
type quota struct {
	grant *limits.Reservation
	// usd tells that a hard budget in money holds, which cannot be kept without prices.
	usd bool
	// outputTokens and duration are 0 where nothing bounds them.
	outputTokens int64
	duration     time.Duration

	asked        int64 // the most output that the request allows, 0 if it says nothing
	prompt       int64 // tokens of its prompt, roughly
	begin        int64 // tokens of output that are reserved to begin with
	reservations int   // at providers, so far
	refused      refusal

	// Of a budget that may end the stream: how many tokens of output the reservations are
	// good for, whether more is being asked for, and whether that was refused.
	allowed atomic.Int64
	asking  atomic.Bool
	spent   atomic.Bool
}

// refusal is the first one, with the header lines that belong to it.
type refusal struct {
	why   *translate.Error
	rates []byte
}

// share is what an attempt has of the limits of its provider.
type share struct {
	grant *limits.Reservation
	price price
	// outputTokens is the most that the answer may have; 0 if nothing bounds it.
	outputTokens int64
	// watches tells that there is something to look after while the answer comes.
	watches bool
}

// price is what a million tokens cost at a target, in 1e-9 USD.
type price struct {
	input, output int64
	known         bool
}

// unbounded is what an exchange has that nothing bounds.
var unbounded = &limits.Reservation{}

var noAmount limits.Amount

// outputSlice is how many tokens of output are reserved at a time, beyond what has come.
const outputSlice = 1024

// wholeAnswer is what is reserved for an answer that is not streamed and has no limit.
const wholeAnswer = 4 * outputSlice

// limitsTime bounds the wait for the limits; they have a bound of their own below it.
const limitsTime = 2 * time.Second

// admitted reserves what the exchange may use of the limits of its key and its model. It
// reports false when the exchange is over.
func (x *exchange) admitted() bool {
	q := &x.quota
	subjects := x.subjects()
	q.prompt, q.asked = promptTokens(x.prompt.bytes()), x.prompt.outputLimit()
	q.begin = x.firstReservation(q.outputTokens)
	if q.outputTokens > 0 && q.asked > q.outputTokens {
		x.reject(translate.OutputLimitExceeded(q.outputTokens))
		return false
	}
	if len(subjects) == 0 {
		return true
	}
	grant, refusal := x.reserve(x.uid.String(), subjects, x.priceAt(x.plan.left()[0]), q.begin)
	if refusal != nil {
		x.reject(refusal)
		return false
	}
	q.grant = grant
	x.rates = appendRates(nil, grant.State()) // which the client is told
	q.allowed.Store(q.begin)
	return true
}

// subjects are the key and the model of an exchange as far as limits hold for them. What
// they set for the exchange alone is noted.
func (x *exchange) subjects() []limits.Subject {
	var out []limits.Subject
	q := &x.quota
	add := func(kind limits.Kind, name string, set config.Quota) {
		if set.Zero() {
			return
		}
		q.outputTokens = least(q.outputTokens, int64(set.MaxOutputTokens))
		q.duration = time.Duration(least(int64(q.duration), int64(set.MaxDuration)))
		q.usd = q.usd || boundedInUSD(set)
		out = append(out, limits.Subject{Kind: kind, Name: name, Quota: quotaOf(set)})
	}
	add(limits.Key, x.owner.Alias, x.owner.Limits)
	if m := x.route.model; m != nil {
		add(limits.Model, m.Name, m.Limits)
	}
	return out
}

// mayUse reserves what an attempt may use of the limits of its provider.
func (a *attempt) mayUse() *translate.Error {
	to, q := a.target.provider, &a.quota
	set := to.Limits
	a.share.price = a.priceAt(a.target)
	a.share.outputTokens = least(q.outputTokens, int64(set.MaxOutputTokens))
	if !a.share.price.known && (q.usd || boundedInUSD(set)) {
		return translate.NewError(translate.CodePriceUnknown)
	}
	if a.share.outputTokens > 0 && q.asked > a.share.outputTokens {
		return translate.OutputLimitExceeded(a.share.outputTokens)
	}
	if !set.Zero() {
		q.reservations++
		subject := limits.Subject{Kind: limits.Provider, Name: to.Name, Quota: quotaOf(set)}
		grant, refusal := a.reserve(a.uid.String()+"/"+strconv.Itoa(q.reservations), []limits.Subject{subject},
			a.share.price, a.firstReservation(a.share.outputTokens))
		if refusal != nil {
			return refusal
		}
		a.share.grant = grant
		if len(a.client.rates) == 0 {
			a.client.rates = appendRates(nil, grant.State())
		}
		q.allowed.CompareAndSwap(0, q.begin)
	}
	a.share.watches = a.share.outputTokens > 0 || q.grant.Bounded() || a.share.grant.Bounded()
	return nil
}

// reserve asks the limits.
func (x *exchange) reserve(id string, subjects []limits.Subject, p price, output int64) (*limits.Reservation, *translate.Error) {
	ctx, cancel := context.WithTimeout(x.ctx, limitsTime)
	defer cancel()
	grant, err := x.srv.limiter.Reserve(ctx, limits.Ask{ID: id, Subjects: subjects, Reserve: x.amount(p, output)})
	if err != nil {
		return nil, x.limited(err)
	}
	return grant, nil
}

// priceAt is what a target costs.
func (x *exchange) priceAt(t target) price {
	var p price
	p.input, p.output, p.known = x.gen.pricer.PerToken(t.provider.Name, t.model)
	return p
}

// firstReservation is how many tokens of output are reserved to begin with, of at most so
// many; 0 sets no bound. A stream gets more as it goes on. A whole answer cannot be cut, so
// all that it may have is reserved, or a good deal where the request sets no limit.
func (x *exchange) firstReservation(bound int64) int64 {
	most := least(x.quota.asked, bound)
	switch {
	case x.streams():
		return least(most, outputSlice)
	case most == 0:
		return wholeAnswer
	}
	return most
}

// least is the smaller of two bounds of which 0 is none.
func least(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// quotaOf is a quota of the configuration in the words of the limits.
func quotaOf(q config.Quota) *limits.Quota {
	out := &limits.Quota{
		RequestsPerMinute: int64(q.RequestsPerMinute), TokensPerMinute: int64(q.TokensPerMinute),
		Streams: int64(q.Streams), Fail: limits.Fail(q.Fail),
	}
	for _, b := range q.Budgets {
		budget := limits.Budget{Unit: limits.Tokens, Amount: int64(b.Tokens), Per: limits.Period(b.Per), Hard: b.Hard, Fail: failOf(b)}
		if b.USD > 0 {
			budget.Unit, budget.Amount = limits.NanoUSD, int64(b.USD)
		}
		out.Budgets = append(out.Budgets, budget)
	}
	return out
}

// failOf is what holds for a budget while the shared counters cannot be reached.
func failOf(b config.Budget) limits.Fail {
	switch {
	case b.Fail != "":
		return limits.Fail(b.Fail)
	case b.Hard:
		return limits.Fail(config.FailClosed)
	}
	return limits.Fail(config.FailOpen)
}

// boundedInUSD tells whether a quota has a hard budget in money.
func boundedInUSD(q config.Quota) bool {
	for _, b := range q.Budgets {
		if b.Hard && b.USD > 0 {
			return true
		}
	}
	return false
}

const million = 1_000_000

// amount is what the exchange has used once it has so many tokens of output.
func (x *exchange) amount(p price, output int64) limits.Amount {
	return limits.Amount{
		Tokens:  x.quota.prompt + output,
		NanoUSD: x.quota.prompt*p.input/million + output*p.output/million,
	}
}

// liveOutput is how many tokens of output have come so far: what the provider says, else a
// guess from the text. The record has a better one.
func (l *liveCounts) liveOutput() int64 {
	if n := l.output.get(); n != nil {
		return *n
	}
	return accounting.LiveTokens(l.text.Load(), l.chunks.Load())
}

// checkQuota is called for each read while an answer comes. It does not wait: what has to
// be asked of others is asked beside it.
func (a *attempt) checkQuota() {
	q := &a.quota
	output := a.live.liveOutput()
	if most := a.share.outputTokens; most > 0 && output > most {
		a.exchange.fail(accounting.OutcomeLimit, translate.CodeOutputLimit)
		return
	}
	if !q.grant.Bounded() && !a.share.grant.Bounded() {
		return
	}
	allowed := q.allowed.Load()
	switch {
	case output > allowed && q.spent.Load():
		a.exchange.fail(accounting.OutcomeLimit, translate.CodeBudgetExceeded)
	case output > allowed-outputSlice/2 && !q.spent.Load() && q.asking.CompareAndSwap(false, true):
		a.srv.background.start(a.srv, "reserving more of a budget", func() { a.extend(output + outputSlice) })
	}
}

// extend asks for reservations of so many tokens of output in all. It ends within the
// time that the limits allow themselves.
func (a *attempt) extend(output int64) {
	q := &a.quota
	defer q.asking.Store(false)
	ctx, cancel := context.WithTimeout(a.ctx, limitsTime)
	defer cancel()
	var refused *limits.Refused
	err := q.grant.Extend(ctx, a.amount(a.share.price, output))
	if err == nil {
		err = a.share.grant.Extend(ctx, a.amount(a.share.price, output))
	}
	switch {
	case err == nil:
		q.allowed.Store(output)
	case errors.As(err, &refused):
		q.spent.Store(true)
	}
	// Anything else is tried again with the next chunk.
}

// promptTokens is a quick guess of a prompt's tokens, for the reservation: text by its
// length, and what is embedded in it as base64 at the price of a picture.
func promptTokens(body []byte) int64 {
	const perPicture = 1000
	var pictures int64
	text := int64(len(body))
	for rest := body; ; pictures++ {
		i := bytes.Index(rest, []byte(";base64,"))
		if i < 0 {
			return accounting.LiveTokens(text, 0) + pictures*perPicture
		}
		rest = rest[i:]
		end := bytes.IndexByte(rest, '"')
		if end < 0 {
			end = len(rest)
		}
		text -= int64(end)
		rest = rest[end:]
	}
}

// limited is what the client is told when its request may not begin.
func (x *exchange) limited(err error) *translate.Error {
	var refused *limits.Refused
	if !errors.As(err, &refused) {
		e := translate.NewError(translate.CodeLimitsUnavailable)
		var down *limits.Unavailable
		if errors.As(err, &down) {
			e.RetryAfter = max(down.RetryAfter, e.RetryAfter)
		}
		return e
	}
	e := translate.NewError(refusalCodes[refused.Limit])
	e.Message = refusalMessage(refused)
	e.RetryAfter = refused.RetryAfter
	e.NoRetry = refused.Limit == limits.LimitBudget
	if x.quota.refused.why == nil {
		x.quota.refused = refusal{e, appendRates(nil, refused.State)}
	}
	return e
}

var refusalCodes = map[limits.Limit]string{
	limits.LimitRequests: translate.CodeRateLimit,
	limits.LimitTokens:   translate.CodeRateLimit,
	limits.LimitStreams:  translate.CodeTooManyStreams,
	limits.LimitBudget:   translate.CodeBudgetSpent,
}

// refusalMessage names the limit and whose it is, by words only: the name of a provider is
// not for clients.
func refusalMessage(r *limits.Refused) string {
	what := map[limits.Limit]string{
		limits.LimitRequests: "The limit of requests per minute",
		limits.LimitTokens:   "The limit of tokens per minute",
		limits.LimitStreams:  "The limit of requests at the same time",
		limits.LimitBudget:   "The budget",
	}[r.Limit]
	return what + " of this " + string(r.Subject.Kind) + " has been reached."
}

// appendRates appends header lines in OpenAI's form (API reference, "Rate limits in
// headers").
func appendRates(dst []byte, s limits.State) []byte {
	add := func(of string, r limits.RateState) {
		if !r.Set {
			return
		}
		dst = appendField(dst, "X-Ratelimit-Limit-"+of, strconv.FormatInt(r.Limit, 10))
		dst = appendField(dst, "X-Ratelimit-Remaining-"+of, strconv.FormatInt(max(r.Remaining, 0), 10))
		dst = appendField(dst, "X-Ratelimit-Reset-"+of, r.Reset.Round(time.Millisecond).String())
	}
	add("Requests", s.Requests)
	add("Tokens", s.Tokens)
	return dst
}

// appendKept appends the fields of the provider's head that the client gets to see. Its
// rate limits are not the client's where sluice has some of its own.
func (a *attempt) appendKept(dst []byte, except ...string) []byte {
	if len(a.client.rates) > 0 {
		except = append(except, rateHeaders...)
	}
	if a.answer.Status >= fasthttp.StatusBadRequest && a.ranBefore() { // this one has not, as it says
		return appendField(appendKept(dst, &a.answer, append(except, "x-should-retry")...), "X-Should-Retry", "false")
	}
	return appendKept(dst, &a.answer, except...)
}

var rateHeaders = []string{
	"x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests",
	"x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens",
}
