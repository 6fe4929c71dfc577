//go:build e2e && linux

package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// launchAs starts a program in front of an upstream, by way of a shell command that has
// "$@" for the program and its arguments.
func launchAs(tb testing.TB, program, shell string, with settings, env ...string) *sluice {
	tb.Helper()
	with.listen = freeAddress(tb)
	admin := freeAddress(tb)
	file := writeConfig(tb, with, admin)
	return launch(tb, launching{
		program: "/bin/sh", args: []string{"-c", shell, "sh", program, "--config", file},
		env: append(append(os.Environ(), "UPSTREAM_KEY="+upstreamKey), env...),
		api: "http://" + with.listen, admin: "http://" + admin,
	})
}

// cage is a control group with a limit of memory.
type cage struct{ folder string }

// newCage makes one if this process may, which takes root and a hierarchy that can be
// written.
func newCage(tb testing.TB, limit int) (cage, error) {
	tb.Helper()
	name := fmt.Sprintf("sluice-e2e-%d", os.Getpid())
	for _, place := range []struct{ root, limit string }{
		{"/sys/fs/cgroup/memory", "memory.limit_in_bytes"},
		{"/sys/fs/cgroup", "memory.max"},
	} {
		folder := filepath.Join(place.root, name)
		if os.Mkdir(folder, 0o755) != nil {
			continue
		}
		if os.WriteFile(filepath.Join(folder, place.limit), []byte(strconv.Itoa(limit)), 0o600) == nil {
			tb.Cleanup(func() { _ = os.Remove(folder) })
			return cage{folder}, nil
		}
		_ = os.Remove(folder)
	}
	return cage{}, errors.New("no control group can be made here")
}

// shell puts the process into the control group before it becomes sluice.
func (c cage) shell() string {
	if c.folder == "" {
		return `exec "$@"`
	}
	return `echo $$ >` + filepath.Join(c.folder, "cgroup.procs") + ` && exec "$@"`
}

// peakMemory is the most that the process has had in memory, in bytes.
func (s *sluice) peakMemory() int {
	s.tb.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	require.NoError(s.tb, err)
	for _, line := range strings.Split(string(status), "\n") {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "VmHWM:" {
			kib, err := strconv.Atoi(fields[1])
			require.NoError(s.tb, err)
			return kib << 10
		}
	}
	require.Fail(s.tb, "no VmHWM")
	return 0
}

// largeBody is a question of about 31 MiB, which is as large as sluice takes them.
func largeBody() []byte {
	head := `{"model":"fast","stream":false,"messages":[{"role":"user","content":"`
	return append(bytes.Join([][]byte{[]byte(head), bytes.Repeat([]byte("many words "), 31<<20/11)}, nil), `"}]}`...)
}

// answered is what a client got.
type answered struct {
	status int
	body   string
	header http.Header
	err    error
}

func (s *sluice) postBody(body []byte) answered {
	request, err := http.NewRequest(http.MethodPost, s.api+"/v1/chat/completions", bytes.NewReader(body))
	if err != nil {
		return answered{err: err}
	}
	request.Header.Set("Authorization", "Bearer "+clientKey)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Expect", "100-continue")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, ExpectContinueTimeout: clientPatience}, Timeout: 2 * clientPatience}
	response, err := client.Do(request)
	if err != nil {
		return answered{err: err}
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	return answered{response.StatusCode, string(text), response.Header, err}
}

// With 256 MiB, a flood of large requests is served as far as there is room and refused
// beyond it, and the process neither grows nor dies.
// row D7
func TestFloodOfLargeBodiesIsBounded(t *testing.T) {
	t.Parallel()
	const limit = 256 << 20
	goOn := make(chan struct{})
	upstream := fakeprovider.New(t)
	upstream.Handle(func(e *fakeprovider.Exchange) {
		if len(e.Request.Body) > 1<<20 {
			select {
			case <-goOn:
			case <-e.Gone():
				return
			}
		}
		fakeprovider.DefaultScript(e)
	})
	group, err := newCage(t, limit)
	if err != nil {
		t.Logf("%v: the memory of the process is only looked at", err)
	}
	s := launchAs(t, plainBinary(t), group.shell(), settings{upstream: upstream.URL()}, "GOMEMLIMIT="+strconv.Itoa(limit*9/10))

	body := largeBody()
	const clients = 24
	answers := make(chan answered, clients)
	var all sync.WaitGroup
	for range clients {
		all.Go(func() { answers <- s.postBody(body) })
	}
	refused := 0
	for len(upstream.Exchanges())+refused < clients {
		select {
		case a := <-answers:
			require.NoError(t, a.err)
			require.Equal(t, http.StatusServiceUnavailable, a.status, a.body)
			require.Contains(t, a.body, `"overloaded"`)
			require.NotEmpty(t, a.header.Get("Retry-After"))
			refused++
		case <-time.After(pollEvery):
			require.False(t, s.hasExited(), "%s", &s.output)
		}
	}
	admitted := clients - refused
	t.Logf("%d of %d admitted, at most %d MiB", admitted, clients, s.peakMemory()>>20)
	require.Positive(t, admitted)
	require.Positive(t, refused)

	// What is small still has room.
	small := s.postBody([]byte(`{"model":"fast","messages":[{"role":"user","content":"Hello"}]}`))
	require.NoError(t, small.err)
	require.Equal(t, http.StatusOK, small.status, small.body)

	close(goOn)
	for range admitted {
		a := <-answers
		require.NoError(t, a.err)
		require.Equal(t, http.StatusOK, a.status, a.body)
	}
	all.Wait()
	again := s.postBody(body)
	require.NoError(t, again.err)
	require.Equal(t, http.StatusOK, again.status, "there is room again: %s", again.body)
	require.False(t, s.hasExited())
	require.Less(t, s.peakMemory(), limit)
}

// With 64 descriptors a flood of connections takes all of them. When it is over sluice
// serves again, and what ran meanwhile has gone on.
// row D6
func TestServesAgainAfterDescriptorsRanOut(t *testing.T) {
	t.Parallel()
	goOn := make(chan struct{})
	upstream := fakeprovider.New(t)
	upstream.Handle(held(goOn))
	s := launchAs(t, sluiceBinary, `ulimit -n 64 && exec "$@"`, settings{upstream: upstream.URL()})
	running := s.ask("held-before", true)

	var flood []net.Conn
	for range 200 {
		conn, err := net.DialTimeout("tcp", strings.TrimPrefix(s.api, "http://"), time.Second)
		if err != nil {
			break // the backlog is full too
		}
		flood = append(flood, conn)
	}
	t.Cleanup(func() {
		for _, conn := range flood {
			_ = conn.Close()
		}
	})
	require.Greater(t, len(flood), 64)
	require.Eventually(t, func() bool { return s.descriptors() >= 60 }, patience, pollEvery, "there are descriptors left")

	for _, conn := range flood {
		_ = conn.Close()
	}
	require.Eventually(t, func() bool {
		return s.askOnce(&http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}, "after") == ""
	}, patience, pollEvery, "sluice does not serve again")
	close(goOn)
	running.requireWhole(t)
	require.False(t, s.hasExited())
}

// descriptors counts those of the process.
func (s *sluice) descriptors() int {
	s.tb.Helper()
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.cmd.Process.Pid))
	require.NoError(s.tb, err)
	return len(open)
}
