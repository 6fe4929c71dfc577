//go:build unix

package replicas

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/internal/servers"
)

func TestAKilledReplicaIsNoLongerWaitedFor(t *testing.T) {
	t.Parallel()
	server := servers.StartRedis(t)
	b := open(t, server.Address, Options{})
	c := startChild(t, server.Address)
	answers, complete := b.Ask(within(t, patience), "name", nil, nil)
	require.True(t, complete)
	require.Equal(t, []string{"child"}, texts(answers))

	c.stop(t) // it gets the question and does not answer
	done := make(chan bool)
	go func() {
		_, complete := b.Ask(within(t, 500*time.Millisecond), "name", nil, nil)
		done <- complete
	}()
	require.False(t, <-done)
	c.signal(t, syscall.SIGCONT)
	requireWorksAgain(t, b, 1)

	c.signal(t, syscall.SIGKILL)
	requireWorksAgain(t, b, 0)
}

// child is a replica in a process of its own.
type child struct{ cmd *exec.Cmd }

func startChild(tb testing.TB, address string) *child {
	tb.Helper()
	self, err := os.Executable()
	require.NoError(tb, err)
	c := &child{cmd: exec.Command(self)}
	c.cmd.Env = append(os.Environ(), replicaVariable+"="+address)
	c.cmd.Stderr = os.Stderr
	stdin, err := c.cmd.StdinPipe()
	require.NoError(tb, err)
	stdout, err := c.cmd.StdoutPipe()
	require.NoError(tb, err)
	require.NoError(tb, c.cmd.Start())
	tb.Cleanup(func() {
		_ = stdin.Close()
		_ = c.cmd.Process.Kill()
		_ = c.cmd.Wait() // it was killed
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(tb, err)
	require.Equal(tb, "ready\n", line)
	return c
}

func (c *child) signal(tb testing.TB, s syscall.Signal) {
	tb.Helper()
	require.NoError(tb, c.cmd.Process.Signal(s))
}

// stop stops the process where it stands, and waits until it does.
func (c *child) stop(tb testing.TB) {
	tb.Helper()
	c.signal(tb, syscall.SIGSTOP)
	var status syscall.WaitStatus
	for {
		_, err := syscall.Wait4(c.cmd.Process.Pid, &status, syscall.WUNTRACED, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		require.NoError(tb, err)
		require.True(tb, status.Stopped())
		return
	}
}
