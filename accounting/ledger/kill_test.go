package ledger

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/internal/servers"
)

// kills is how many processes the tests kill: SLUICE_LEDGER_KILLS, or a few.
func kills(tb testing.TB) int {
	tb.Helper()
	given := os.Getenv("SLUICE_LEDGER_KILLS")
	if given == "" {
		return 20
	}
	n, err := strconv.Atoi(given)
	require.NoError(tb, err)
	return n
}

// row D2
func TestKilledProcessesLoseNothingInSQLite(t *testing.T) { testKills(t, newRig(t, sqliteURL(t))) }

// row D2
func TestKilledProcessesLoseNothingInPostgreSQL(t *testing.T) {
	testKills(t, newRig(t, servers.StartPostgres(t).Database(t)))
}

func testKills(t *testing.T, r *rig) {
	told := newTellings()
	o := orders{Task: "load", URL: r.url, Spool: r.dir, Clients: 20, Lease: 300 * time.Millisecond, Timeout: 10 * time.Second}
	n := kills(t)
	for range n {
		c := startChild(t, o, told)
		c.awaitReady(t)
		<-time.After(rand.N(150 * time.Millisecond))
		c.kill()
	}
	r.ledger(func(options *Options) { options.Lease = o.Lease })
	require.Eventually(t, func() bool { return r.number("SELECT COUNT(*) FROM intents") == 0 }, patience, 20*time.Millisecond)
	told.matches(r)
	beside := r.number("SELECT COUNT(*) FROM attempts WHERE counts_at IS NOT NULL AND outcome = 'crash'")
	t.Logf("%d kills: %d exchanges started, %d begun, %d finished, %d amended; outcomes %v, %d open attempts beside the final ones",
		n, len(told.started), len(told.begun), len(told.finished), len(told.amended), r.outcomes(), beside)
}

func TestKilledWhileSQLiteIsHeld(t *testing.T) {
	r := newRig(t, sqliteURL(t))
	var release func()
	testKilledInAnOutage(t, r, func() { release = r.stall(nil) }, func() { release() })
}

func TestKilledWhilePostgreSQLIsStalled(t *testing.T) {
	server := servers.StartPostgres(t)
	testKilledInAnOutage(t, newRig(t, server.Database(t)), server.Stall, server.Resume)
}

// testKilledInAnOutage kills a process that keeps its exchanges in the spool.
func testKilledInAnOutage(t *testing.T, r *rig, begin, end func()) {
	told := newTellings()
	o := orders{Task: "load", URL: r.url, Spool: r.dir, Clients: 10, Lease: 300 * time.Millisecond, Timeout: 500 * time.Millisecond}
	count := func() int {
		told.mu.Lock()
		defer told.mu.Unlock()
		return len(told.finished)
	}
	for range 3 {
		c := startChild(t, o, told)
		c.awaitReady(t)
		before := count()
		require.Eventually(t, func() bool { return count() > before }, patience, 10*time.Millisecond)
		begin()
		require.Eventually(t, func() bool { return len(spoolFiles(t, r.dir)) > 0 }, patience, 10*time.Millisecond)
		before = count()
		require.Eventually(t, func() bool { return count() > before+50 }, patience, 10*time.Millisecond)
		c.kill()
		require.NotEmpty(t, spoolFiles(t, r.dir))
		end()
	}
	r.ledger(func(options *Options) { options.Lease = o.Lease })
	require.Empty(t, spoolFiles(t, r.dir))
	require.Eventually(t, func() bool { return r.number("SELECT COUNT(*) FROM intents") == 0 }, patience, 20*time.Millisecond)
	told.matches(r)
}

