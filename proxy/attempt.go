package proxy

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/proxy/balance"
	"github.com/sluicehq/sluice/proxy/credential"
	"github.com/sluicehq/sluice/proxy/upstream"
	"github.com/sluicehq/sluice/translate"
)

// attempt is one upstream call inside an exchange, and what it has brought. It ends on
// its own, and then another may follow that the client does not notice, until the client
// has got something of it: from then on its ending is that of the exchange.
type attempt struct {
	*exchange
	n      int    // counted from 1
	kind   string // one of accounting's Attempt constants
	route  route  // of the model that was asked for, or of a fallback
	target target

	ask  translate.Ask // what sluice has added to the request; the provider's may change
	head []byte        // upstream request head; let go once sent
	body []byte        // upstream request body

	valve  valve
	client responder
	relay  relay
	// foreign is nil where the provider speaks the client's dialect.
	foreign *translation
	reader  upstream.Reader
	answer  upstream.Head
	meter   accounting.Meter
	conn    *upstream.Conn
	sending *sender
	reused  bool

	phase     atomic.Uint32
	decidedIn atomic.Uint32 // phase at the moment the outcome was decided
	live      liveCounts
	committed atomic.Bool // the client gets this attempt's answer
	kept      bool        // its connection has been dealt with

	// Readings of the exchange's clock.
	beganAt    int64
	sentAt     atomic.Int64 // writing the request began
	upstreamAt atomic.Int64 // last bytes from the upstream, or the request sent
	headersAt  time.Duration
	firstAt    time.Duration
	endedAt    time.Duration

	statusUp int
	refused  translate.ErrorKind // why the provider refused the request, where it did
	begun    *accounting.Receipt // of the intent
	*held

	usage counted

	// words tell the client of the failure in what the provider has said, if it has.
	words func()
	done  chan struct{} // closed when run has ended
}

// held is what an attempt has taken from others. It is apart from the attempt, so that
// what was taken for one that is not made can be given back without keeping its request.
type held struct {
	turn  *balance.Turn
	share share // of what the provider's limits allow

	earlier *held // of another attempt that has not begun
}

// newAttempt makes the request for a target. It fails where the target's dialect has no
// way to say something of it.
func (x *exchange) newAttempt(to target, kind string) (*attempt, *translate.Error) {
	a := x.bareAttempt(to, kind)
	a.route = x.plan.route
	a.earlier, x.unused = x.unused, a.held
	return a, a.prepare()
}

func (x *exchange) bareAttempt(to target, kind string) *attempt {
	a := &attempt{exchange: x, kind: kind, route: x.route, target: to, held: new(held), done: make(chan struct{})}
	a.phase.Store(uint32(accounting.PhaseQueued))
	a.valve.onEnd = func(ending) { a.decidedIn.Store(a.phase.Load()) }
	a.client.conn, a.client.http11 = x.down, x.received.http11
	a.client.tap, a.client.rates = x.tap, x.rates
	a.meter.Reset(x.shape)
	a.share.grant = unbounded
	return a
}

// prepare writes the body and the head of the upstream request.
func (a *attempt) prepare() *translate.Error {
	to, body := a.target.provider, a.received.bytes()
	switch {
	case a.request == nil && to.dialect != nil:
		return translate.NewError(translate.CodeUnsupportedEndpoint)
	case a.request == nil:
		a.body = body
	case to.dialect != nil:
		if err := a.translateRequest(body); err != nil {
			return err
		}
	default:
		a.ask = to.ask()
		a.body = a.request.Prepare(nil, body, a.target.model, a.ask)
	}
	a.head = a.requestHead().append(make([]byte, 0, 1<<10))
	return nil
}

// requestHead is what the head of the upstream request is made of.
func (a *attempt) requestHead() requestHead {
	to := a.target.provider
	h := requestHead{
		client: &a.received.fields, to: to, method: a.method, id: a.id, bodySize: len(a.body),
		passCredential: a.owner.Alias == "" && to.passesCredential(),
	}
	if a.foreign != nil {
		h.foreign, h.stream, h.path = true, a.streams(), a.foreign.dialect.Path(&a.foreign.context)
	} else {
		h.path = to.relayPath(a.received.path, a.target.model, a.received.query)
	}
	return h
}

