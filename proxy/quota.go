package proxy

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/limits"
	"github.com/sluicehq/sluice/proxy/access"
	"github.com/sluicehq/sluice/proxy/credential"
	"github.com/sluicehq/sluice/translate"
)

// quota is what bounds one exchange: what is reserved for it of the limits that it shares
// with others, and what is set for it alone.
type quota struct {
	grant *limits.Reservation
	// watches tells that there is something to look after while the answer comes.
	watches bool
	// outputTokens and duration are 0 where nothing bounds them.
	outputTokens int64
	duration     time.Duration

	// What the exchange would cost, in tokens of its prompt and in 1e-9 USD for a million
	// tokens.
	prompt                int64
	inputRate, outputRate int64

	// Of a budget that may end the stream: how many tokens of output the reservation is
	// good for, whether more is being asked for, and whether that was refused.
	allowed atomic.Int64
	asking  atomic.Bool
	spent   atomic.Bool
}

// unbounded is what an exchange has that nothing bounds.
var unbounded = &limits.Reservation{}

// outputSlice is how many tokens of output are reserved at a time, beyond what has come.
const outputSlice = 1024

// admit reserves what the exchange may use.
func (s *Server) admit(c call, x *exchange) *translate.Error {
	subjects := s.subjects(x)
	if len(subjects) == 0 {
		return nil
	}
	q := &x.quota
	asked, _ := accounting.OutputLimit(x.prompt)
	if q.outputTokens > 0 && asked > q.outputTokens {
		return translate.OutputLimitExceeded(q.outputTokens)
	}
	q.prompt = promptTokens(x.prompt)
	priced := false
	q.inputRate, q.outputRate, priced = s.pricer.PerToken(x.target.provider.Name, x.target.model)
	if !priced && boundedInUSD(subjects) {
		return translate.NewError(translate.CodePriceUnknown)
	}
	ctx, cancel := context.WithTimeout(s.life, admitTime)
	defer cancel()
	first := x.firstReservation(asked)
	grant, err := s.limiter.Reserve(ctx, limits.Ask{ID: x.uid.String(), Subjects: subjects, Reserve: q.amount(first)})
	if err != nil {
		return c.refusal(err)
	}
	q.grant = grant
	q.allowed.Store(first)
	q.watches = q.outputTokens > 0 || q.grant.Bounded()
	for _, f := range rates(q.grant.State()) {
		x.client.rates = appendField(x.client.rates, f.Name, f.Value)
	}
	return nil
}

// firstReservation is how many tokens of output are reserved to begin with. A stream gets
// more as it goes on. A whole answer cannot be cut, so all that it may have is reserved, or
// a good deal where the request sets no limit.
func (x *exchange) firstReservation(asked int64) int64 {
	most := least(asked, x.quota.outputTokens)
	switch {
	case x.streams():
		return least(most, outputSlice)
	case most == 0:
		return wholeAnswer
	}
	return most
}

// wholeAnswer is what is reserved for an answer that is not streamed and has no limit.
const wholeAnswer = 4 * outputSlice

// admitTime bounds the wait for the limits; they have a bound of their own below it.
const admitTime = 2 * time.Second

