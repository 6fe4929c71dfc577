package ledger

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
)

// stuckRig is a ledger whose database and whose disk of the spool hang while their gates are
// shut.
type stuckRig struct {
	*rig
	ledger   *Ledger
	registry *prometheus.Registry
	database stuckStore
	disk     sync.RWMutex
	onDisk   func() // called before the disk is used, if it is not nil
	told     *tellings
	made     int
}

func newStuckRig(t *testing.T) *stuckRig {
	s := &stuckRig{rig: newRig(t, sqliteURL(t)), registry: prometheus.NewRegistry(), told: newTellings()}
	s.ledger = s.rig.ledger(brief, func(o *Options) {
		o.Registerer = s.registry
		o.wrap = func(inner store) store {
			s.database.store = inner
			return &s.database
		}
		o.spoolDisk = func() {
			s.disk.RLock()
			defer s.disk.RUnlock()
			if s.onDisk != nil {
				s.onDisk()
			}
		}
	})
	return s
}

// exchanges makes a few, one after the other.
func (s *stuckRig) exchanges(n int) {
	for range n {
		s.made++
		childExchange(s.ledger, 100+s.made, func(format string, args ...any) { s.told.note(fmt.Sprintf(format, args...)) })
	}
}

// goDown shuts the database and makes exchanges until it counts as down.
func (s *stuckRig) goDown() {
	s.database.gate.Lock()
	for s.ledger.Healthy() {
		uid := accounting.NewUID()
		s.told.note("started " + uid.String())
		begun, finished := s.ledger.Begin(intentOf(uid, 1)), s.ledger.Finish(recordOf(uid))
		kept(s, begun)
		kept(s, finished)
		s.told.note("finished " + uid.String())
	}
}

// checkEnd closes the ledger and wants everything to be in the books.
func (s *stuckRig) checkEnd() {
	require.NoError(s, s.ledger.Close())
	require.Zero(s, metric(s, s.registry, "sluice_ledger_spool_bytes"))
	require.Empty(s, spoolFiles(s, s.dir))
	s.told.matches(s.rig)
}

// row D3
func TestSpoolThatHangsHoldsUpNobody(t *testing.T) {
	s := newStuckRig(t)
	s.exchanges(10)
	for range 2 {
		before := s.number("SELECT COUNT(*) FROM exchanges")
		s.goDown()
		s.exchanges(10) // onto the disk
		require.NotEmpty(t, spoolFiles(t, s.dir))
		s.disk.Lock()
		s.exchanges(200) // receipts are settled though nothing can be written anywhere
		require.False(t, s.ledger.Healthy())
		require.NoError(t, s.ledger.Ready())
		s.database.gate.Unlock()
		require.Eventually(t, func() bool { return s.number("SELECT COUNT(*) FROM exchanges") >= before+200 },
			patience, 10*time.Millisecond, "the database gets what is in memory while the disk is still stuck")
		s.exchanges(50)
		require.NotEmpty(t, spoolFiles(t, s.dir), "nothing can be deleted")
		s.disk.Unlock()
		require.Eventually(t, s.ledger.Healthy, patience, 10*time.Millisecond)
	}
	s.checkEnd()
}

// row D3
func TestFilesOfTheSpoolThatCannotBeDeletedHoldUpNobody(t *testing.T) {
	s := newStuckRig(t)
	s.goDown()
	s.exchanges(10)
	// A folder with something in it cannot be deleted as a file can.
	blocked := make(chan struct{})
	finished := len(s.told.finished)
	s.disk.Lock()
	s.onDisk = func() {
		var has int
		if s.book.db.QueryRow("SELECT COUNT(*) FROM exchanges").Scan(&has) != nil || has < finished {
			return // the files are still to be read
		}
		for _, path := range spoolFiles(t, s.dir) {
			if os.Remove(path) == nil {
				_ = os.MkdirAll(filepath.Join(path, "inside"), 0o700)
			}
		}
		s.onDisk = nil
		close(blocked)
	}
	s.database.gate.Unlock()
	s.disk.Unlock()
	<-blocked
	before := s.number("SELECT COUNT(*) FROM exchanges")
	s.exchanges(50)
	require.Eventually(t, func() bool { return s.number("SELECT COUNT(*) FROM exchanges") >= before+50 },
		patience, 10*time.Millisecond, "the database gets what comes")
	require.False(t, s.ledger.Healthy(), "the next process would replay the files behind it")
	for _, path := range spoolFiles(t, s.dir) {
		require.NoError(t, os.RemoveAll(path))
	}
	require.Eventually(t, s.ledger.Healthy, patience, 10*time.Millisecond)
	s.exchanges(10)
	s.checkEnd()
}

// Whoever closes while the database gets the spool leaves no file behind that it has got.
func TestClosingDeletesTheFilesThatTheDatabaseHasGot(t *testing.T) {
	s := newStuckRig(t)
	s.goDown()
	s.exchanges(20)
	require.NotEmpty(t, spoolFiles(t, s.dir))
	closed := make(chan error, 1)
	s.database.gate.Unlock()
	go func() { closed <- s.ledger.Close() }()
	select {
	case err := <-closed:
		require.NoError(t, err)
	case <-time.After(patience):
		require.Fail(t, "closing waits")
	}
	s.rig.ledger() // takes what is left, if there is any
	require.Empty(t, spoolFiles(t, s.dir))
	s.told.matches(s.rig)
}
