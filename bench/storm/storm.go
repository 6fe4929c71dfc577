//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/sluicehq/sluice/bench/internal/child"
	"github.com/sluicehq/sluice/internal/localserver"
)

// storm is everything that runs.
type storm struct {
	s        *settings
	progress io.Writer
	folder   string
	ledger   string // URL
	upstream *upstream
	replicas []*child.Sluice
	load     *load
	books    *books
	random   *rand.Rand
	starts   []time.Duration
	kills    int
	// failedStarts counts the processes that ended before they were ready.
	failedStarts int
	cleanups     []func()
}

// storm runs one.
func (s *settings) storm(ctx context.Context, progress io.Writer) (*figures, error) {
	t := &storm{s: s, progress: progress, random: rand.New(rand.NewPCG(s.seed, 1<<40))}
	defer t.cleanUp()
	begun := time.Now()
	if err := t.prepare(ctx); err != nil {
		return nil, err
	}
	if err := t.rage(ctx); err != nil {
		return nil, err
	}
	f := &figures{Mode: s.mode, Engine: s.engine, Seed: s.seed, Kills: t.kills, FailedStarts: t.failedStarts}
	if err := t.settle(ctx, f); err != nil {
		return nil, err
	}
	if err := t.audit(ctx, f); err != nil {
		return nil, err
	}
	f.Seconds = time.Since(begun).Seconds()
	f.judge()
	return f, nil
}

func (t *storm) cleanUp() {
	for i := len(t.cleanups) - 1; i >= 0; i-- {
		t.cleanups[i]()
	}
}

// prepare starts everything.
func (t *storm) prepare(ctx context.Context) (err error) {
	if t.folder, err = os.MkdirTemp("", "sluice-storm-"); err != nil {
		return fmt.Errorf("making a folder: %w", err)
	}
	t.cleanups = append(t.cleanups, func() { _ = os.RemoveAll(t.folder) })
	program, err := child.Program(ctx, t.s.sluice, t.folder)
	if err != nil {
		return err
	}
	if err := t.prepareServers(); err != nil {
		return err
	}
	extra := ""
	if t.s.redis != "" {
		extra = fmt.Sprintf("redis: %q\n", t.s.redis)
	}
	for i := range t.s.processes() {
		r, err := newReplica(fmt.Sprintf("sluice-%d", i+1), program, t.folder, t.upstream.url, t.ledger, extra)
		if err != nil {
			return err
		}
		t.replicas = append(t.replicas, r)
		t.cleanups = append(t.cleanups, r.Discard)
		if err := t.start(ctx, r); err != nil {
			return err
		}
	}
	t.load = newLoad(t.s, t.replicas)
	if t.books, err = openBooks(t.ledger); err != nil {
		return err
	}
	t.cleanups = append(t.cleanups, t.books.close)
	return nil
}

// prepareServers starts the upstream, and the servers that no URL is given for.
func (t *storm) prepareServers() (err error) {
	if t.upstream, err = startUpstream(t.s.mode == modeAborts); err != nil {
		return err
	}
	t.cleanups = append(t.cleanups, t.upstream.stop)
	t.ledger = "sqlite://" + filepath.Join(t.folder, "ledger.db")
	if t.s.engine == enginePostgres {
		if t.ledger = t.s.postgres; t.ledger == "" {
			if err := t.startPostgres(); err != nil {
				return err
			}
		}
	}
	if t.s.mode == modeReplicas && t.s.redis == "" {
		server, err := localserver.StartRedis()
		if err != nil {
			return err
		}
		t.cleanups = append(t.cleanups, server.Kill)
		t.s.redis = server.URL
	}
	return nil
}

func (t *storm) startPostgres() error {
	server, err := localserver.StartPostgres()
	if err != nil {
		return err
	}
	t.cleanups = append(t.cleanups, server.Close)
	t.ledger, err = server.Database()
	return err
}

// startTries is how often a process is started that ends before it is ready, as whoever
// looks after it would: its database may be too busy at that moment.
const startTries = 5

func (t *storm) start(ctx context.Context, r *child.Sluice) error {
	for try := 1; ; try++ {
		took, err := r.Start(ctx)
		if err == nil {
			t.starts = append(t.starts, took)
			return nil
		}
		if try == startTries || !errors.Is(err, child.ErrNotStarted) {
			return err
		}
		t.failedStarts++
		t.tell("%v", err)
	}
}

