package proxy

import (
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/proxy/balance"
	"github.com/sluicehq/sluice/translate"
)

// statusOverloaded is what Anthropic answers when it has no room for a request.
const statusOverloaded = 529

// first makes the first attempt, at the best target that has room for it. Where none has,
// it waits for one; it does not go to one that is not well rather than wait for one that
// is. It returns nil when the exchange is over.
func (x *exchange) first() *attempt {
	var refusal *translate.Error
	var waiting *attempt
	order := x.plan.left()
	for i, to := range order {
		if waiting != nil && waiting.target.health.Available() && !to.health.Available() {
			break // those behind it are no better
		}
		a, err := x.newAttempt(to, accounting.AttemptFirst)
		if err == nil {
			err = a.mayUse()
		}
		if err != nil {
			if refusal == nil {
				refusal = err
			}
			continue
		}
		if a.takeTurn() {
			waiting.giveBack()
			x.plan.keep(without(order, i))
			return a
		}
		if waiting == nil {
			waiting = a
		} else {
			a.giveBack()
		}
	}
	switch {
	case waiting == nil:
		x.reject(refusal)
		return nil
	case !waiting.awaitTurn():
		return nil
	}
	x.plan.keep(without(order, slices.Index(order, waiting.target)))
	return waiting
}

func without(list []target, i int) []target {
	out := make([]target, 0, len(list)-1)
	return append(append(out, list[:i]...), list[i+1:]...)
}

// takeTurn reports whether the target has room for the attempt now.
func (a *attempt) takeTurn() bool {
	turn, ok := a.target.health.TryEnter()
	a.turn = turn
	return ok
}

// awaitTurn waits until the target has room. It reports false when the exchange is over,
// which it is if there is no room in time.
func (a *attempt) awaitTurn() bool {
	began := time.Now()
	turn, err := a.target.health.Enter(a.ctx, a.owner.Alias)
	a.plan.waited = time.Since(began)
	if err == nil {
		a.turn = turn
		return true
	}
	a.giveBack()
	e := translate.NewError(translate.CodeUpstreamBusy)
	var busy *balance.Busy
	if errors.As(err, &busy) {
		e.RetryAfter = max(e.RetryAfter, busy.RetryAfter)
	}
	a.reject(e)
	return false
}

// giveBack returns what an attempt has of its provider's limits that is not made. a may be
// nil.
func (a *attempt) giveBack() {
	if a != nil {
		a.share.grant.Settle(noAmount)
	}
}

// next is the attempt that follows one that has ended, nil when the exchange is over:
// then it has the ending of that attempt.
func (x *exchange) next(ended *attempt) *attempt {
	if _, over := x.valve.ended(); over {
		return nil
	}
	if _, over := ended.valve.ended(); !over { // it has forgotten to say how it ended
		ended.fail(accounting.OutcomeInternal, translate.CodeInternal)
	}
	ended.pauseTarget()
	if a := x.successor(ended); a != nil {
		return a
	}
	if _, over := x.valve.ended(); !over {
		ended.hasLastWord()
	}
	return nil
}

// hasLastWord gives the exchange the ending of its last attempt.
func (a *attempt) hasLastWord() {
	a.attempts.lastWord(a)
	if a.words != nil {
		a.words()
		return
	}
	e, _ := a.valve.ended()
	a.exchange.shut(e)
}

// ranBefore tells whether an earlier attempt may have run.
func (a *attempt) ranBefore() bool {
	return slices.ContainsFunc(a.attempts.all(), func(other *attempt) bool {
		return other != a && other.mayHaveRun() && !other.wasRefused()
	})
}

// surrender ends the attempt with a failure that the provider has put into words. The
// client gets them unless another attempt takes over. keep leaves the connection to settle.
func (a *attempt) surrender(e ending, why translate.ErrorKind, keep bool, words func()) {
	a.relay.ended = true
	a.refused = why
	if a.committed.Load() {
		words()
		a.shut(e)
		return
	}
	a.words = words
	if keep {
		a.valve.settle(e)
	} else {
		a.valve.shut(e)
	}
}

