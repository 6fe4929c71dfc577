//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// tool runs a program to its end and returns what it printed and its exit code. It
// may be called from any goroutine.
func tool(tb testing.TB, name string, args ...string) (string, int) {
	tb.Helper()
	return toolWith(tb, "", name, args...)
}

func toolWith(tb testing.TB, input, name string, args ...string) (string, int) {
	tb.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "UPSTREAM_KEY="+upstreamKey)
	cmd.Dir = tb.TempDir()
	cmd.Stdin = strings.NewReader(input)
	var out, complaint transcript
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		tb.Errorf("running %s: %v", name, err)
		return "", -1
	}
	return out.String() + complaint.String(), cmd.ProcessState.ExitCode()
}

// curl asks for a stream the way the README shows it; further options come first.
func curl(tb testing.TB, s *sluice, options ...string) (string, int) {
	tb.Helper()
	args := append([]string{"-sSN", "--noproxy", "*", "-m", "30"}, options...)
	return tool(tb, "curl", append(args, s.api+"/v1/chat/completions",
		"-H", "Authorization: Bearer "+clientKey, "-H", "Content-Type: application/json",
		"-d", `{"model":"`+s.model+`","stream":true,"messages":[{"role":"user","content":"`+prompt+`"}]}`)...)
}

// background runs a program until the test is over and returns what it prints.
func background(tb testing.TB, name string, args ...string) *transcript {
	tb.Helper()
	var printed transcript
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = &printed, &printed
	require.NoError(tb, cmd.Start())
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // it ends by a signal
		close(ended)
	}()
	tb.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		select {
		case <-ended:
		case <-time.After(patience):
			_ = cmd.Process.Kill()
			<-ended
		}
		if tb.Failed() {
			tb.Logf("%s printed:\n%s", name, &printed)
		}
	})
	return &printed
}