// rage lets the storm blow.
func (t *storm) rage(ctx context.Context) error {
	blowing, end := context.WithCancel(ctx)
	defer end()
	over := make(chan struct{})
	requests := 0
	if t.s.mode == modeAborts {
		requests = t.s.requests
	}
	go func() {
		defer close(over)
		t.load.run(blowing, requests)
	}()
	err := t.killAll(ctx)
	if t.s.mode == modeAborts && err == nil {
		err = t.watch(ctx, over)
	}
	end()
	<-over
	return errors.Join(err, ctx.Err())
}

// watch tells how far it is until it is over.
func (t *storm) watch(ctx context.Context, over <-chan struct{}) error {
	tick := time.NewTicker(10 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-over:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			t.tell("%d of %d requests", t.load.tally.requests.Load(), t.s.requests)
		}
	}
}

// killAll kills as often as it should, and starts again what it killed.
func (t *storm) killAll(ctx context.Context) error {
	for t.kills < t.s.kills {
		if !child.Wait(ctx, time.Duration(t.random.Int64N(int64(2*t.s.every)))) {
			return ctx.Err()
		}
		r := t.replicas[t.random.IntN(len(t.replicas))]
		if err := r.Kill(); err != nil {
			return err
		}
		t.kills++
		if err := t.start(ctx, r); err != nil {
			return err
		}
		if t.kills%25 == 0 {
			t.tell("%d of %d kills, %d requests", t.kills, t.s.kills, t.load.tally.requests.Load())
		}
	}
	return nil
}

func (t *storm) tell(format string, args ...any) {
	_, _ = fmt.Fprintf(t.progress, format+"\n", args...)
}

// settle waits until nothing is open and nothing held, as long as it may.
func (t *storm) settle(ctx context.Context, f *figures) error {
	begun := time.Now()
	limit, cancel := context.WithTimeout(ctx, t.s.settle)
	defer cancel()
	for round := 0; ; round++ {
		calm, err := t.calm(ctx, f, round)
		if err != nil {
			return err
		}
		f.SettledAfter = float64(time.Since(begun).Milliseconds())
		if calm || !child.Wait(limit, time.Second) {
			return ctx.Err()
		}
	}
}

// calm looks whether something is open or held, the cheap things first.
func (t *storm) calm(ctx context.Context, f *figures, round int) (bool, error) {
	var err error
	if f.OpenIntents, err = t.books.openIntents(ctx); err != nil || f.OpenIntents > 0 {
		return false, err
	}
	held, err := heldByMetric(ctx, t.replicas)
	if err != nil {
		return false, err
	}
	if f.HeldSlots = int(held); held != 0 {
		return false, nil
	}
	admitted, err := t.load.slots(ctx, round)
	if err != nil {
		return false, err
	}
	f.HeldSlots = largestStreams - admitted
	if f.HeldSlots != 0 {
		return false, nil
	}
	// What just asked for slots has left, and leaves nothing either.
	return t.calmAgain(ctx, f)
}

func (t *storm) calmAgain(ctx context.Context, f *figures) (bool, error) {
	for range 100 {
		var err error
		if f.OpenIntents, err = t.books.openIntents(ctx); err != nil {
			return false, err
		}
		held, err := heldByMetric(ctx, t.replicas)
		if err != nil {
			return false, err
		}
		if f.HeldSlots = int(held); held == 0 && f.OpenIntents == 0 {
			return true, nil
		}
		if !child.Wait(ctx, 100*time.Millisecond) {
			return false, ctx.Err()
		}
	}
	return false, nil
}

// audit ends the processes and reads the books.
func (t *storm) audit(ctx context.Context, f *figures) error {
	recorded, err := counted(ctx, t.replicas)
	if err != nil {
		return err
	}
	for _, r := range t.replicas {
		if err := r.Terminate(); err != nil {
			return err
		}
	}
	rows, err := t.books.rows(ctx)
	if err != nil {
		return err
	}
	if f.OpenIntents, err = t.books.openIntents(ctx); err != nil {
		return err
	}
	if f.Orphans, err = t.books.orphans(ctx); err != nil {
		return err
	}
	usage, err := usageByOutcome(ctx, t.replicas[0])
	if err != nil {
		return err
	}
	f.take(&t.load.tally)
	f.takeStarts(t.starts)
	f.compare(t.upstream.ids(), rows, &t.load.tally)
	f.compareUsage(usage, rows)
	if t.kills == 0 { // what a process had counted ends with it
		f.MetricDiffers = max(recorded-f.Rows, f.Rows-recorded)
	}
	return nil
}
