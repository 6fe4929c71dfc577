package proxy

import (
	"context"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/accounting/tokens"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/proxy/access"
	"github.com/sluicehq/sluice/proxy/balance"
	"github.com/sluicehq/sluice/proxy/downstream"
	"github.com/sluicehq/sluice/translate"
)

// exchange is one client request from its first byte to its record. It is made
// by the handler, runs in a goroutine of its own, and refers to nothing of
// fasthttp's request context. It calls upstream in attempts, of which one serves its
// client.
type exchange struct {
	srv *Server
	gen *generation // the configuration it began with

	// Fixed when the exchange is made.
	uid      accounting.UID
	id       string
	owner    *access.Caller // whose key it came with
	endpoint translate.Endpoint
	shape    accounting.Shape
	asked    string // the public model name, empty when the request named none
	route    route
	request  *translate.Request
	method   string
	received received // what attempts need of the request
	start    time.Time

	valve  valve
	cause  ending // what the valve ended with; valid once it has
	down   *downstream.Conn
	ctx    context.Context // ends with the exchange
	endCtx context.CancelFunc
	timer  timeLimits
	quota  quota
	rates  []byte // header lines that tell the client its limits
	tap    *tap   // of what reaches the client; nil where nothing is to be kept

	attempts attempts
	plan     plan  // of what may come after an attempt
	unused   *held // by attempts that were made and have not begun; of the goroutine that plans

	idlePhase atomic.Uint32 // the phase while no attempt is made
	decidedIn atomic.Uint32 // phase at the moment the outcome was decided
	overhead  time.Duration
	ended     time.Duration // when the record was made
	left      time.Duration // when the client's connection was released
	recorded  chan struct{}

	prompt prompt
	// rejected is the code of why the exchange was turned away, with the words for its
	// client. It has no record then.
	rejected string
	refusal  *translate.Error
	final    *accounting.Record // made before the last bytes reach the client, or at the end
}

// liveCounts is what the list of running exchanges shows. The pump writes it
// once for each read; anyone may read it.
type liveCounts struct {
	chunks, text  atomic.Int64
	input, output liveCount // the provider's running counts
}

// liveCount is a count that others read while it changes.
type liveCount struct{ next atomic.Int64 } // the count and one; 0 while it is absent

func (l *liveCount) set(c tokens.Count) {
	if c.Known {
		l.next.Store(c.N + 1)
	}
}

// get returns nil while the count is absent.
func (l *liveCount) get() *int64 {
	if n := l.next.Load(); n > 0 {
		n--
		return &n
	}
	return nil
}

// phaseNow is the phase of the attempt that the exchange is in, or its own between two.
func (x *exchange) phaseNow() accounting.Phase {
	if a := x.attempts.lead(); a != nil {
		return accounting.Phase(a.phase.Load())
	}
	return accounting.Phase(x.idlePhase.Load())
}

// wait enters the phase in which nothing upstream works for the exchange.
func (x *exchange) wait() {
	x.idlePhase.Store(uint32(accounting.PhaseQueued))
	x.attempts.between()
	if x.srv.onPhase != nil {
		x.srv.onPhase(x, accounting.PhaseQueued)
	}
}

// shut ends the exchange with e; see valve.shut.
func (x *exchange) shut(e ending) bool { return x.valve.shut(e) }

func (x *exchange) fail(outcome accounting.Outcome, code string) {
	x.shut(ending{outcome: outcome, code: code})
}

// endingGrace bounds how long a client may take to accept the last words of an
// exchange that was cut while a write to it was under way.
const endingGrace = 2 * time.Second

var longAgo = time.Unix(1, 0)

// onEnd runs inside the valve, before the upstream closes: it notes the phase and
// bounds the writes to the client that are still to come. One that is under way
// to a client who left or stalled is freed at once.
func (x *exchange) onEnd(e ending) {
	x.cause = e
	x.decidedIn.Store(uint32(x.phaseNow()))
	var deadline time.Time
	switch e.outcome {
	case accounting.OutcomeClientGone, accounting.OutcomeClientStalled:
		deadline = longAgo
	case accounting.OutcomeCompleted, accounting.OutcomeUpstreamError:
		if stall := x.gen.cfg.Timeouts.ClientStall; stall > 0 {
			deadline = time.Now().Add(time.Duration(stall))
		}
	default:
		deadline = time.Now().Add(endingGrace)
	}
	_ = x.down.SetWriteDeadline(deadline) // fails only on a closed connection
}

// stop closes what works upstream for the exchange, inside the valve. Attempts learn why
// before the context ends, which they would take for a failure.
func (x *exchange) stop() {
	x.attempts.shut(x.cause)
	x.endCtx()
}

// clientLeft is called by the watcher of the downstream connection.
func (x *exchange) clientLeft(g downstream.Gone) {
	x.shut(ending{outcome: accounting.OutcomeClientGone, halfClosed: g.HalfClose})
}