func (a *attempt) enter(p accounting.Phase) {
	a.phase.Store(uint32(p))
	if a.srv.onPhase != nil {
		a.srv.onPhase(a.exchange, p)
	}
}

// shut ends the attempt with e and closes its connection, and with it the exchange if the
// client has got something of the attempt. It reports whether e is the ending that counts.
func (a *attempt) shut(e ending) bool {
	if !a.valve.shut(e) {
		return false
	}
	if a.committed.Load() {
		a.exchange.shut(e)
	}
	return true
}

func (a *attempt) fail(outcome accounting.Outcome, code string) {
	a.shut(ending{outcome: outcome, code: code})
}

// failUpstream ends the attempt because of a failed upstream operation. When
// the failure is the valve's own doing, the ending that closed it stands.
func (a *attempt) failUpstream(err error) {
	outcome, code := upstreamFailure(err)
	a.fail(outcome, code)
}

// finishWith ends the exchange with an answer that was read to its end, and leaves the
// connection to settle. It reports false when something else came first.
func (a *attempt) finishWith(e ending) bool {
	if !a.commit() || !a.exchange.valve.settle(e) {
		return false
	}
	a.valve.settle(e)
	return true
}

// complete ends the exchange well, unless another cause came first.
func (a *attempt) complete() bool {
	return a.finishWith(ending{outcome: accounting.OutcomeCompleted})
}

// run makes the upstream call and forwards its answer. When it returns, the attempt has
// its ending.
func (a *attempt) run() {
	defer func() {
		if recover() != nil {
			a.panicked()
			a.abandon()
		}
		a.endedAt = time.Since(a.start)
		a.leaveTurn()
		close(a.done)
	}()
	// The exchange may have ended, or have its answer, before anybody was called.
	if a.ctx.Err() != nil || !a.attempts.begin(a) {
		a.giveBack()
		return
	}
	ctx, cancel := context.WithCancel(a.ctx)
	defer cancel()
	if a.valve.bind(closeFunc(cancel)) && a.connect(ctx) && a.inBooks() && a.send() {
		a.receive()
	}
}

// abandon closes the connection after a panic.
func (a *attempt) abandon() {
	a.client.whole = false
	if a.conn != nil {
		a.conn.Close()
	}
}

// connect takes an idle upstream connection or dials one, and puts it under
// the valve. Meanwhile the ledger makes the intent durable.
func (a *attempt) connect(ctx context.Context) bool {
	a.beganAt = a.clock()
	a.enter(accounting.PhaseConnect)
	a.begun = a.srv.ledger.Begin(a.intent())
	a.srv.checkpoints.wake()
	var err error
	if a.head, err = a.target.provider.authorize(ctx, a.head, credential.Request{Method: a.method, Body: a.body}); err != nil {
		a.valve.unbind()
		if _, over := a.valve.ended(); !over { // else nobody waits for it any more
			a.srv.log.Warn("no credential for a provider", "provider", a.target.provider.Name, "id", a.id, "error", err)
		}
		a.fail(accounting.OutcomeUpstreamError, translate.CodeUpstreamCredentials)
		return false
	}
	pool := a.target.provider.pool
	if conn := pool.Idle(); conn != nil {
		a.reused = true
		return a.use(conn)
	}
	conn, err := pool.Dial(ctx)
	if err != nil {
		a.valve.unbind()
		a.failUpstream(err)
		return false
	}
	return a.use(conn)
}

// inBooks waits until the intent is durable: no provider is sent anything that the books
// could forget.
func (a *attempt) inBooks() bool {
	err := a.begun.Err()
	if err == nil {
		return true
	}
	code := translate.CodeLedgerUnavailable
	if !errors.Is(err, accounting.ErrLedgerUnavailable) {
		a.srv.log.Error("the ledger refused an intent", "id", a.id, "error", err)
		code = translate.CodeInternal
	}
	if a.n == 1 && !a.reject(translate.NewError(code)) {
		a.rejected = code // the client has left at that moment
	}
	a.fail(accounting.OutcomeInternal, code)
	return false
}

func (a *attempt) use(conn *upstream.Conn) bool {
	a.conn = conn
	a.reader.Reset(conn)
	return a.valve.bind(conn)
}

