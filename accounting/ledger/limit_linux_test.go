package ledger

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
)

// childLimit makes exchanges while no file may grow: neither the database nor the spool
// can be written.
func childLimit(o orders, tell func(string, ...any)) error {
	signal.Ignore(syscall.SIGXFSZ)
	l, b, err := o.ledger()
	if err != nil {
		return err
	}
	defer func() { _ = b.Close() }()
	for n := range 50 {
		childExchange(l, n, tell)
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	none := syscall.Rlimit{Cur: 1, Max: limit.Max}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &none); err != nil {
		return err
	}
	for n := 0; l.Healthy(); n++ {
		childExchange(l, n, tell)
	}
	required := intentOf(accounting.NewUID(), 1)
	required.Required = true
	if err := l.Begin(required).Err(); !errors.Is(err, accounting.ErrLedgerUnavailable) {
		return fmt.Errorf("an exchange that must be kept began: %w", err)
	}
	for n := range 50 {
		childExchange(l, n, tell)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	for n := 0; !l.Healthy(); n++ {
		childExchange(l, n, tell)
		<-time.After(time.Millisecond)
	}
	return l.Close()
}

func TestNothingIsLostWhenNoFileCanGrow(t *testing.T) {
	r := newRig(t, sqliteURL(t))
	told := newTellings()
	c := startChild(t, orders{Task: "limit", URL: r.url, Spool: r.dir, Timeout: 10 * time.Second}, told)
	<-c.ended
	require.NoError(t, c.cmd.Wait(), "%s %v", c.stderr.String(), told.errors)
	r.ledger() // closes those that were left open
	told.matches(r)
}

func TestNothingIsLostWhenTheDiskIsFull(t *testing.T) {
	folder := t.TempDir()
	if err := syscall.Mount("tmpfs", folder, "tmpfs", 0, "size=3m"); err != nil {
		t.Skip("a small disk cannot be mounted here: that takes the rights of root")
	}
	t.Cleanup(func() { _ = syscall.Unmount(folder, syscall.MNT_DETACH) })
	r := newRig(t, "sqlite://"+filepath.Join(folder, "ledger.db"))
	told := newTellings()
	l := r.ledger(func(o *Options) { o.SpoolDir = folder })
	for n := 0; l.Healthy(); n++ {
		childExchange(l, n, func(format string, args ...any) { told.note(fmt.Sprintf(format, args...)) })
	}
	for n := range 200 { // into memory
		childExchange(l, n, func(format string, args ...any) { told.note(fmt.Sprintf(format, args...)) })
	}
	require.NoError(t, syscall.Mount("tmpfs", folder, "tmpfs", syscall.MS_REMOUNT, "size=64m"))
	require.Eventually(t, l.Healthy, patience, 10*time.Millisecond)
	require.NoError(t, l.Close())
	r.ledger() // closes those that were left open
	told.matches(r)
	left, err := filepath.Glob(filepath.Join(folder, "*.lock"))
	require.NoError(t, err)
	require.Empty(t, left, "the spool has cleaned up")
	_, err = os.Stat(filepath.Join(folder, l.Instance()))
	require.ErrorIs(t, err, os.ErrNotExist)
}
