//go:build linux

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	sluicePackage = "github.com/sluicehq/sluice/cmd/sluice"
	// startLimit bounds how long a sluice may take until it is ready, and how long until
	// it has ended after SIGTERM.
	startLimit = 30 * time.Second
	keptOutput = 8 << 10

	clientKey = "sk-storm-client"
	adminKey  = "sk-storm-admin"
	// largestStreams is the limit of requests at the same time of the client's key, for all
	// replicas together.
	largestStreams = 500
)

// buildSluice builds the program from the module that this one belongs to.
func buildSluice(ctx context.Context, folder string) (string, error) {
	path := filepath.Join(folder, "sluice")
	if printed, err := exec.CommandContext(ctx, "go", "build", "-o", path, sluicePackage).CombinedOutput(); err != nil {
		return "", fmt.Errorf("building sluice: %w\n%s", err, strings.TrimSpace(string(printed)))
	}
	return path, nil
}

// replica is one sluice, which is started again and again.
type replica struct {
	name, program, config string
	api, admin            string // base URLs

	up     atomic.Bool
	cmd    *exec.Cmd
	output *lastWords
	ended  chan struct{}
}

// newReplica writes the configuration of one; extra are further lines of it.
func newReplica(name, program, folder, upstream, ledger, extra string) (*replica, error) {
	listen, err := freeAddress()
	if err != nil {
		return nil, err
	}
	admin, err := freeAddress()
	if err != nil {
		return nil, err
	}
	r := &replica{
		name: name, program: program, config: filepath.Join(folder, name+".yaml"),
		api: "http://" + listen, admin: "http://" + admin, output: &lastWords{},
	}
	text := fmt.Sprintf(`listen: %q
admin: {listen: %q}
ledger: %q
spool_dir: %q
providers:
  - {name: mock, dialect: openai, base_url: %q}
models:
  - name: storm
    targets: [{provider: mock, model: storm}]
keys:
  - alias: storm
    sha256: %q
    limits: {streams: %d, tokens_per_minute: 1000000000, budgets: [{usd: 1000000, per: day, hard: true}]}
  - {alias: operator, sha256: %q, admin: true}
prices:
  overrides: [{model: storm, input: 1, output: 2}]
timeouts: {drain: 5s}
log: {level: warn, format: json}
%s`, listen, admin, ledger, filepath.Join(folder, name+"-spool"), upstream, digest(clientKey), largestStreams, digest(adminKey), extra)
	if err := os.WriteFile(r.config, []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("writing the configuration of sluice: %w", err)
	}
	return r, nil
}

func digest(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

// start starts the process, waits until it is ready, and tells how long that took. If it
// ends before, that is an errNotStarted.
func (r *replica) start(ctx context.Context) (time.Duration, error) {
	begun := time.Now()
	r.cmd = exec.Command(r.program, "--config", r.config)
	r.cmd.Stderr = r.output
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := r.cmd.Start(); err != nil {
		return 0, fmt.Errorf("starting %s: %w", r.name, err)
	}
	ended := make(chan struct{})
	r.ended = ended
	go func() {
		_ = r.cmd.Wait() // the exit code is read from the process state
		close(ended)
	}()
	if err := r.awaitReady(ctx); err != nil {
		return 0, err
	}
	r.up.Store(true)
	return time.Since(begun), nil
}

// errNotStarted says that a process ended before it was ready.
var errNotStarted = errors.New("it ended at its start")

func (r *replica) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for {
		if status, _, err := get(ctx, r.admin+"/readyz", ""); err == nil && status == http.StatusOK {
			return nil
		}
		select {
		case <-r.ended:
			return fmt.Errorf("%s: %w: %s", r.name, errNotStarted, r.output)
		default:
		}
		if !wait(ctx, 5*time.Millisecond) {
			return fmt.Errorf("%s does not become ready: %w: %s", r.name, ctx.Err(), r.output)
		}
	}
}

var errDied = errors.New("it had ended already")

// kill ends the process with SIGKILL, at whatever it is.
func (r *replica) kill() error {
	r.up.Store(false)
	select {
	case <-r.ended:
		return fmt.Errorf("killing %s: %w: %s", r.name, errDied, r.output)
	default:
	}
	_ = r.cmd.Process.Kill()
	<-r.ended
	return nil
}

// terminate ends the process in good order.
func (r *replica) terminate() error {
	r.up.Store(false)
	_ = r.cmd.Process.Signal(syscall.SIGTERM)
	timer := time.NewTimer(startLimit)
	defer timer.Stop()
	select {
	case <-r.ended:
	case <-timer.C:
		return fmt.Errorf("%s does not end: %s", r.name, r.output)
	}
	if code := r.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("%s ended with exit code %d: %s", r.name, code, r.output)
	}
	r.output.mu.Lock()
	defer r.output.mu.Unlock()
	if r.output.trouble != "" {
		return fmt.Errorf("%s printed %q: %s", r.name, r.output.trouble, r.output.text)
	}
	return nil
}

// discard ends whatever is left of the process.
func (r *replica) discard() {
	if r.cmd != nil && r.ended != nil {
		_ = r.cmd.Process.Kill()
		<-r.ended
	}
}

// lastWords keeps the end of what a process prints, and whether it was in trouble.
type lastWords struct {
	mu      sync.Mutex
	text    []byte
	trouble string
}

// Write keeps the last bytes of text.
func (w *lastWords) Write(text []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, trouble := range []string{"DATA RACE", "panic:", "[running]:"} {
		if w.trouble == "" && bytes.Contains(text, []byte(trouble)) {
			w.trouble = trouble
		}
	}
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

// nextPort is below the ports that systems give to outgoing connections: one of those
// could take the address of a sluice that is about to start again.
var nextPort atomic.Int32

func init() { nextPort.Store(17000 + int32(os.Getpid()%4000)) }

// freeAddress returns an address of loopback on which nothing listens, each once.
func freeAddress() (string, error) {
	for range 1000 {
		address := fmt.Sprintf("127.0.0.1:%d", nextPort.Add(1))
		if listener, err := net.Listen("tcp", address); err == nil {
			return address, listener.Close()
		}
	}
	return "", errors.New("all ports are in use")
}