// subjects are those whose limits hold for an exchange, and notes what they set for it
// alone.
func (s *Server) subjects(x *exchange) []limits.Subject {
	var out []limits.Subject
	add := func(kind limits.Kind, name string, q config.Quota) {
		if q.Zero() {
			return
		}
		x.quota.outputTokens = least(x.quota.outputTokens, int64(q.MaxOutputTokens))
		x.quota.duration = time.Duration(least(int64(x.quota.duration), int64(q.MaxDuration)))
		out = append(out, limits.Subject{Kind: kind, Name: name, Quota: quotaOf(q)})
	}
	add(limits.Key, x.owner.Alias, x.owner.Limits)
	add(limits.Model, x.asked, s.routes.models[x.asked].limits)
	add(limits.Provider, x.target.provider.Name, x.target.provider.Limits)
	return out
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

// boundedInUSD tells whether a hard budget in money holds, which cannot be kept without
// prices.
func boundedInUSD(subjects []limits.Subject) bool {
	for _, s := range subjects {
		for _, b := range s.Quota.Budgets {
			if b.Hard && b.Unit == limits.NanoUSD {
				return true
			}
		}
	}
	return false
}

const million = 1_000_000

// amount is what the exchange has used once it has so many tokens of output.
func (q *quota) amount(output int64) limits.Amount {
	return limits.Amount{
		Tokens:  q.prompt + output,
		NanoUSD: q.prompt*q.inputRate/million + output*q.outputRate/million,
	}
}

// liveOutput is how many tokens of output have come so far: what the provider says, else a
// guess from the text. The record has a better one.
func (x *exchange) liveOutput() int64 {
	if n := x.live.output.get(); n != nil {
		return *n
	}
	return accounting.LiveTokens(x.live.text.Load(), x.live.chunks.Load())
}

// checkQuota is called for each read while an answer comes. It does not wait: what has to
// be asked of others is asked beside it.
func (x *exchange) checkQuota() {
	q := &x.quota
	output := x.liveOutput()
	if q.outputTokens > 0 && output > q.outputTokens {
		x.fail(accounting.OutcomeLimit, translate.CodeOutputLimit)
		return
	}
	if !q.grant.Bounded() {
		return
	}
	allowed := q.allowed.Load()
	switch {
	case output > allowed && q.spent.Load():
		x.fail(accounting.OutcomeLimit, translate.CodeBudgetExceeded)
	case output > allowed-outputSlice/2 && !q.spent.Load() && q.asking.CompareAndSwap(false, true):
		go x.aside(func() { x.extend(output + outputSlice) })
	}
}

// extend asks for a reservation of so many tokens of output in all. It ends within the
// time that the limits allow themselves.
func (x *exchange) extend(output int64) {
	q := &x.quota
	defer q.asking.Store(false)
	ctx, cancel := context.WithTimeout(x.srv.life, admitTime)
	defer cancel()
	var refused *limits.Refused
	switch err := q.grant.Extend(ctx, q.amount(output)); {
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

// outputBound is the most tokens that the answer may have, by the request; 0 if it sets
// no bound.
func (x *exchange) outputBound() int64 {
	if x.sketch != nil {
		return x.promptLimit
	}
	return x.outputLimit()
}

// refusal is what the client is told when its request may not begin.
func (c call) refusal(err error) *translate.Error {
	var refused *limits.Refused
	if !errors.As(err, &refused) {
		e := translate.NewError(translate.CodeLimitsUnavailable)
		var down *limits.Unavailable
		if errors.As(err, &down) {
			e.RetryAfter = max(down.RetryAfter, e.RetryAfter)
		}
		return e
	}
	for _, f := range rates(refused.State) {
		c.rc.Response.Header.Set(f.Name, f.Value)
	}
	e := translate.NewError(refusalCodes[refused.Limit])
	e.Message = refusalMessage(refused)
	e.RetryAfter = refused.RetryAfter
	e.NoRetry = refused.Limit == limits.LimitBudget
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

// rates are header fields in OpenAI's form (API reference, "Rate limits in headers").
func rates(s limits.State) []credential.Field {
	var out []credential.Field
	add := func(of string, r limits.RateState) {
		if !r.Set {
			return
		}
		out = append(out,
			credential.Field{Name: "X-Ratelimit-Limit-" + of, Value: strconv.FormatInt(r.Limit, 10)},
			credential.Field{Name: "X-Ratelimit-Remaining-" + of, Value: strconv.FormatInt(max(r.Remaining, 0), 10)},
			credential.Field{Name: "X-Ratelimit-Reset-" + of, Value: r.Reset.Round(time.Millisecond).String()})
	}
	add("Requests", s.Requests)
	add("Tokens", s.Tokens)
	return out
}

// appendKept appends the fields of the provider's head that the client gets to see. Its
// rate limits are not the client's where sluice has some of its own.
func (x *exchange) appendKept(dst []byte, except ...string) []byte {
	if len(x.client.rates) > 0 {
		except = append(except, rateHeaders...)
	}
	return appendKept(dst, &x.answer, except...)
}

var rateHeaders = []string{
	"x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests",
	"x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens",
}

// ChargeCrash charges the limits for an exchange that a dead process had left open.
func ChargeCrash(limiter *limits.Limiter, cfg *config.Config, keys *access.Keyring, r *accounting.Record) {
	charge(limiter, cfg, keys, r, usedBy(r))
}

// charge charges the limits for something that the exchange of a record has used and that
// is not in a reservation.
func charge(limiter *limits.Limiter, cfg *config.Config, keys *access.Keyring, r *accounting.Record, used limits.Amount) {
	var subjects []limits.Subject
	add := func(kind limits.Kind, name string, q config.Quota) {
		if !q.Zero() {
			subjects = append(subjects, limits.Subject{Kind: kind, Name: name, Quota: quotaOf(q)})
		}
	}
	if c, ok := keys.Caller(r.Key); ok {
		add(limits.Key, r.Key, c.Limits)
	}
	for _, m := range cfg.Models {
		if m.Name == r.ModelAsked {
			add(limits.Model, m.Name, m.Limits)
		}
	}
	for _, p := range cfg.Providers {
		if p.Name == r.Provider {
			add(limits.Provider, p.Name, p.Limits)
		}
	}
	if len(subjects) > 0 {
		limiter.Charge(subjects, used, r.Start)
	}
}

// usedBy is what an exchange has used, by its record, whatever its outcome: who hangs up
// before the usage is told has used it all the same.
func usedBy(r *accounting.Record) limits.Amount {
	used := limits.Amount{Tokens: r.Usage.Input.N + r.Usage.Output.N}
	if r.CostNanoUSD != nil {
		used.NanoUSD = *r.CostNanoUSD
	}
	return used
}
