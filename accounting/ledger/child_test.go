package ledger

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
)

// childVariable holds the orders of a process that a test has started: the test binary
// itself, which does not run tests then.
const childVariable = "SLUICE_LEDGER_TEST_CHILD"

// orders say what a child does.
type orders struct {
	Task    string
	URL     string
	Spool   string
	Clients int
	Lease   time.Duration
	Timeout time.Duration
}

// tasks are what a child can do. It tells what it has done line by line.
var tasks = map[string]func(o orders, tell func(string, ...any)) error{
	"load":  childLoad,
	"limit": childLimit,
}

func runChild(given string) int {
	var o orders
	if err := json.Unmarshal([]byte(given), &o); err != nil {
		return 2
	}
	var mu sync.Mutex
	tell := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		_, _ = fmt.Fprintf(os.Stdout, format+"\n", args...)
	}
	if err := tasks[o.Task](o, tell); err != nil {
		tell("error %v", err)
		return 1
	}
	return 0
}

func (o orders) ledger() (*Ledger, *Books, error) {
	ctx := context.Background()
	b, err := OpenBooks(ctx, o.URL)
	if err != nil {
		return nil, nil, err
	}
	l, err := New(ctx, Options{
		Books: b, Instance: "child", Recent: 1000, Spool: 64 << 20, SpoolDir: o.Spool,
		Lease: o.Lease, CommitTimeout: o.Timeout, Logger: quiet,
		spoolTimeout: patience, // what is in memory alone would die with the process
	})
	return l, b, err
}

// childLoad makes exchanges without end.
func childLoad(o orders, tell func(string, ...any)) error {
	l, _, err := o.ledger()
	if err != nil {
		return err
	}
	tell("ready")
	var clients sync.WaitGroup
	for range o.Clients {
		clients.Go(func() {
			for n := 0; ; n++ {
				childExchange(l, n, tell)
			}
		})
	}
	clients.Wait()
	return nil
}

// childExchange makes one, with the words of the lines that tellings reads. Every second one
// has a second attempt, after the first one has ended or beside it.
func childExchange(l *Ledger, n int, tell func(string, ...any)) {
	uid := accounting.NewUID()
	tell("started %s", uid)
	if l.Begin(intentOf(uid, 1)).Err() != nil {
		return
	}
	tell("begun %s", uid)
	leading := intentOf(uid, 1).AttemptID
	r := recordOf(uid)
	if n%2 == 1 {
		r = contestOf(uid)
		second := intentOf(uid, 2)
		if n%4 == 1 {
			second.Before, leading = r.Attempts[:1], second.AttemptID
		}
		if l.Begin(second).Err() != nil {
			return
		}
	}
	l.Checkpoint([]accounting.Checkpoint{{UID: uid, AttemptID: leading, Phase: accounting.PhaseStreaming, OutputBytes: 40}})
	if n%7 < 2 && n < 100 {
		return // it is open until the end of the process
	}
	if err := l.Finish(r).Err(); err != nil {
		tell("error %v", err)
		return
	}
	tell("finished %s", uid)
	if n%3 == 2 {
		amended := *r
		amended.Chunks = amendedChunks
		if err := l.Amend(&amended).Err(); err != nil {
			tell("error %v", err)
			return
		}
		tell("amended %s", uid)
	}
}

const amendedChunks = 4711

// child is a process that a test has started.
type child struct {
	cmd    *exec.Cmd
	ready  chan struct{} // closed when it has said so
	ended  chan struct{} // closed when everything that it has said is read
	stderr bytes.Buffer
	told   *tellings
}

// tellings are what children have said.
type tellings struct {
	mu                                sync.Mutex
	started, begun, finished, amended map[accounting.UID]bool
	errors                            []string
}

func newTellings() *tellings {
	return &tellings{
		started: make(map[accounting.UID]bool), begun: make(map[accounting.UID]bool),
		finished: make(map[accounting.UID]bool), amended: make(map[accounting.UID]bool),
	}
}

func startChild(tb testing.TB, o orders, told *tellings) *child {
	tb.Helper()
	content, err := json.Marshal(o)
	require.NoError(tb, err)
	c := &child{cmd: exec.Command(os.Args[0]), ready: make(chan struct{}), ended: make(chan struct{}), told: told}
	c.cmd.Env = append(os.Environ(), childVariable+"="+string(content))
	c.cmd.Stderr = &c.stderr
	out, err := c.cmd.StdoutPipe()
	require.NoError(tb, err)
	require.NoError(tb, c.cmd.Start())
	go c.listen(out)
	return c
}

func (c *child) listen(out io.Reader) {
	defer close(c.ended)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if lines.Text() == "ready" {
			close(c.ready)
			continue
		}
		c.told.note(lines.Text())
	}
}

func (t *tellings) note(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	word, rest, _ := strings.Cut(line, " ")
	sets := map[string]map[accounting.UID]bool{"started": t.started, "begun": t.begun, "finished": t.finished, "amended": t.amended}
	var uid accounting.UID
	if set := sets[word]; set != nil && uid.UnmarshalText([]byte(rest)) == nil {
		set[uid] = true
		return
	}
	t.errors = append(t.errors, line)
}

// awaitReady waits until the child has said that it is.
func (c *child) awaitReady(tb testing.TB) {
	tb.Helper()
	select {
	case <-c.ready:
	case <-c.ended:
		_ = c.cmd.Wait()
		require.Fail(tb, "the child ended", "%s %v", c.stderr.String(), c.told.errors)
	case <-time.After(patience):
		require.Fail(tb, "the child is not ready")
	}
}

// kill ends the child without giving it any chance.
func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	<-c.ended
	_ = c.cmd.Wait()
}

// matches checks the books against what was told.
func (t *tellings) matches(r *rig) {
	r.Helper()
	t.mu.Lock()
	defer t.mu.Unlock()
	require.Empty(r, t.errors)
	rows, err := r.book.db.Query("SELECT uid, outcome, chunks FROM exchanges")
	require.NoError(r, err)
	defer func() { _ = rows.Close() }()
	outcomes, chunks := make(map[accounting.UID]string), make(map[accounting.UID]int64)
	for rows.Next() {
		var uid []byte
		var outcome string
		var n int64
		require.NoError(r, rows.Scan(&uid, &outcome, &n))
		if !t.started[accounting.UID(uid)] {
			require.Fail(r, "a record of an exchange that never was")
		}
		outcomes[accounting.UID(uid)], chunks[accounting.UID(uid)] = outcome, n
	}
	require.NoError(r, rows.Err())
	for uid := range t.begun {
		if _, ok := outcomes[uid]; !ok {
			require.Fail(r, "an exchange was begun and has no record", uid)
		}
	}
	for uid := range t.finished {
		if outcomes[uid] != "completed" {
			require.Fail(r, "an exchange was finished and its record is another one", "%s %q", uid, outcomes[uid])
		}
	}
	for uid := range t.amended {
		if chunks[uid] != amendedChunks {
			require.Fail(r, "a record was amended and is as before", uid)
		}
	}
	require.Equal(r, r.number("SELECT COUNT(*) FROM exchanges"), r.number("SELECT COUNT(*) FROM attempts WHERE final"))
	require.Zero(r, r.number("SELECT COUNT(*) FROM (SELECT uid FROM attempts WHERE final GROUP BY uid HAVING COUNT(*) > 1) AS several"))
	require.Zero(r, r.number("SELECT COUNT(*) FROM intents"))
	r.balanced()
}