func TestOutageOfTheDatabaseMakesNobodyDead(t *testing.T) {
	server := servers.StartPostgres(t)
	r := newRig(t, server.Database(t))
	short := func(o *Options) { o.Lease = 600 * time.Millisecond }
	replicas := []*Ledger{r.ledger(short), r.ledger(short), r.ledger(short)}
	uids := make([]accounting.UID, len(replicas))
	for i, l := range replicas {
		uids[i] = accounting.NewUID()
		kept(t, l.Begin(intentOf(uids[i], 1)))
	}
	server.Stall()
	<-time.After(1500 * time.Millisecond)
	server.Resume()
	before := r.number("SELECT MIN(seen_at) FROM instances")
	require.Eventually(t, func() bool { // each has looked for dead ones since
		return r.number("SELECT MIN(seen_at) FROM instances") > before+int64(2*time.Second/time.Microsecond)
	}, patience, 10*time.Millisecond)
	require.Zero(t, r.number("SELECT COUNT(*) FROM exchanges"))
	for i, l := range replicas {
		kept(t, l.Finish(recordOf(uids[i])))
	}
	require.Equal(t, map[string]int64{"completed": 3}, r.outcomes())
	r.balanced()
}

func TestProcessesShareAFile(t *testing.T) {
	r := newRig(t, sqliteURL(t))
	told := newTellings()
	o := orders{Task: "load", URL: r.url, Spool: r.dir, Clients: 10, Lease: 50 * time.Millisecond, Timeout: 10 * time.Second}
	own := r.ledger(func(options *Options) { options.Lease, options.CommitTimeout = o.Lease, o.Timeout })
	exchange := func() {
		uid := accounting.NewUID()
		told.note("started " + uid.String())
		kept(t, own.Begin(intentOf(uid, 1)))
		told.note("begun " + uid.String())
		kept(t, own.Finish(recordOf(uid)))
		told.note("finished " + uid.String())
	}
	for range 3 {
		one, other := startChild(t, o, told), startChild(t, o, told)
		one.awaitReady(t)
		other.awaitReady(t)
		for range 20 {
			exchange()
		}
		one.kill()
		require.Eventually(t, func() bool {
			exchange() // an occasion to look
			return r.number("SELECT COUNT(*) FROM instances WHERE instance LIKE 'child%'") == 1
		}, patience, time.Millisecond, "who is dead is noticed while who lives is let alone")
		other.kill()
	}
	require.Eventually(t, func() bool {
		exchange()
		return r.number("SELECT COUNT(*) FROM intents") == 0
	}, patience, time.Millisecond)
	told.matches(r)
	require.True(t, own.Healthy())
}

func TestOtherReplicaTakesOverWhenTheLeaseEnds(t *testing.T) {
	r := newRig(t, servers.StartPostgres(t).Database(t))
	told := newTellings()
	lease := 600 * time.Millisecond
	crashed := make(chan *accounting.Record, 1000)
	short := func(o *Options) {
		o.Lease = lease
		o.Crashed = func(record *accounting.Record) { crashed <- record }
	}
	replicas := []*Ledger{r.ledger(short), r.ledger(short), r.ledger(short)}
	c := startChild(t, orders{Task: "load", URL: r.url, Spool: r.dir, Clients: 20, Lease: lease, Timeout: 10 * time.Second}, told)
	c.awaitReady(t)
	require.Eventually(t, func() bool { return r.number("SELECT COUNT(*) FROM exchanges") > 100 }, patience, 10*time.Millisecond)
	c.kill()
	require.Eventually(t, func() bool { return r.number("SELECT COUNT(*) FROM intents") == 0 }, patience, 10*time.Millisecond)
	told.matches(r)
	require.Eventually(t, func() bool {
		return r.number("SELECT COUNT(*) FROM instances") == int64(len(replicas))
	}, patience, 10*time.Millisecond)
	for _, l := range replicas {
		require.NoError(t, l.Close())
	}
	require.EqualValues(t, r.outcomes()["crash"], len(crashed), "each crash is told once")
}

func TestReplicaWhoseRowIsGoneComesBack(t *testing.T) {
	r := newRig(t, servers.StartPostgres(t).Database(t))
	l := r.ledger(func(o *Options) { o.Lease = 300 * time.Millisecond })
	_, err := r.book.db.Exec("DELETE FROM instances")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		return r.number("SELECT COUNT(*) FROM instances WHERE instance = ?", l.Instance()) == 1
	}, patience, 10*time.Millisecond)
}
