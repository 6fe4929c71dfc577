//go:build linux

package child

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"sync/atomic"
	"syscall"
	"time"
)

// startLimit bounds how long a sluice may take until it is ready, and how long until it has
// ended after SIGTERM.
const startLimit = 30 * time.Second

// Sluice is one sluice, which may be started again and again. The caller fills in the
// exported fields.
type Sluice struct {
	Name    string // for messages
	Program string
	Config  string // path of its configuration
	// API and Admin are the base URLs of its listeners.
	API, Admin string

	up     atomic.Bool
	cmd    *exec.Cmd
	output lastWords
	ended  chan struct{}
}

// ErrNotStarted says that a process ended before it was ready.
var ErrNotStarted = errors.New("it ended at its start")

// Start starts the process, waits until it is ready, and tells how long that took. If it
// ends before, that is an ErrNotStarted.
func (s *Sluice) Start(ctx context.Context) (time.Duration, error) {
	begun := time.Now()
	s.cmd = exec.Command(s.Program, "--config", s.Config)
	s.cmd.Stderr = &s.output
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		return 0, fmt.Errorf("starting %s: %w", s.Name, err)
	}
	ended := make(chan struct{})
	s.ended = ended
	go func() {
		_ = s.cmd.Wait() // the exit code is read from the process state
		close(ended)
	}()
	if err := s.awaitReady(ctx); err != nil {
		return 0, err
	}
	s.up.Store(true)
	return time.Since(begun), nil
}

func (s *Sluice) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for {
		if status, _, err := Get(ctx, s.Admin+"/readyz", ""); err == nil && status == http.StatusOK {
			return nil
		}
		if s.HasEnded() {
			return fmt.Errorf("%s: %w: %s", s.Name, ErrNotStarted, &s.output)
		}
		if !Wait(ctx, 5*time.Millisecond) {
			return fmt.Errorf("%s does not become ready: %w: %s", s.Name, ctx.Err(), &s.output)
		}
	}
}

// Up reports whether it has become ready and nobody has ended it since.
func (s *Sluice) Up() bool { return s.up.Load() }

// HasEnded reports whether the process has ended.
func (s *Sluice) HasEnded() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

// PID is the process id of the last start.
func (s *Sluice) PID() int { return s.cmd.Process.Pid }

// Signal sends a signal to the process.
func (s *Sluice) Signal(signal os.Signal) error {
	if err := s.cmd.Process.Signal(signal); err != nil {
		return fmt.Errorf("signalling %s: %w: %s", s.Name, err, &s.output)
	}
	return nil
}

var errDied = errors.New("it had ended already")

// Kill ends the process with SIGKILL, at whatever it is.
func (s *Sluice) Kill() error {
	s.up.Store(false)
	if s.HasEnded() {
		return fmt.Errorf("killing %s: %w: %s", s.Name, errDied, &s.output)
	}
	_ = s.cmd.Process.Kill()
	<-s.ended
	return nil
}

// Terminate ends the process in good order. It is an error if the process has ended with a
// failure or has printed a panic or a data race.
func (s *Sluice) Terminate() error {
	s.up.Store(false)
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	timer := time.NewTimer(startLimit)
	defer timer.Stop()
	select {
	case <-s.ended:
	case <-timer.C:
		return fmt.Errorf("%s does not end: %s", s.Name, &s.output)
	}
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("%s ended with exit code %d: %s", s.Name, code, &s.output)
	}
	if trouble := s.output.trouble(); trouble != "" {
		return fmt.Errorf("%s printed %q: %s", s.Name, trouble, &s.output)
	}
	return nil
}

// Discard ends whatever is left of the process.
func (s *Sluice) Discard() {
	if s.cmd != nil && s.ended != nil {
		_ = s.cmd.Process.Kill()
		<-s.ended
	}
}
