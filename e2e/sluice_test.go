//go:build e2e

package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patience bounds every wait. It is generous on purpose: a wait that reaches it is a
// failure, not a slow machine.
const patience = 20 * time.Second

// pollEvery is how often a condition is looked at that nothing announces.
const pollEvery = 20 * time.Millisecond

// Credentials and the prompt of every test. None of them may turn up in what sluice
// prints.
const (
	clientKey    = "sk-sluice-client-canary"
	neighbourKey = "sk-sluice-neighbour-canary"
	adminKey     = "sk-sluice-admin-canary"
	upstreamKey  = "sk-upstream-canary"
	awsSecret    = "aws-secret-canary"
	awsSession   = "aws-session-canary"
	prompt       = "What is the weather in Oslo?"
)

// sluice is one running sluice process.
type sluice struct {
	tb     testing.TB
	api    string // base URL of the API listener, without a path
	admin  string // base URL of the admin listener
	model  string // what clients ask for
	caFile string // authority of the API listener's certificate, if it has one

	cmd    *exec.Cmd
	output transcript
	exited chan struct{} // closed once the process has ended
}

// settings are the parts of a configuration in which tests differ.
type settings struct {
	upstream  string // base URL of the provider
	listen    string // default: a free port of 127.0.0.1
	providers string // YAML of providers and models; default: one, which speaks like OpenAI
	keys      string // YAML of further keys
	extra     string // further YAML
	env       []string
}

// start runs sluice in front of an upstream and waits until it is ready. It ends with
// the test.
func start(tb testing.TB, upstream string) *sluice {
	return startWith(tb, settings{upstream: upstream})
}

func startWith(tb testing.TB, with settings) *sluice {
	tb.Helper()
	if with.listen == "" {
		with.listen = freeAddress(tb)
	}
	admin := freeAddress(tb)
	file := writeConfig(tb, with, admin)
	return launch(tb, launching{
		args: []string{"--config", file}, env: append(os.Environ(), append(with.env, "UPSTREAM_KEY="+upstreamKey)...),
		api: "http://" + with.listen, admin: "http://" + admin,
	})
}

func writeConfig(tb testing.TB, with settings, admin string) string {
	tb.Helper()
	if with.providers == "" {
		with.providers = fmt.Sprintf(`providers:
  - {name: fake, dialect: openai, base_url: %q, api_key: "${UPSTREAM_KEY}", continuous_usage: false}
models:
  - name: fast
    targets: [{provider: fake, model: fake-model}]
`, with.upstream)
	}
	text := fmt.Sprintf(`listen: %q
admin: {listen: %q}
%skeys:
  - {alias: app, sha256: %q}
  - {alias: neighbour, sha256: %q}
  - {alias: operator, sha256: %q, admin: true}
%slog: {level: debug, format: json}
%s
`, with.listen, admin, with.providers, digest(clientKey), digest(neighbourKey), digest(adminKey), with.keys, with.extra)
	file := filepath.Join(tb.TempDir(), "config.yaml")
	require.NoError(tb, os.WriteFile(file, []byte(text), 0o600))
	return file
}

func digest(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

// launching says how to run the binary and where it will be found.
type launching struct {
	program    string // default: sluice as it is
	args       []string
	folder     string   // working folder; default: an empty one
	env        []string // default: the test's, with the upstream's key
	api, admin string
}

func launch(tb testing.TB, l launching) *sluice {
	tb.Helper()
	s := &sluice{tb: tb, api: l.api, admin: l.admin, model: "fast", exited: make(chan struct{})}
	if l.program == "" {
		l.program = sluiceBinary
	}
	s.cmd = exec.Command(l.program, l.args...)
	s.cmd.Dir, s.cmd.Env = l.folder, l.env
	if l.folder == "" {
		s.cmd.Dir = tb.TempDir()
	}
	if l.env == nil {
		s.cmd.Env = append(os.Environ(), "UPSTREAM_KEY="+upstreamKey)
	}
	s.cmd.Env = append(s.cmd.Env, "STATE_DIRECTORY="+tb.TempDir()) // nobody's own books
	s.cmd.Stdout, s.cmd.Stderr = &s.output, &s.output
	require.NoError(tb, s.cmd.Start())
	go func() {
		_ = s.cmd.Wait() // the exit code is read from the process state
		close(s.exited)
	}()
	tb.Cleanup(s.end)
	s.awaitReady()
	return s
}

func (s *sluice) awaitReady() {
	s.tb.Helper()
	require.Eventually(s.tb, func() bool {
		if s.hasExited() {
			return true
		}
		response, err := http.Get(s.admin + "/readyz")
		if err != nil {
			return false
		}
		_ = response.Body.Close()
		return response.StatusCode == http.StatusOK
	}, patience, pollEvery, "sluice did not become ready")
	require.False(s.tb, s.hasExited(), "sluice has ended:\n%s", &s.output)
}

func (s *sluice) hasExited() bool {
	select {
	case <-s.exited:
		return true
	default:
		return false
	}
}

func (s *sluice) terminate() {
	s.tb.Helper()
	require.NoError(s.tb, s.cmd.Process.Signal(syscall.SIGTERM))
}

// awaitExit waits for the process and returns its exit code.
func (s *sluice) awaitExit() int {
	s.tb.Helper()
	select {
	case <-s.exited:
	case <-time.After(patience):
		require.Fail(s.tb, "sluice did not end", "%s", &s.output)
	}
	return s.cmd.ProcessState.ExitCode()
}

// end stops the process if it still runs and looks through everything it has printed.
func (s *sluice) end() {
	if !s.hasExited() {
		_ = s.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-s.exited:
			if code := s.cmd.ProcessState.ExitCode(); code != 0 {
				s.tb.Errorf("sluice ended with exit code %d", code)
			}
		case <-time.After(patience):
			s.tb.Error("sluice did not end after SIGTERM")
			_ = s.cmd.Process.Kill()
			<-s.exited
		}
	}
	printed := s.output.String()
	for _, secret := range []string{clientKey, neighbourKey, adminKey, upstreamKey, awsSecret, awsSession, prompt} {
		if bytes.Contains([]byte(printed), []byte(secret)) {
			s.tb.Errorf("sluice printed %q", secret)
		}
	}
	for _, trouble := range []string{"DATA RACE", "panic:", "[running]:"} {
		if bytes.Contains([]byte(printed), []byte(trouble)) {
			s.tb.Errorf("sluice printed %q", trouble)
		}
	}
	if s.tb.Failed() {
		s.tb.Logf("sluice printed:\n%s", printed)
	}
}

// nextPort is where freeAddress looks next: below the ports that systems give to
// outgoing connections, one of which could take an address before sluice does.
var nextPort atomic.Int32

func init() { nextPort.Store(12000 + int32(os.Getpid()%4000)) }

// freeAddress returns an address of 127.0.0.1 on which nothing listens. No two calls
// return the same.
func freeAddress(tb testing.TB) string {
	tb.Helper()
	for range 1000 {
		address := fmt.Sprintf("127.0.0.1:%d", nextPort.Add(1))
		if ln, err := net.Listen("tcp", address); err == nil {
			require.NoError(tb, ln.Close())
			return address
		}
	}
	require.Fail(tb, "all ports are in use")
	return ""
}

// transcript collects what a process prints.
type transcript struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (t *transcript) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf.Write(p)
}

func (t *transcript) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf.String()
}