// run takes the exchange through all its phases. It owns down until it resumes
// or closes it, and ends with the exchange handed over for its record.
func (x *exchange) run(down *downstream.Conn) {
	if e, over := x.valve.ended(); over {
		x.onEnd(e) // its deadline was set while the connection was not the exchange's
	}
	down.Watch(x.clientLeft)
	x.timer.start(x)

	x.contained(x.serve)
	x.attempts.join()
	x.contained(x.giveBackUnused)
	x.contained(x.conclude)

	x.timer.stop()
	x.endCtx()
	down.Unwatch()
	last := x.last()
	for _, a := range x.attempts.all() {
		if a != last {
			x.contained(a.settle)
		}
	}
	atEnd := !last.kept && last.reader.AtEnd()
	if atEnd { // nothing to wait for: the next request may use the connection at once
		x.contained(last.settle)
	}
	x.releaseClient(last)
	if !atEnd {
		x.contained(last.settle)
	}
	x.srv.book(x)
}

// releaseClient lets the client's connection serve its next request after a whole
// answer. After a cut one it closes, so that the client still gets every byte; one
// who left or stalled gets nothing more.
func (x *exchange) releaseClient(last *attempt) {
	e, _ := x.valve.ended()
	switch {
	case last.client.whole && !last.client.failed:
		_ = x.down.SetWriteDeadline(time.Time{})
		x.down.Resume()
	case last.client.failed, e.outcome == accounting.OutcomeClientGone, e.outcome == accounting.OutcomeClientStalled:
		x.down.Close()
	default:
		x.down.Part()
	}
}

// contained keeps a panic of the pump inside the exchange: it ends as an internal
// error with its upstream closed, and the process lives on.
func (x *exchange) contained(stage func()) {
	defer func() {
		if recover() == nil {
			return
		}
		x.panicked()
		x.attempts.join()
		x.last().abandon()
	}()
	stage()
}

// aside is contained for the goroutines beside the pump. They leave the client to it.
func (x *exchange) aside(work func()) {
	defer func() {
		if recover() != nil {
			x.panicked()
		}
	}()
	work()
}

// panicked ends the exchange after a panic. The stack goes to the log without the
// panic's value, which may quote a prompt.
func (x *exchange) panicked() {
	x.srv.log.Error("panic in an exchange", "id", x.id, "stack", string(debug.Stack()))
	x.fail(accounting.OutcomeInternal, translate.CodeInternal)
}

// serve makes upstream calls until one of them has served the client, or none may follow.
// When it returns, the exchange has its ending.
func (x *exchange) serve() {
	began := time.Now()
	x.wait()
	x.plan.follow(x.route, x.stickTo(x.route))
	x.route.group.Began()
	if !x.admitted() {
		return
	}
	a := x.first()
	x.overhead += time.Since(began) - x.plan.waited
	for a != nil {
		a.run()
		x.attempts.join()
		a = x.next(x.decisive(a))
	}
}

// giveBackUnused returns what was taken for attempts that have not begun. That has been
// done unless there was a panic: then a target would have one request for ever.
func (x *exchange) giveBackUnused() {
	for h := x.unused; h != nil; h = h.earlier {
		h.turn.Leave(balance.Neutral)
		h.share.grant.Settle(noAmount)
	}
}

// uses notes that an attempt begins, and gives back itself what it has.
func (x *exchange) uses(a *attempt) {
	for at := &x.unused; *at != nil; at = &(*at).earlier {
		if *at == a.held {
			*at = a.earlier
			return
		}
	}
}

// conclude writes what the client gets for the ending of the exchange, unless
// a completed answer has been written already.
func (x *exchange) conclude() {
	e, over := x.valve.ended()
	if !over {
		x.fail(accounting.OutcomeInternal, translate.CodeInternal)
		e, _ = x.valve.ended()
	}
	if e.outcome == accounting.OutcomeClientGone && x.attempts.count() == 0 {
		x.rejected = string(e.outcome) // nobody was called for it
	}
	last := x.last()
	if x.valve.leftOpen() || last.client.failed {
		return
	}
	last.withdraw()
	last.writeEnding(e)
}

// reject turns the exchange away before anything was sent to a provider. It is counted by
// its code and has no record. It reports false when the exchange has ended otherwise.
func (x *exchange) reject(e *translate.Error) bool {
	if !x.shut(ending{outcome: accounting.OutcomeUpstreamError, code: e.Code}) {
		return false
	}
	x.refusal, x.rejected = e, e.Code
	if r := &x.quota.refused; r.why == e { // else it is about another limit
		x.rates = r.rates
	}
	return true
}

// ledgerRequired tells whether the exchange must not go on while the ledger cannot be
// written.
func (x *exchange) ledgerRequired() bool {
	return config.OnFailure(x.gen.cfg.OnLedgerFailure, x.owner.OnLedgerFailure, x.owner.Limits.HasHardBudget()) == config.OnLedgerFailureRefuse
}

// streams tells whether the client asked for a stream.
func (x *exchange) streams() bool { return x.request != nil && x.request.Stream }
