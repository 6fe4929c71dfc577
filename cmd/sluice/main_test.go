package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// fasthttp's clock never ends.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
	)
}

// result is what a command left behind.
type result struct {
	code           int
	stdout, stderr string
}

// command runs the program in an empty folder until it ends.
type command struct {
	args  []string
	stdin string
	env   map[string]string
}

func (c command) run(ctx context.Context) result {
	var stdout, stderr bytes.Buffer
	code := run(ctx, c.args, strings.NewReader(c.stdin), &stdout, &stderr, c.getenv)
	return result{code, stdout.String(), stderr.String()}
}

func (c command) getenv(name string) (string, bool) {
	value, ok := c.env[name]
	return value, ok
}

func execute(t *testing.T, args ...string) result {
	t.Helper()
	t.Chdir(t.TempDir())
	return command{args: args}.run(t.Context())
}

func write(t *testing.T, name, content string) string {
	t.Helper()
	if !filepath.IsAbs(name) {
		name = filepath.Join(t.TempDir(), name)
	}
	require.NoError(t, os.WriteFile(name, []byte(content), 0o600))
	return name
}

// running is a command that goes on until it is stopped.
type running struct {
	stop   context.CancelFunc
	ended  chan result
	output *output
}

func start(t *testing.T, c command) *running {
	t.Helper()
	t.Chdir(t.TempDir())
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{stop: cancel, ended: make(chan result, 1), output: &output{}}
	go func() {
		var stderr bytes.Buffer
		code := run(ctx, c.args, strings.NewReader(c.stdin), r.output, &stderr, c.getenv)
		r.ended <- result{code, r.output.String(), stderr.String()}
	}()
	t.Cleanup(cancel)
	return r
}

// output collects what a running command writes.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

var _ io.Writer = (*output)(nil)

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
