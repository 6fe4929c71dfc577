package ledger

import (
	"time"

	"github.com/sluicehq/sluice/accounting"
)

// outage is what the writer knows of a database that is down.
type outage struct {
	since   time.Time
	probeAt time.Time // when the database is asked again
	backoff time.Duration
	// catching says that the database answers and is getting what the spool has.
	catching bool
	segment  *replaying
}

const (
	minBackoff = 100 * time.Millisecond
	maxBackoff = 2 * time.Second
)

// goDown is called when the database fails or does not answer in time. Everything that
// waits goes to the spool, beginning with what the job has that failed, if one did.
func (w *writer) goDown(err error, failed *job) {
	now := time.Now()
	w.l.down.Store(true)
	w.outage = outage{since: now, probeAt: now.Add(minBackoff), backoff: minBackoff}
	w.l.log.Error("the ledger's database is down", "reason", reason(err))
	if failed == nil && w.job != nil && !w.job.abandoned {
		w.l.metrics.failures.Inc() // it has not come back to be counted
		failed = w.job
	}
	if failed != nil {
		failed.abandoned = true
		for _, e := range failed.entries {
			w.divert(e, true)
		}
	}
	w.divertWaiting()
	w.l.captured(w.captures)
	w.captures = nil
}

// divertWaiting sends to the spool what the database was to get.
func (w *writer) divertWaiting() {
	for _, e := range w.waiting {
		w.divert(e, false)
	}
	w.drop(len(w.waiting))
}

// divert sends an entry to the spool. One that the committer was at may have been written
// all the same, or may still be.
func (w *writer) divert(e *entry, written bool) {
	refused := false
	switch e.kind {
	case kindIntent:
		refused = e.intent.Required || w.free() < int64(e.size())
		if !refused {
			w.unsure[e.uid()] = struct{}{}
		}
	case kindAmend:
		refused = w.free() < int64(e.size())
	case kindFinish: // there is always room for the end of what was begun
		delete(w.unsure, e.uid())
	case kindWithdraw:
	}
	if !refused {
		w.keep(e)
		return
	}
	if e.kind == kindIntent && written {
		// It must not be taken for a call that was made.
		w.keep(&entry{kind: kindWithdraw, instance: e.instance, intent: e.intent})
	}
	w.settle(e, accounting.ErrLedgerUnavailable)
}

// stepDown is what is done while the database is down.
func (w *writer) stepDown(now time.Time) {
	// While the database is getting the rest of the spool, what comes may wait for it a
	// little: the spool would never be empty otherwise.
	hold := w.catching && !w.closing && !w.diskStuck()
	if !hold || (len(w.waiting) > 0 && now.Sub(w.waiting[0].queued) >= w.timeout/2) {
		w.divertWaiting()
	}
	if w.job == nil && !w.closing && !now.Before(w.probeAt) {
		if j := w.nextReplay(now); j != nil {
			w.start(j)
		}
	}
}

func (w *writer) sleepDown(earlier func(time.Time)) {
	if w.job == nil && !w.closing && !w.appendingSoon() {
		earlier(w.probeAt)
	}
	if len(w.waiting) > 0 {
		earlier(w.waiting[0].queued.Add(w.timeout / 2))
	}
}

// nextReplay is the job that gives the database the next part of the spool. When there is
// none it only writes that this process lives, to see whether it can. It returns nil while
// the spooler must be waited for: files come before what is in memory.
//
// A spooler that is stuck, or whose disk fails, is not waited for. What it is at reaches the database twice then,
// and parts of it early, neither of which does any harm.
func (w *writer) nextReplay(now time.Time) *job {
	j := &job{replay: true}
	j.began = now
	if w.segment == nil {
		w.spool.Seal()
		if segments := w.spool.Segments(); len(segments) > 0 {
			w.segment = &replaying{spool: w.spool, segment: segments[0]}
		}
	}
	if w.segment != nil {
		j.segment = w.segment
		return j
	}
	if w.appendingSoon() || w.undeleted() {
		return nil
	}
	for _, p := range w.pending[:min(len(w.pending), maxBatch)] {
		if e, err := decodeEntry(p.data); err == nil {
			j.entries = append(j.entries, e)
		}
		j.upTo = p.number
	}
	j.probe = len(j.entries) == 0
	return j
}

// replayed takes back a job of nextReplay.
func (w *writer) replayed(j *job) {
	now := time.Now()
	if j.failure != nil {
		if j.segment != nil {
			j.segment.rewind()
		}
		w.catching = false
		w.backoff = min(2*w.backoff, maxBackoff)
		w.probeAt = now.Add(w.backoff)
		return
	}
	w.catching, w.backoff, w.probeAt = true, minBackoff, now
	if j.segment != nil {
		if j.ended {
			w.segmentEnded()
		}
	} else {
		w.settlePending(j.upTo)
		w.forgetPending(j.upTo)
	}
	w.goUpIfDone(now)
	if w.catching && w.diskStuck() && w.segment == nil && len(w.pending) == 0 {
		w.probeAt = now.Add(minBackoff) // there is nothing to do but to wait for the disk
	}
}

// diskStuck reports that the spooler is not to be waited for, though it has something to do.
func (w *writer) diskStuck() bool {
	return w.appending != nil && w.appending.late || w.diskBad && len(w.emptied) > 0
}

// segmentEnded lets go of the file whose entries the database has.
func (w *writer) segmentEnded() {
	w.segment.rewind()
	w.spool.Drop(w.segment.segment)
	w.emptied = append(w.emptied, w.segment.segment)
	w.segment = nil
}

// goUpIfDone ends an outage when the database answers and nothing is left to give it.
func (w *writer) goUpIfDone(now time.Time) {
	if !w.catching || w.job != nil || w.segment != nil || w.appending != nil || len(w.pending)+len(w.emptied) > 0 {
		return
	}
	w.spool.Seal()
	if len(w.spool.Segments()) == 0 {
		w.goUp(now)
	}
}

// goUp ends an outage: the database has everything.
func (w *writer) goUp(now time.Time) {
	w.l.log.Info("the ledger's database is back and has everything", "down", now.Sub(w.since).Round(time.Millisecond).String())
	w.outage = outage{}
	w.l.down.Store(false)
}
