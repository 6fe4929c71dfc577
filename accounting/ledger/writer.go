package ledger

import (
	"runtime"
	"time"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/accounting/ledger/spool"
)

// writer decides what is done next. It never waits for a disk or a network itself: the
// committer writes to the database and the spooler to the spool, and each may be stuck
// without the writer being so.
type writer struct {
	l       *Ledger
	timeout time.Duration
	timer   *time.Timer

	jobs, did chan *job
	job       *job // that the committer is at; nil when it is idle
	// looked is poked after a commit, to look for dead processes now and then.
	look func()

	waiting  []*entry // oldest first
	running  []accounting.Checkpoint
	has      bool // running is to be kept
	kept     bool // what was kept last was not empty
	next     time.Time
	captures []Capture
	closing  bool
	until    time.Time // closing takes no longer

	// unsure are the exchanges that may have intents in the database.
	unsure map[accounting.UID]struct{}

	outage
	spooling
}

// checkpointEvery is the least time between two checkpoints. What a process says waits at most
// so long, and it says something new about as often: what is kept is younger than a second.
const checkpointEvery = 450 * time.Millisecond

func newWriter(l *Ledger, s *spool.Spool) *writer {
	return &writer{
		l: l, timeout: l.options.CommitTimeout, timer: time.NewTimer(time.Hour), look: func() {},
		jobs: make(chan *job, 1), did: make(chan *job, 1),
		unsure:   make(map[accounting.UID]struct{}),
		spooling: spooling{spool: s, appends: make(chan *appending, 1), appended: make(chan *appending, 1)},
	}
}

// run works until the ledger is closed and everything is kept, or time is up.
func (w *writer) run() {
	for {
		// Who is about to hand something over goes first: then one commit has it all. On a
		// busy machine each commit would have one entry otherwise.
		runtime.Gosched()
		now := time.Now()
		w.take()
		w.step(now)
		if w.closing && (w.idle() || now.After(w.until)) {
			return
		}
		w.timer.Reset(w.sleep(now))
		select {
		case <-w.l.wake:
		case <-w.timer.C:
		case j := <-w.did:
			w.finished(j)
		case a := <-w.appended:
			w.wasAppended(a)
		}
	}
}

// idle reports that nothing is left to do before the end.
func (w *writer) idle() bool {
	if len(w.waiting) > 0 || w.busy() {
		return false
	}
	if w.l.down.Load() {
		return w.appending == nil && (len(w.pending) == 0 || w.diskBad)
	}
	return len(w.captures) == 0
}

// busy reports that the committer is at something that somebody waits for.
func (w *writer) busy() bool { return w.job != nil && !w.job.abandoned && !w.job.replay }

// take gets what was handed to the ledger.
func (w *writer) take() {
	l := w.l
	l.mu.Lock()
	defer l.mu.Unlock()
	w.waiting = append(w.waiting, l.queue...)
	clear(l.queue)
	l.queue = l.queue[:0]
	if cap(l.queue) > 4*maxBatch {
		l.queue = nil
	}
	if l.checkpointed {
		w.running, w.has, l.checkpointed = l.running, true, false
	}
	w.captures, l.captures = append(w.captures, l.captures...), nil
	if l.closed && !w.closing {
		w.closing, w.until = true, time.Now().Add(2*w.timeout)
	}
}

// step begins what can be done now.
func (w *writer) step(now time.Time) {
	if !w.l.down.Load() && now.Sub(w.oldest(now)) >= w.timeout {
		w.goDown(errSlow, nil)
	}
	if w.l.down.Load() {
		w.stepDown(now)
	} else if w.job == nil {
		w.begin(now)
	}
	w.startAppend(now)
	w.measure()
}

// oldest is since when the longest wait lasts.
func (w *writer) oldest(now time.Time) time.Time {
	since := now
	if w.job != nil && !w.job.abandoned {
		since = w.job.began
		if len(w.job.entries) > 0 {
			since = w.job.entries[0].queued
		}
	} else if len(w.waiting) > 0 {
		since = w.waiting[0].queued
	}
	return since
}