// inlineBody is the size up to which a request is written by the pump itself: the
// kernel takes that much without waiting for the upstream to read.
const inlineBody = 64 << 10

// send writes the request. A large body is written beside the wait for the
// answer, because an upstream may answer, and stop reading, before it has read
// everything (faults of upload limits and bad keys look like that).
func (a *attempt) send() bool {
	a.sentAt.Store(a.clock())
	a.enter(accounting.PhaseSending)
	if len(a.body) > inlineBody {
		a.sending = a.startSender()
		a.head, a.body = nil, nil
	} else {
		_, err := a.conn.Write(append(a.head, a.body...))
		a.head, a.body = nil, nil
		if err != nil {
			if _, over := a.valve.ended(); over {
				return false
			}
			// The upstream may have answered before it stopped reading.
		}
		a.enter(accounting.PhaseAwaitHeaders)
	}
	a.prompt.release(a)
	if !a.mayGiveWay() && !a.mayFollow() {
		a.letGo()
	}
	return true
}

// quietWait is how long a connection may take to end its framing cleanly after
// the attempt has ended, before it is closed instead of reused.
const quietWait = 100 * time.Millisecond

// settle gives the upstream connection back for reuse if, and only if, the
// answer ended completely, cleanly and quietly.
func (a *attempt) settle() {
	if a.kept {
		return
	}
	a.kept = true
	defer a.reader.Release()
	if a.sending != nil {
		if !a.sending.finished() {
			a.conn.Close()
		}
		a.sending.wait()
	}
	if a.conn == nil {
		return
	}
	if a.valve.leftOpen() && a.runOut() && a.reader.Reusable() && (a.sending == nil || a.sending.err == nil) {
		a.target.provider.pool.Put(a.conn)
		return
	}
	a.conn.Close()
}

// runOut reads to the framed end of a completed answer, for a short time and
// for nothing but the framing: more content closes the connection.
func (a *attempt) runOut() bool {
	if a.reader.AtEnd() {
		return true
	}
	stop := time.AfterFunc(quietWait, a.conn.Close)
	b, err := a.reader.ReadBody()
	// Once the timer has fired, its close may still be on its way.
	return stop.Stop() && len(b) == 0 && err != nil && a.reader.AtEnd()
}

func (a *attempt) attemptID() string { return a.id + "-" + strconv.Itoa(a.n) }

func (a *attempt) intent() accounting.Intent {
	return accounting.Intent{
		UID: a.uid, ID: a.id, AttemptID: a.attemptID(), Start: a.start, Key: a.owner.Alias, ModelAsked: a.asked,
		Model: a.target.model, Provider: a.target.provider.Name, Target: a.target.name(),
		DialectIn: dialectOpenAI, DialectOut: a.target.provider.Dialect,
		Endpoint: string(a.endpoint), Stream: a.streams(),
		PromptBytes: int64(a.prompt.size()), MayBill: a.target.provider.bills(a.streams()),
		Kind: a.kind, Begun: a.start.Add(time.Duration(a.beganAt)), Before: a.before(), Required: a.ledgerRequired(),
	}
}

// before are the rows of the attempts that have ended. One that goes on beside this one
// is not read.
func (a *attempt) before() []accounting.Attempt {
	var rows []accounting.Attempt
	for _, other := range a.attempts.all() {
		select {
		case <-other.done:
			rows = append(rows, other.row(int64(other.endedAt), false))
		default:
		}
	}
	return rows
}

// leaveTurn tells the target how the call went, and lets the next request have its place.
func (a *attempt) leaveTurn() {
	e, _ := a.valve.ended()
	a.turn.Leave(a.verdict(e))
}

// verdict is what an ending says of the target. What clients do, and what they are
// refused for, says nothing.
func (a *attempt) verdict(e ending) balance.Verdict {
	switch e.outcome {
	case accounting.OutcomeCompleted:
		return balance.Good
	case accounting.OutcomeUpstreamTimeout, accounting.OutcomeUpstreamTruncated:
		return balance.Failed
	case accounting.OutcomeUpstreamError:
		if a.statusUp >= 400 && a.statusUp < 500 || a.refused == translate.KindContextLength || a.refused == translate.KindContent {
			return balance.Neutral
		}
		return balance.Failed
	}
	return balance.Neutral
}
