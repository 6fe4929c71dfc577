package downstream

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"
	"golang.org/x/sys/unix"
)

// fewDescriptors tells the test binary to be a server with so many of them.
const fewDescriptors = "SLUICE_TEST_DESCRIPTORS"

// TestServerWithFewDescriptors is the child of the test below it: it serves until its
// standard input ends.
func TestServerWithFewDescriptors(t *testing.T) {
	if os.Getenv(fewDescriptors) == "" {
		t.Skip("it is run by another test")
	}
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 64, Max: 64}))
	require.Equal(t, 64, maxDescriptors())
	ln, err := Listen("127.0.0.1:0")
	require.NoError(t, err)
	s, err := NewServer(Config{}, &fasthttp.Server{
		Handler:      func(rc *fasthttp.RequestCtx) { rc.SetBodyString("here") },
		ErrorHandler: explain,
	})
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	_, err = fmt.Fprintln(os.Stdout, "address", ln.Addr().String())
	require.NoError(t, err)
	_, _ = io.Copy(io.Discard, os.Stdin)
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	require.NoError(t, s.Close(ctx))
	require.NoError(t, <-served)
}

// row D6
func TestServerThatRanOutOfDescriptorsServesAgain(t *testing.T) {
	child := exec.Command(os.Args[0], "-test.run=^TestServerWithFewDescriptors$")
	child.Env = append(os.Environ(), fewDescriptors+"=64")
	child.Stderr = io.Discard // it warns of each failure
	stdin, err := child.StdinPipe()
	require.NoError(t, err)
	stdout, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	t.Cleanup(func() {
		_ = stdin.Close()
		_, _ = io.Copy(io.Discard, stdout)
		require.NoError(t, child.Wait())
	})
	var addr string
	_, err = fmt.Fscanf(bufio.NewReader(stdout), "address %s", &addr)
	require.NoError(t, err)

	// More connections than descriptors: the kernel takes them all, the server only
	// some.
	const many = 100
	var served, waiting []*client
	for range many {
		conn, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		c := newClient(t, conn)
		c.send(get("/x"))
		require.NoError(t, c.SetReadDeadline(time.Now().Add(300*time.Millisecond)))
		if len(waiting) > 0 {
			waiting = append(waiting, c) // those behind one that waits do so too
			continue
		}
		if _, err := c.in.Peek(1); err != nil {
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			waiting = append(waiting, c)
			continue
		}
		require.NoError(t, c.SetReadDeadline(time.Now().Add(wait)))
		_, body := c.receive()
		require.Equal(t, "here", body)
		served = append(served, c)
	}
	require.NotEmpty(t, waiting, "it has no more than 64")
	require.NotEmpty(t, served)
	for _, c := range served { // those that were let in are served while others wait
		c.send(get("/x"))
		_, body := c.receive()
		require.Equal(t, "here", body)
	}
	for len(waiting) > 0 {
		for _, c := range served {
			require.NoError(t, c.Close())
		}
		served = waiting[:min(len(waiting), len(served))]
		waiting = waiting[len(served):]
		for _, c := range served {
			require.NoError(t, c.SetReadDeadline(time.Now().Add(wait)))
			_, body := c.receive()
			require.Equal(t, "here", body)
		}
	}
}