// sleep is how long nothing needs to be done.
func (w *writer) sleep(now time.Time) time.Duration {
	at := now.Add(time.Hour)
	earlier := func(t time.Time) {
		if t.Before(at) {
			at = t
		}
	}
	if w.closing {
		earlier(w.until)
	}
	if w.l.down.Load() {
		w.sleepDown(earlier)
	} else {
		if w.job != nil || len(w.waiting) > 0 {
			earlier(w.oldest(now).Add(w.timeout))
		}
		if w.job == nil && w.wantsCheckpoint() {
			earlier(w.next)
		}
	}
	w.sleepSpooling(earlier)
	return max(at.Sub(now), 0)
}

// wantsCheckpoint reports that there is something to be said, or that what was said is
// no longer so.
func (w *writer) wantsCheckpoint() bool { return w.has && (len(w.running) > 0 || w.kept) }

// begin hands the next transaction to the committer, if there is something to write.
func (w *writer) begin(now time.Time) {
	j := &job{began: now}
	n := min(len(w.waiting), maxBatch)
	j.entries = append([]*entry(nil), w.waiting[:n]...)
	w.drop(n)
	w.markUnsure(j.entries)
	if w.wantsCheckpoint() && !now.Before(w.next) {
		j.running, j.has = w.running, true
		w.running, w.has, w.kept, w.next = nil, false, len(j.running) > 0, now.Add(checkpointEvery)
	}
	for size := 0; len(w.captures) > 0 && (size == 0 || size+w.captures[0].size() <= maxBatchCaptured); {
		size += w.captures[0].size()
		j.captured = append(j.captured, w.captures[0])
		w.captures[0] = Capture{}
		w.captures = w.captures[1:]
	}
	if len(j.entries) > 0 || j.has || len(j.captured) > 0 {
		w.start(j)
	}
}

func (w *writer) start(j *job) {
	w.job = j
	w.jobs <- j
}

// drop forgets the first n that wait.
func (w *writer) drop(n int) {
	left := copy(w.waiting, w.waiting[n:])
	clear(w.waiting[left:])
	w.waiting = w.waiting[:left]
	if left == 0 && cap(w.waiting) > 4*maxBatch {
		w.waiting = nil
	}
}

// markUnsure notes which exchanges may have intents in the database from now on, and tells
// the records that they must remove them. Intents whose exchange ends in the same
// transaction are not written at all.
func (w *writer) markUnsure(entries []*entry) {
	ended := make(map[accounting.UID]bool)
	for _, e := range entries {
		if e.kind == kindFinish {
			ended[e.uid()] = true
		}
	}
	for _, e := range entries {
		switch e.kind {
		case kindIntent:
			if !ended[e.uid()] {
				w.unsure[e.uid()] = struct{}{}
			}
		case kindFinish:
			if _, ok := w.unsure[e.uid()]; ok {
				e.unsure = true
				delete(w.unsure, e.uid())
			}
		case kindAmend, kindWithdraw:
		}
	}
}

// finished takes a job back from the committer.
func (w *writer) finished(j *job) {
	w.job = nil
	w.l.captured(j.captured)
	switch {
	case j.replay:
		w.replayed(j)
	case j.abandoned:
		if j.failure == nil {
			w.probeAt = time.Now()
		}
	case j.failure != nil:
		w.goDown(j.failure, j)
	default:
		for i, e := range j.entries {
			w.settle(e, j.results[i].err)
		}
		w.look()
	}
}

// settle tells what came of an entry. An exchange whose intent is not kept does not begin.
func (w *writer) settle(e *entry, err error) {
	if e.kind == kindIntent && err != nil {
		w.l.forget(e.uid())
	}
	e.settle(err)
}
