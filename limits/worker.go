package limits

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

const (
	// background is how long a call may take that no request waits for, in times of
	// Options.Timeout.
	background = 10
	// firstProbe and lastProbe are the times between looks at a server that is down.
	firstProbe, lastProbe = 20 * time.Millisecond, time.Second
	// steady is how long the server must be well for the next failure to be the first.
	steady = 5 * time.Second
	// renewSize is how many leases are renewed at once.
	renewSize = 200
)

// worker tells the shared counters what need not be told at once: settlements and
// renewals. It alone does both, one after the other, so that no lease is renewed whose end
// has been told.
type worker struct {
	shared  *shared
	memory  *memory
	queue   *queue
	process string
	logger  *slog.Logger
	onState func(up bool)

	wake chan struct{}
	// requests are those that somebody waits for.
	requests chan request
	quit     chan struct{}
	done     chan struct{}
	// frozen stops the worker, for tests, as the death of the process would.
	frozen atomic.Bool

	// Those below are the worker's own.

	number  int64
	pending *batch
	// lost says that Redis has lost its data, and leases are to be taken again.
	lost bool
	down bool
	// probe is the time to the next look, wellFrom when the server was last found well.
	probe    time.Duration
	wellFrom time.Time

	// sending is the size of pending.
	sending atomic.Int64
}

// request asks for something at once; done is closed when it was tried.
type request struct {
	what func() error
	done chan struct{}
}

func (w *worker) run() {
	defer close(w.done)
	renewals := time.NewTicker(w.shared.lease / 3)
	defer renewals.Stop()
	probes := time.NewTimer(time.Hour)
	defer probes.Stop()
	for {
		select {
		case <-w.quit:
			w.drain()
			return
		case <-w.wake:
			w.whileUp(w.flush)
		case <-renewals.C:
			w.whileUp(w.renew)
		case request := <-w.requests:
			w.whileUp(request.what)
			close(request.done)
		case why := <-w.shared.tripped:
			w.shared.up.Store(false)
			if w.fall(why) {
				probes.Reset(w.probe)
			}
		case <-probes.C:
			if w.down && !w.recover() {
				w.slower()
				probes.Reset(w.probe)
			}
		}
	}
}

// whileUp does something unless the server is known to be down; a failure makes it known.
func (w *worker) whileUp(do func() error) {
	if !w.shared.up.Load() || w.frozen.Load() {
		return
	}
	if err := do(); err != nil {
		w.shared.trip(err)
	}
}

// nudge wakes the worker.
func (w *worker) nudge() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// fall notes that the server is down. It reports whether that is new. After a good while
// the failure may be nothing, and the first look is at once.
func (w *worker) fall(why string) bool {
	if w.down {
		return false
	}
	w.down = true
	w.logger.Warn("shared limits do not answer, counting in this process alone", "reason", why)
	w.onState(false)
	if time.Since(w.wellFrom) > steady {
		w.probe = 0
	} else {
		w.slower()
	}
	return true
}

func (w *worker) slower() { w.probe = min(max(2*w.probe, firstProbe), lastProbe) }

// recover looks whether the server is well and tells it everything. Only then it counts
// as up, so that it does not decide without knowing what this process did meanwhile.
func (w *worker) recover() bool {
	ctx, cancel := context.WithTimeout(context.Background(), w.shared.timeout)
	defer cancel()
	if w.frozen.Load() || w.shared.client.Ping(ctx).Err() != nil {
		return false
	}
	if w.renew() != nil || w.flush() != nil {
		return false
	}
	select {
	case <-w.shared.tripped: // by a call that began before
	default:
	}
	w.down = false
	w.shared.up.Store(true)
	w.wellFrom = time.Now()
	w.logger.Info("shared limits answer again")
	w.onState(true)
	return true
}

func (w *worker) patience() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), background*w.shared.timeout)
}

// flush tells what is queued until nothing is.
func (w *worker) flush() error {
	if err := w.tell(); err != nil {
		return err
	}
	if !w.lost {
		return nil
	}
	w.lost = false
	return w.renew()
}

func (w *worker) tell() error {
	for {
		if w.pending == nil {
			if w.pending = w.queue.take(w.number + 1); w.pending == nil {
				return nil
			}
			w.number++
			w.sending.Store(w.pending.size)
		}
		ctx, cancel := w.patience()
		last, err := w.shared.tell(ctx, w.pending, w.process)
		cancel()
		if err != nil {
			return err
		}
		w.memory.told(w.pending)
		w.queue.told(w.pending)
		// Without the number of the batch before, the leases are gone too.
		w.lost = w.lost || last == 0 && w.pending.number > 1
		w.pending = nil
		w.sending.Store(0)
	}
}

// renew renews the leases of this process. What ends meanwhile need not wait for all.
func (w *worker) renew() error {
	for _, some := range w.memory.leases(renewSize) {
		ctx, cancel := w.patience()
		err := w.shared.renewSome(ctx, some, w.memory)
		cancel()
		if err == nil {
			err = w.tell()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// now has the worker do something and returns when it has tried.
func (w *worker) now(ctx context.Context, what func() error) {
	request := request{what: what, done: make(chan struct{})}
	select {
	case w.requests <- request:
	case <-w.done:
		return
	case <-ctx.Done():
		return
	}
	select {
	case <-request.done:
	case <-w.done:
	case <-ctx.Done():
	}
}

// drain tells the last settlements, once.
func (w *worker) drain() {
	if w.frozen.Load() {
		return
	}
	if err := w.flush(); err != nil {
		w.logger.Warn("shared limits were not told everything", "settlements", w.queue.len()+w.sending.Load())
	}
}

func (w *worker) stop() {
	close(w.quit)
	<-w.done
}

// leases are the reservations alive, some at a time.
func (m *memory) leases(some int) [][]*Reservation {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out [][]*Reservation
	for from := 0; from < len(m.live); from += some {
		out = append(out, append([]*Reservation(nil), m.live[from:min(from+some, len(m.live))]...))
	}
	return out
}

// renewal is a lease of a subject.
type renewal struct {
	id      string
	amount  Amount
	day     string
	hard    slotSet
	changed bool
}

// renewSome renews the leases of those that are not settled yet.
func (s *shared) renewSome(ctx context.Context, some []*Reservation, m *memory) error {
	subjects := m.renewals(some)
	if len(subjects) == 0 {
		return nil
	}
	keys := make([]string, 0, 2*len(subjects))
	args := make([]any, 0, 2+7*len(some))
	args = append(args, s.leaseArgument(), len(subjects))
	for n, list := range subjects {
		_, held, reserved, _ := s.keysOf(n)
		keys = append(keys, held, reserved)
		args = append(args, len(list))
		for _, one := range list {
			args = append(args, one.id, one.amount.Tokens, one.amount.NanoUSD, one.day, int(one.hard), flag(one.changed))
		}
	}
	if _, err := s.run(ctx, s.renew, keys, args); err != nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		for _, r := range some {
			r.stale = true
		}
		return err
	}
	return nil
}

func (m *memory) renewals(some []*Reservation) map[name][]renewal {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make(map[name][]renewal)
	for _, r := range some {
		if r.settled {
			continue
		}
		for i := range r.parts {
			if p := &r.parts[i]; p.held() {
				n := nameOf(p.subject)
				out[n] = append(out[n], renewal{r.id, r.allowance, p.day, p.hard, r.stale})
			}
		}
		r.stale = false
	}
	return out
}
