package proxy

import (
	"context"
	"errors"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/accounting/tokens"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/proxy/access"
	"github.com/sluicehq/sluice/proxy/credential"
	"github.com/sluicehq/sluice/proxy/downstream"
	"github.com/sluicehq/sluice/proxy/upstream"
	"github.com/sluicehq/sluice/translate"
)

// exchange is one client request from its first byte to its record. It is made
// by the handler, runs in a goroutine of its own, and refers to nothing of
// fasthttp's request context.
type exchange struct {
	srv *Server

	// Fixed when the exchange is made.
	uid      accounting.UID
	id       string
	owner    *access.Caller // whose key it came with
	endpoint translate.Endpoint
	shape    accounting.Shape
	asked    string // the public model name, empty when the request named none
	target   target
	request  *translate.Request
	ask      translate.Ask // what sluice has added to the request; the provider's may change
	method   string
	head     []byte // upstream request head; let go once sent
	body     []byte // upstream request body
	prompt   []byte // the client's body, kept for an estimate of its tokens
	relay    relay
	foreign  *translation // nil where the provider speaks the client's dialect
	start    time.Time

	valve  valve
	down   *downstream.Conn
	client responder
	reader upstream.Reader
	answer upstream.Head
	meter  accounting.Meter

	conn    *upstream.Conn
	sending *sender
	reused  bool
	timer   timeLimits

	phase     atomic.Uint32
	decidedIn atomic.Uint32 // phase at the moment the outcome was decided
	live      liveCounts
	headersAt time.Duration
	firstAt   time.Duration
	statusUp  int
	overhead  time.Duration
	ended     time.Duration // when the record was made
	left      time.Duration // when the client's connection was released
	recorded  chan struct{}
	// Of a large request that has been let go: a sketch of it, and the most tokens of
	// output that it allows.
	sketch      *accounting.Sketch
	promptLimit int64

	begun    *accounting.Receipt // of the intent
	rejected string              // the code of why the exchange may not go on; it has no record then
	final    *accounting.Record  // made before the last bytes reach the client, or at the end
	quota    quota

	// The usage of the record, once counted.
	counted         bool
	total           tokens.Usage
	source          accounting.Source
	outputEstimated bool
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

func (x *exchange) phaseNow() accounting.Phase { return accounting.Phase(x.phase.Load()) }

func (x *exchange) enter(p accounting.Phase) {
	x.phase.Store(uint32(p))
	if x.srv.onPhase != nil {
		x.srv.onPhase(x, p)
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
	x.decidedIn.Store(x.phase.Load())
	var deadline time.Time
	switch e.outcome {
	case accounting.OutcomeClientGone, accounting.OutcomeClientStalled:
		deadline = longAgo
	case accounting.OutcomeCompleted, accounting.OutcomeUpstreamError:
		if stall := x.srv.cfg.Timeouts.ClientStall; stall > 0 {
			deadline = time.Now().Add(time.Duration(stall))
		}
	default:
		deadline = time.Now().Add(endingGrace)
	}
	_ = x.down.SetWriteDeadline(deadline) // fails only on a closed connection
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
	x.contained(x.conclude)

	x.timer.stop()
	down.Unwatch()
	atEnd := x.reader.AtEnd()
	if atEnd { // nothing to wait for: the next request may use the connection at once
		x.contained(x.settle)
	}
	x.releaseClient()
	if !atEnd {
		x.contained(x.settle)
	}
	x.srv.book(x)
}

// releaseClient lets the client's connection serve its next request after a whole
// answer. After a cut one it closes, so that the client still gets every byte; one
// who left or stalled gets nothing more.
func (x *exchange) releaseClient() {
	e, _ := x.valve.ended()
	switch {
	case x.client.whole && !x.client.failed:
		_ = x.down.SetWriteDeadline(time.Time{})
		x.down.Resume()
	case x.client.failed, e.outcome == accounting.OutcomeClientGone, e.outcome == accounting.OutcomeClientStalled:
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
		x.client.whole = false
		if x.conn != nil {
			x.conn.Close()
		}
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

// serve makes the upstream call and forwards its answer. When it returns, the
// exchange has its ending.
func (x *exchange) serve() {
	if !x.connect() || !x.kept() || !x.send() {
		return
	}
	x.releasePrompt()
	x.receive()
}

// connect takes an idle upstream connection or dials one, and puts it under
// the valve. Meanwhile the ledger makes the intent durable.
func (x *exchange) connect() bool {
	x.enter(accounting.PhaseConnect)
	x.timer.attemptAt.Store(x.clock())
	x.begun = x.srv.ledger.Begin(x.intent())
	x.srv.checkpoints.wake()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if !x.valve.bind(closeFunc(cancel)) {
		return false
	}
	var err error
	if x.head, err = x.target.provider.authorize(ctx, x.head, credential.Request{Method: x.method, Body: x.body}); err != nil {
		x.valve.unbind()
		if _, over := x.valve.ended(); !over { // else nobody waits for it any more
			x.srv.log.Warn("no credential for a provider", "provider", x.target.provider.Name, "id", x.id, "error", err)
		}
		x.fail(accounting.OutcomeUpstreamError, translate.CodeUpstreamCredentials)
		return false
	}
	pool := x.target.provider.pool
	if conn := pool.Idle(); conn != nil {
		x.reused = true
		return x.use(conn)
	}
	conn, err := pool.Dial(ctx)
	if err != nil {
		x.valve.unbind()
		x.failUpstream(err)
		return false
	}
	return x.use(conn)
}

// kept waits until the intent is durable: no provider is sent anything that the books
// could forget.
func (x *exchange) kept() bool {
	err := x.begun.Err()
	if err == nil {
		return true
	}
	if errors.Is(err, accounting.ErrLedgerUnavailable) {
		x.reject(translate.CodeLedgerUnavailable)
	} else {
		x.srv.log.Error("the ledger refused an intent", "id", x.id, "error", err)
		x.reject(translate.CodeInternal)
	}
	return false
}

// reject ends an exchange before anything was sent to a provider. It is counted by its
// code and has no record.
func (x *exchange) reject(code string) {
	if x.shut(ending{outcome: accounting.OutcomeInternal, code: code}) {
		x.rejected = code
	}
}

func (x *exchange) use(conn *upstream.Conn) bool {
	x.conn = conn
	x.reader.Reset(conn)
	return x.valve.bind(conn)
}

// inlineBody is the size up to which a request is written by the pump itself: the
// kernel takes that much without waiting for the upstream to read.
const inlineBody = 64 << 10

// send writes the request. A large body is written beside the wait for the
// answer, because an upstream may answer, and stop reading, before it has read
// everything (faults of upload limits and bad keys look like that).
func (x *exchange) send() bool {
	x.timer.sentAt.Store(x.clock())
	x.enter(accounting.PhaseSending)
	if len(x.body) > inlineBody {
		x.sending = x.startSender()
		x.head, x.body = nil, nil
		return true
	}
	_, err := x.conn.Write(append(x.head, x.body...))
	x.head, x.body = nil, nil
	if err != nil {
		if _, over := x.valve.ended(); over {
			return false
		}
		// The upstream may have answered before it stopped reading.
	}
	x.enter(accounting.PhaseAwaitHeaders)
	return true
}

// failUpstream ends the exchange because of a failed upstream operation. When
// the failure is the valve's own doing, the ending that closed it stands.
func (x *exchange) failUpstream(err error) {
	outcome, code := upstreamFailure(err)
	x.fail(outcome, code)
}

// conclude writes what the client gets for the ending of the exchange, unless
// a completed answer has been written already.
func (x *exchange) conclude() {
	e, over := x.valve.ended()
	if !over {
		x.fail(accounting.OutcomeInternal, translate.CodeInternal)
		e, _ = x.valve.ended()
	}
	if x.valve.leftOpen() || x.client.failed {
		return
	}
	x.writeEnding(e)
}

// quietWait is how long a connection may take to end its framing cleanly after
// the exchange has completed, before it is closed instead of reused.
const quietWait = 100 * time.Millisecond

// settle gives the upstream connection back for reuse if, and only if, the
// answer ended completely, cleanly and quietly.
func (x *exchange) settle() {
	defer x.reader.Release()
	if x.sending != nil {
		if !x.sending.finished() {
			x.conn.Close()
		}
		x.sending.wait()
	}
	if x.conn == nil {
		return
	}
	if x.valve.leftOpen() && x.runOut() && x.reader.Reusable() && (x.sending == nil || x.sending.err == nil) {
		x.target.provider.pool.Put(x.conn)
		return
	}
	x.conn.Close()
}

// runOut reads to the framed end of a completed answer, for a short time and
// for nothing but the framing: more content closes the connection.
func (x *exchange) runOut() bool {
	if x.reader.AtEnd() {
		return true
	}
	stop := time.AfterFunc(quietWait, x.conn.Close)
	b, err := x.reader.ReadBody()
	// Once the timer has fired, its close may still be on its way.
	return stop.Stop() && len(b) == 0 && err != nil && x.reader.AtEnd()
}

func (x *exchange) intent() accounting.Intent {
	return accounting.Intent{
		UID: x.uid, ID: x.id, AttemptID: x.id + "-1", Start: x.start, Key: x.owner.Alias, ModelAsked: x.asked,
		Model: x.target.model, Provider: x.target.provider.Name, Target: x.target.name(),
		DialectIn: dialectOpenAI, DialectOut: x.target.provider.Dialect,
		Endpoint: string(x.endpoint), Stream: x.streams(),
		PromptBytes: int64(len(x.prompt)), MayBill: x.target.provider.bills(x.streams()),
		Required: x.ledgerRequired(),
	}
}

// ledgerRequired tells whether the exchange must not go on while the ledger cannot be
// written.
func (x *exchange) ledgerRequired() bool {
	return config.OnFailure(x.srv.cfg.OnLedgerFailure, x.owner.OnLedgerFailure, x.owner.Limits.HasHardBudget()) == config.OnLedgerFailureRefuse
}

// streams tells whether the client asked for a stream.
func (x *exchange) streams() bool { return x.request != nil && x.request.Stream }

// complete ends the exchange well, unless another cause came first.
func (x *exchange) complete() bool {
	return x.valve.settle(ending{outcome: accounting.OutcomeCompleted})
}
