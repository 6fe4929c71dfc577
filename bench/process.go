//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	startLimit = 15 * time.Second
	stopLimit  = 5 * time.Second
	keptOutput = 4 << 10
)

// process is a child that runs until it is stopped.
type process struct {
	name   string
	cmd    *exec.Cmd
	output *lastWords
	ended  chan struct{}
}

// start runs cmd in a process group of its own, so that nothing of it can be left
// behind, and so that an interrupt on the terminal reaches this program alone,
// which then stops what it started.
func start(name string, cmd *exec.Cmd) (*process, error) {
	p := &process{name: name, cmd: cmd, output: &lastWords{}, ended: make(chan struct{})}
	cmd.Stderr = p.output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopLimit
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	go func() {
		_ = cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// stop ends the process and waits for its end.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(stopLimit):
	}
	// Whatever is left of its group; an error means that there is nothing.
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.ended
}

// ready waits until the process accepts connections.
func (p *process) ready(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err == nil {
			_ = conn.Close()
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("%s ended at its start: %s", p.name, p.output)
		case <-ctx.Done():
			return fmt.Errorf("%s does not accept connections: %w", p.name, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// lastWords keeps the end of what a process prints.
type lastWords struct {
	mu   sync.Mutex
	text []byte
}

// Write keeps the last bytes of text.
func (w *lastWords) Write(text []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text = append(w.text, text...)
	if extra := len(w.text) - keptOutput; extra > 0 {
		w.text = append(w.text[:0], w.text[extra:]...)
	}
	return len(text), nil
}

func (w *lastWords) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.TrimSpace(string(w.text))
}

// freeAddress finds a loopback port that nothing listens on.
func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("looking for a free port: %w", err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		return "", fmt.Errorf("looking for a free port: %w", err)
	}
	return address, nil
}

// spareFiles are for everything in a process but the connections of its streams.
const spareFiles = 512

// filesFor is how many open files a process needs to carry that many streams, with
// one connection on either side of each.
func filesFor(streams int) int { return 2*streams + spareFiles }

var errFiles = errors.New("not enough open files")

// allowFiles raises the limit of open files for this process and what it starts.
func allowFiles(streams int) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("reading the limit of open files: %w", err)
	}
	need := uint64(filesFor(streams))
	// Set even when it is high enough: children would else inherit the limit with
	// which the Go runtime found this process.
	allowed := limit.Max
	limit.Max = max(limit.Max, need)
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("%w for %d streams: the hard limit of %d must be %d: %w", errFiles, streams, allowed, need, err)
	}
	return nil
}
