package ledger

import (
	"errors"
	"time"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/accounting/ledger/spool"
)

// spooling is what the writer knows of the spool.
type spooling struct {
	spool    *spool.Spool
	number   uint64           // of the last entry
	pending  []pending        // what is in memory alone, oldest first
	size     int64            // of pending, in bytes
	diskAt   time.Time        // the disk is not asked before
	diskBad  bool             // it has failed the last time
	emptied  []*spool.Segment // files that are to be deleted
	appends  chan *appending
	appended chan *appending
	// appending is what the spooler is at; nil when it is idle.
	appending *appending
	measured  bool // the metrics show that there is something
	// spoolClosed is what came of the spooler's end, when appended is closed.
	spoolClosed error
}

// pending is an entry that is not on the disk yet.
type pending struct {
	number uint64
	data   []byte
	entry  *entry // whose receipt is to be settled; nil when it is
}

// appending is what the spooler writes at once.
type appending struct {
	began    time.Time
	upTo     uint64
	payloads [][]byte
	emptied  []*spool.Segment // to be deleted, and afterwards those that could not be
	late     bool             // nobody waits for it any more
	failure  error
}

const (
	// maxAppend bounds the bytes that are written at once.
	maxAppend = 1 << 20
	// diskBackoff is how long the disk is left alone after an error.
	diskBackoff = time.Second
)

// runSpooler writes to the spool until there is nothing more to come, and closes it.
func (w *writer) runSpooler() {
	for a := range w.appends {
		if w.l.options.spoolDisk != nil {
			w.l.options.spoolDisk()
		}
		a.do(w.spool)
		w.appended <- a
	}
	// The writer has ended and does not touch them any more. What cannot be deleted is
	// replayed by the next process, which finds nothing new in it.
	_, _ = deleteAll(w.emptied)
	w.spoolClosed = w.spool.Close()
	close(w.appended)
}

// do deletes and writes what it is about.
func (a *appending) do(s *spool.Spool) {
	a.emptied, a.failure = deleteAll(a.emptied)
	if len(a.payloads) > 0 {
		if err := s.Append(a.upTo, a.payloads); err != nil {
			a.payloads, a.failure = nil, err
		}
	}
}

// deleteAll deletes files and returns those that it could not, and why.
func deleteAll(segments []*spool.Segment) (left []*spool.Segment, err error) {
	for _, segment := range segments {
		if e := segment.Delete(); e != nil {
			left, err = append(left, segment), e
		}
	}
	return left, err
}

// size is about what an entry takes in the spool.
func (e *entry) size() int {
	const members, attempt = 400, 300 // names and numbers
	if i := e.intent; i != nil {
		return members + len(i.ID) + len(i.AttemptID) + len(i.ModelAsked) + len(i.Model) + attempt*len(i.Before)
	}
	return 2*members + len(e.record.RawUsage) + attempt*len(e.record.Attempts)
}

// free is the room for further exchanges, in bytes. What is open keeps its share.
func (w *writer) free() int64 {
	return w.l.options.Spool - w.spooled() - w.l.openExchanges()*reserved
}

// spooled is what the spool has, in bytes.
func (w *writer) spooled() int64 { return w.size + w.spool.Size() }

// keep puts an entry into the spool: in memory at first.
func (w *writer) keep(e *entry) {
	data, err := e.encode()
	if err != nil {
		w.l.refuse(e, err)
		e.settle(errRefused)
		return
	}
	w.number++
	w.pending = append(w.pending, pending{number: w.number, data: data, entry: e})
	w.size += int64(len(data))
	w.l.metrics.spooled.Inc()
	if !w.diskWorks() {
		w.settlePending(w.number)
	}
}

// diskWorks reports that it is worth waiting for the disk.
func (w *writer) diskWorks() bool {
	return !time.Now().Before(w.diskAt) && (w.appending == nil || !w.appending.late)
}

// settlePending tells everyone up to a number that their entry is kept, if in memory alone.
func (w *writer) settlePending(upTo uint64) {
	for i := range w.pending {
		p := &w.pending[i]
		if p.number > upTo {
			return
		}
		if p.entry != nil {
			p.entry.settle(nil)
			p.entry = nil
		}
	}
}

// startAppend hands what is pending to the spooler.
func (w *writer) startAppend(now time.Time) {
	if a := w.appending; a != nil {
		if !a.late && now.Sub(a.began) >= w.l.options.spoolTimeout {
			a.late = true
			w.l.log.Error("the ledger's spool does not answer: what waits for the database is in memory alone")
			w.settlePending(w.number)
		}
		return
	}
	if len(w.pending)+len(w.emptied) == 0 || now.Before(w.diskAt) {
		return
	}
	a := &appending{began: now, emptied: w.emptied}
	w.emptied = nil
	for size := 0; len(a.payloads) < len(w.pending) && size < maxAppend; {
		p := w.pending[len(a.payloads)]
		a.payloads, a.upTo = append(a.payloads, p.data), p.number
		size += len(p.data)
	}
	w.appending = a
	w.appends <- a
}

func (w *writer) sleepSpooling(earlier func(time.Time)) {
	if a := w.appending; a != nil {
		if !a.late {
			earlier(a.began.Add(w.l.options.spoolTimeout))
		}
	} else if len(w.pending)+len(w.emptied) > 0 {
		earlier(w.diskAt)
	}
}

// wasAppended takes back what the spooler has written, or not.
func (w *writer) wasAppended(a *appending) {
	w.appending = nil
	w.emptied = append(a.emptied, w.emptied...)
	if len(a.payloads) > 0 { // they are written, else there would be none
		w.settlePending(a.upTo)
		w.forgetPending(a.upTo)
	}
	if a.failure != nil {
		w.diskAt = time.Now().Add(diskBackoff)
		if !w.diskBad && !errors.Is(a.failure, spool.ErrNoFolder) {
			w.l.log.Error("the ledger's spool cannot be written: what waits for the database is in memory alone", "error", a.failure)
		}
		w.diskBad = true
		w.settlePending(w.number)
		return
	}
	w.diskBad = false
	w.goUpIfDone(time.Now())
}

// undeleted reports that files wait to be deleted whose entries the database has. It should
// not get later ones before that: the next process would replay the files if this one died.
func (w *writer) undeleted() bool { return len(w.emptied) > 0 && w.appending == nil && !w.diskBad }

// appendingSoon reports that the spooler is at work and not stuck.
func (w *writer) appendingSoon() bool { return w.appending != nil && !w.appending.late }

// forgetPending lets go of what is kept elsewhere.
func (w *writer) forgetPending(upTo uint64) {
	n := 0
	for n < len(w.pending) && w.pending[n].number <= upTo {
		w.size -= int64(len(w.pending[n].data))
		n++
	}
	w.pending = append([]pending(nil), w.pending[n:]...)
}

// measure tells the metrics and the ledger how full the spool is.
func (w *writer) measure() {
	used := w.spooled()
	down := w.l.down.Load()
	if !down && used == 0 && !w.measured {
		return
	}
	w.measured = down || used > 0
	w.l.room.Store(w.free())
	w.l.metrics.setSpool(w.spool.Size(), w.size)
}

// openExchanges counts the exchanges without a record.
func (l *Ledger) openExchanges() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return int64(len(l.open))
}

// forget takes back an intent that is not kept.
func (l *Ledger) forget(uid accounting.UID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[uid]--; l.open[uid] <= 0 {
		delete(l.open, uid)
	}
}