// mayFollow tells whether another attempt could follow this one, as far as can be told
// while it goes on.
func (a *attempt) mayFollow() bool {
	if a.committed.Load() || a.request == nil || !a.mayTryAgain() {
		return false
	}
	m := a.route.model
	return len(a.plan.left()) > 0 || a.gen.cfg.Retry.SameTarget > a.plan.repeats || m != nil && m.Fallback != ""
}

// mayTryAgain tells whether the number of attempts and the time allow for another.
func (x *exchange) mayTryAgain() bool {
	r := &x.gen.cfg.Retry
	return x.attempts.count() < r.Attempts && x.clock() < int64(r.Within)
}

// successor is the attempt that takes over from one that has ended, nil if none may.
func (x *exchange) successor(ended *attempt) *attempt {
	if x.request == nil || ended.committed.Load() || !x.mayTryAgain() {
		return nil
	}
	if fallback, ok := ended.fallback(); ok {
		return x.fallBack(ended, fallback)
	}
	if !ended.mayRepeat() {
		return nil
	}
	if a := x.elsewhere(accounting.AttemptRetry); a != nil {
		if !x.plan.route.group.MayRetry() {
			a.giveUpTurn()
			x.srv.routing.RetryDenied(x.plan.route.label())
			return nil
		}
		x.takesOver(ended, a)
		return a
	}
	return x.again(ended)
}

// takesOver ends what is left of an attempt in favour of another one.
func (x *exchange) takesOver(ended, a *attempt) {
	ended.settle()
	e, _ := ended.valve.ended()
	x.srv.routing.Retried(ended.target.provider.Name, ended.target.label, ended.mishap(e))
	x.srv.log.Info("another target takes over", "id", x.id, "from", ended.target.name(), "to", a.target.name(),
		"outcome", string(e.outcome), "code", e.code, "status", ended.statusUp)
}

// mishap is why another attempt follows this one, in one of few words.
func (a *attempt) mishap(e ending) string {
	switch s := a.statusUp; {
	case s >= 400:
		return "status_" + strconv.Itoa(s)
	case a.words != nil:
		return "error_event"
	}
	return e.code
}

// mayRepeat tells whether the request may be made again after this attempt: it has not
// run, or the operator takes the risk that it has.
func (a *attempt) mayRepeat() bool {
	e, _ := a.valve.ended()
	switch e.outcome {
	case accounting.OutcomeUpstreamError, accounting.OutcomeUpstreamTimeout, accounting.OutcomeUpstreamTruncated:
	default:
		return false
	}
	risk := a.route.model != nil && a.route.model.RetryMaybeRan
	switch s := a.statusUp; {
	case accounting.Phase(a.decidedIn.Load()) <= accounting.PhaseSending: // not all of it was sent
		return true
	case s == fasthttp.StatusTooManyRequests, s == fasthttp.StatusServiceUnavailable, s == statusOverloaded:
		return true
	case s >= 400 && s < 500:
		return false
	case s == 0, s >= 500:
		return risk
	case s >= 300, e.code == translate.CodeUpstreamBadContentType: // a page of something in between
		return true
	case a.streams():
		return risk || a.route.model != nil && a.route.model.FirstTokenFailover
	}
	return risk
}

// elsewhere is an attempt at the next target that is well and has room.
func (x *exchange) elsewhere(kind string) *attempt {
	for {
		to, ok := x.plan.pop()
		if !ok {
			return nil
		}
		if to.health.Available() {
			if a := x.tryAt(to, kind); a != nil {
				return a
			}
		}
	}
}

// tryAt is an attempt at a target that can serve the request now, else nil.
func (x *exchange) tryAt(to target, kind string) *attempt {
	a, err := x.newAttempt(to, kind)
	if err != nil || a.mayUse() != nil {
		return nil
	}
	if !a.takeTurn() {
		a.giveBack()
		return nil
	}
	return a
}

