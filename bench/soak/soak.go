//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/sluicehq/sluice/bench/internal/child"
)

// ledgerFile is the name of the ledger, with which those of its other files begin.
const ledgerFile = "ledger.db"

// soak is everything that runs.
type soak struct {
	s         *settings
	progress  io.Writer
	folder    string
	diary     *diary
	upstreams *upstreams
	config    *configuration
	sluice    *child.Sluice
	reloader  *reloader
	load      *load
	books     *books
	cleanups  []func()
}

// soak runs one.
func (s *settings) soak(ctx context.Context, progress io.Writer) (*figures, error) {
	t := &soak{s: s, progress: progress, diary: newDiary()}
	defer t.cleanUp()
	begun := time.Now()
	if err := t.prepare(ctx); err != nil {
		return nil, err
	}
	f := newFigures(s)
	t.tell("warming up for %v", s.warmUp)
	if err := t.phase(ctx, s.warmUp); err != nil {
		return nil, err
	}
	var err error
	if f.Before, err = rest(ctx, t.sluice, t.books, s.settle); err != nil {
		return nil, err
	}
	t.tell("at rest: %+v", f.Before)
	if err := t.phase(ctx, s.duration); err != nil {
		return nil, err
	}
	if err := t.settle(ctx, f); err != nil {
		return nil, err
	}
	if err := t.audit(ctx, f); err != nil {
		return nil, err
	}
	f.Seconds = time.Since(begun).Seconds()
	f.judge(s)
	return f, nil
}

func (t *soak) cleanUp() {
	for i := len(t.cleanups) - 1; i >= 0; i-- {
		t.cleanups[i]()
	}
}

// prepare starts everything.
func (t *soak) prepare(ctx context.Context) (err error) {
	if t.folder, err = os.MkdirTemp("", "sluice-soak-"); err != nil {
		return fmt.Errorf("making a folder: %w", err)
	}
	t.cleanups = append(t.cleanups, func() { _ = os.RemoveAll(t.folder) })
	program, err := child.Program(ctx, t.s.sluice, t.folder)
	if err != nil {
		return err
	}
	if t.upstreams, err = startUpstreams(t.diary); err != nil {
		return err
	}
	t.cleanups = append(t.cleanups, t.upstreams.stop)
	if err := t.configure(); err != nil {
		return err
	}
	t.sluice = &child.Sluice{
		Name: "sluice", Program: program, Config: t.config.path,
		API: "http://" + t.config.listen, Admin: "http://" + t.config.admin,
	}
	t.cleanups = append(t.cleanups, t.sluice.Discard)
	if _, err := t.sluice.Start(ctx); err != nil {
		return err
	}
	if t.books, err = openBooks(filepath.Join(t.folder, ledgerFile)); err != nil {
		return err
	}
	t.cleanups = append(t.cleanups, t.books.close)
	t.load = newLoad(t.s, t.sluice, t.diary)
	t.reloader = &reloader{every: t.s.reload, config: t.config, sluice: t.sluice, upstreams: t.upstreams}
	return nil
}

func (t *soak) configure() error {
	t.config = &configuration{
		path: filepath.Join(t.folder, "config.yaml"), ledger: "sqlite://" + filepath.Join(t.folder, ledgerFile),
		spool: filepath.Join(t.folder, "spool"), addresses: t.upstreams.addresses, targets: t.s.targets,
	}
	for _, address := range []*string{&t.config.listen, &t.config.admin} {
		free, err := child.FreeAddress()
		if err != nil {
			return err
		}
		*address = free
	}
	gone, err := child.FreeAddress()
	if err != nil {
		return err
	}
	t.config.addresses[providerGone] = gone
	return t.config.write(t.config.text(0, keyOf(0)))
}

// phase puts load on sluice for some time, reloads and flaps, and waits until it is over.
func (t *soak) phase(ctx context.Context, d time.Duration) error {
	ctx, end := context.WithTimeoutCause(ctx, d, errOver)
	defer end()
	var beside sync.WaitGroup
	var failures [2]error
	changing, endChanges := context.WithCancel(ctx)
	beside.Go(func() { failures[0] = t.reloader.run(changing) })
	beside.Go(func() { failures[1] = t.upstreams.flap(changing) })
	beside.Go(func() { t.watch(changing) })
	t.load.run(ctx)
	endChanges()
	beside.Wait()
	if t.sluice.HasEnded() {
		return fmt.Errorf("in the middle of it: %w", t.sluice.Terminate())
	}
	if !errors.Is(context.Cause(ctx), errOver) {
		return ctx.Err()
	}
	return errors.Join(failures[:]...)
}

// errOver is why a phase ends in good order.
var errOver = errors.New("it is over")

// watch tells how it goes.
func (t *soak) watch(ctx context.Context) {
	begun := time.Now()
	for child.Wait(ctx, 30*time.Second) {
		now, err := take(ctx, t.sluice, t.books)
		if err == nil {
			t.tell("%v: %d requests, %d reloads, %+v", time.Since(begun).Round(time.Second), t.load.next.Load(), t.reloader.loads, now)
		}
	}
}

func (t *soak) tell(format string, args ...any) {
	_, _ = fmt.Fprintf(t.progress, format+"\n", args...)
}

// settle waits until sluice is as it was, as long as it may.
func (t *soak) settle(ctx context.Context, f *figures) error {
	begun := time.Now()
	limit, cancel := context.WithTimeout(ctx, t.s.settle)
	defer cancel()
	for {
		var err error
		if f.After, err = take(ctx, t.sluice, t.books); err != nil {
			return err
		}
		f.SettledAfter = float64(time.Since(begun).Milliseconds())
		if t.upstreams.quiet() && len(f.After.beyond(f.Before, t.s.slack)) == 0 || !child.Wait(limit, 200*time.Millisecond) {
			break
		}
	}
	if !t.upstreams.quiet() {
		f.Wrong = append(f.Wrong, "upstream calls go on that nobody waits for")
	}
	return ctx.Err()
}

// audit ends the process and reads the books.
func (t *soak) audit(ctx context.Context, f *figures) error {
	metrics, err := t.sluice.Metrics(ctx)
	if err != nil {
		return err
	}
	if err := t.sluice.Terminate(); err != nil {
		f.Wrong = append(f.Wrong, err.Error())
	}
	rows, err := t.books.rows(ctx)
	if err != nil {
		return err
	}
	f.compare(t.diary, rows)
	f.take(t.upstreams)
	f.takeReloads(t.reloader)
	if counted := int(metrics["sluice_requests_total"]); counted != f.Rows {
		f.Wrong = append(f.Wrong, fmt.Sprintf("sluice_requests_total is %d, of %d rows", counted, f.Rows))
	}
	return nil
}