// giveUpTurn gives back what an attempt has taken that is not made.
func (a *attempt) giveUpTurn() {
	a.turn.Leave(balance.Neutral)
	a.giveBack()
}

// again asks the same target once more, after a pause that it has asked for or a jittered
// one, if the operator wants that.
func (x *exchange) again(ended *attempt) *attempt {
	r := &x.gen.cfg.Retry
	if x.plan.repeats >= r.SameTarget {
		return nil
	}
	x.plan.repeats++
	pause, ok := balance.Delay(x.plan.repeats, r.Backoff.Std(), ended.retryAfter(), r.MaxRetryAfter.Std())
	if !ok || x.clock()+int64(pause) >= int64(r.Within) {
		return nil
	}
	if !x.plan.route.group.MayRetry() {
		x.srv.routing.RetryDenied(x.plan.route.label())
		return nil
	}
	ended.settle()
	if !x.sleep(pause) {
		return nil
	}
	a, err := x.newAttempt(ended.target, accounting.AttemptRetry)
	if err != nil || a.mayUse() != nil || !a.awaitTurnAgain() {
		return nil
	}
	x.takesOver(ended, a)
	return a
}

// sleep reports false when the exchange ends first.
func (x *exchange) sleep(d time.Duration) bool {
	x.wait()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-x.ctx.Done():
		return false
	}
}

// awaitTurnAgain waits for room at the target. Without it, what came before counts.
func (a *attempt) awaitTurnAgain() bool {
	turn, err := a.target.health.Enter(a.ctx, a.owner.Alias)
	if err != nil {
		a.giveBack()
		return false
	}
	a.turn = turn
	return true
}

// fallback is the model that serves a request instead which this provider has refused.
func (a *attempt) fallback() (string, bool) {
	m := a.route.model
	if m == nil || m.Fallback == "" {
		return "", false
	}
	on := ""
	switch a.refused {
	case translate.KindContextLength:
		on = config.FallbackOnContextLength
	case translate.KindContent:
		on = config.FallbackOnContent
	}
	return m.Fallback, on != "" && m.fallsBackOn(on)
}

// fallBack goes on with the targets of another model.
func (x *exchange) fallBack(ended *attempt, name string) *attempt {
	if x.plan.fellTo == nil {
		x.plan.fellTo = map[string]bool{ended.route.label(): true}
	}
	next, ok := x.gen.routes.find(name)
	if !ok || x.plan.fellTo[name] {
		return nil
	}
	x.plan.fellTo[name] = true
	x.plan.follow(next, x.stickTo(next))
	a := x.elsewhere(accounting.AttemptFallback)
	if a != nil {
		x.takesOver(ended, a)
	}
	return a
}

// rival is an attempt that is made beside a slow one, nil if there is no target for it.
// The goroutine of the exchange is in that attempt meanwhile, and does not plan.
func (x *exchange) rival(slow *attempt) *attempt {
	if !x.mayTryAgain() {
		return nil
	}
	a := x.elsewhere(accounting.AttemptHedge)
	if a == nil && slow.target.health.Available() {
		a = x.tryAt(slow.target, accounting.AttemptHedge)
	}
	if a != nil && !x.plan.route.group.MayRetry() {
		a.giveUpTurn()
		x.srv.routing.RetryDenied(x.plan.route.label())
		return nil
	}
	return a
}

// retryAfter is the pause that the provider has asked for, 0 for none.
func (a *attempt) retryAfter() time.Duration {
	if a.statusUp < 400 {
		return 0
	}
	d, _ := balance.RetryAfter(a.answer.Get, time.Now())
	return d
}

// maxPause bounds how long a target is left alone at its own request.
const maxPause = 5 * time.Minute

// pauseTarget leaves a target alone that has asked for it.
func (a *attempt) pauseTarget() {
	switch a.statusUp {
	case fasthttp.StatusTooManyRequests, fasthttp.StatusServiceUnavailable, statusOverloaded:
		if d := a.retryAfter(); d > 0 {
			a.target.health.Pause(min(d, maxPause))
		}
	}
}
