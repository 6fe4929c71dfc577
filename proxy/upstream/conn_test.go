package upstream

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// links are the ways in which a connection reaches an upstream, each with the ways to
// read a body from it.
func links(t *testing.T, f func(t *testing.T, w way, pair func(testing.TB) (*Conn, net.Conn))) {
	ways(t, func(t *testing.T, w way) {
		t.Run("plain", func(t *testing.T) {
			f(t, w, func(t testing.TB) (*Conn, net.Conn) {
				c, up := w.pair(t)
				return c, up
			})
		})
		t.Run("tls", func(t *testing.T) { f(t, w, w.tlsPair) })
	})
}

// startRead reads in a goroutine of its own.
func startRead(read func() error) <-chan error {
	out := make(chan error, 1)
	go func() { out <- read() }()
	return out
}

// nextHead and nextPiece are what startRead may read.
func nextHead(r *Reader, h *Head) func() error {
	return func() error { return r.ReadHead(h, "POST") }
}

func nextPiece(s bodySource) func() error {
	return func() error {
		_, err := s.ReadBody()
		return err
	}
}

func await(t testing.TB, ch <-chan error) error {
	t.Helper()
	select {
	case err := <-ch:
		return err
	case <-time.After(patience):
		t.Fatal("still blocked")
		return nil
	}
}

func TestCloseUnblocksARead(t *testing.T) {
	links(t, func(t *testing.T, w way, pair func(testing.TB) (*Conn, net.Conn)) {
		for _, phase := range []string{"head", "body"} {
			t.Run(phase, func(t *testing.T) {
				c, up := pair(t)
				var r Reader
				var h Head
				r.Reset(c)
				waiting := nextHead(&r, &h)
				if phase == "body" {
					send(t, up, chunkedHead)
					require.NoError(t, r.ReadHead(&h, "POST"))
					waiting = nextPiece(w.body(t, &r))
				}
				read := startRead(waiting)
				c.Close()
				c.Close()
				requireCode(t, CodeClosed, await(t, read))
				require.False(t, r.Reusable())
				drained(t, up)
			})
		}
	})
}

func TestCloseUnblocksAWriteAndCutsTheRequest(t *testing.T) {
	links(t, func(t *testing.T, w way, pair func(testing.TB) (*Conn, net.Conn)) {
		c, up := pair(t)
		wrote := make(chan error, 1)
		body := make([]byte, 64<<20)
		go func() {
			_, err := c.Write(body)
			wrote <- err
		}()
		_, err := io.ReadFull(up, make([]byte, 1<<20)) // the write is under way
		require.NoError(t, err)
		c.Close()
		requireCode(t, CodeClosed, await(t, wrote))
		n, err := io.Copy(io.Discard, up)
		require.Error(t, err, "the upstream took %d bytes for a whole request", n)
	})
}

func TestInterruptWakesAReadOnce(t *testing.T) {
	links(t, func(t *testing.T, w way, pair func(testing.TB) (*Conn, net.Conn)) {
		c, up := pair(t)
		var r Reader
		var h Head
		r.Reset(c)
		read := startRead(nextHead(&r, &h))
		c.Interrupt()
		require.Equal(t, ErrInterrupted, await(t, read))

		c.Interrupt() // nobody reads: the next read returns at once
		c.Interrupt()
		require.Equal(t, ErrInterrupted, r.ReadHead(&h, "POST"))

		send(t, up, chunkedHead[:20])
		send(t, up, chunkedHead[20:])
		require.NoError(t, r.ReadHead(&h, "POST"))
		content := w.body(t, &r)
		read = startRead(nextPiece(content))
		c.Interrupt()
		require.Equal(t, ErrInterrupted, await(t, read))
		send(t, up, "2\r\nok\r\n0\r\n\r\n")
		body, err := rest(content)
		require.NoError(t, err)
		require.Equal(t, "ok", string(body))
		require.True(t, r.Reusable())
	})
}

func TestInterruptLosesNothing(t *testing.T) {
	links(t, func(t *testing.T, w way, pair func(testing.TB) (*Conn, net.Conn)) {
		c, up := pair(t)
		var want bytes.Buffer
		var wire strings.Builder
		wire.WriteString(chunkedHead)
		for i := range 3000 {
			part := "data: " + strconv.Itoa(i) + "\n\n"
			want.WriteString(part)
			wire.WriteString(chunked(part))
		}
		wire.WriteString("0\r\n\r\n")

		var workers sync.WaitGroup
		stop := make(chan struct{})
		workers.Go(func() {
			random := rand.New(rand.NewPCG(1, 2))
			b := []byte(wire.String())
			for len(b) > 0 {
				n := min(len(b), 1+random.IntN(200))
				if _, err := up.Write(b[:n]); err != nil {
					return
				}
				b = b[n:]
			}
		})
		workers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					c.Interrupt()
				}
			}
		})
		var r Reader
		var h Head
		r.Reset(c)
		err := ErrInterrupted
		for errors.Is(err, ErrInterrupted) {
			err = r.ReadHead(&h, "POST")
		}
		require.NoError(t, err)
		body, err := rest(w.body(t, &r))
		close(stop)
		workers.Wait()
		require.NoError(t, err)
		require.Equal(t, want.String(), string(body))
		require.True(t, r.Reusable())
	})
}

func TestResetIsNotAnEnd(t *testing.T) {
	for name, head := range map[string]string{
		"before the head": "",
		"in the head":     "HTTP/1.1 200 OK\r\n",
		"in chunks":       chunkedHead + "2\r\nok\r\n",
		"in a length":     okHead + "Content-Length: 5\r\n\r\nok",
		"until close":     okHead + "\r\nok",
	} {
		check := func(t *testing.T, w way) {
			c, up := w.pair(t)
			var r Reader
			var h Head
			r.Reset(c)
			send(t, up, head)
			if strings.Contains(head, "\r\n\r\n") {
				require.NoError(t, r.ReadHead(&h, "POST"))
				body := w.body(t, &r)
				b, err := body.ReadBody()
				require.NoError(t, err)
				require.Equal(t, "ok", string(b))
				require.NoError(t, up.SetLinger(0))
				require.NoError(t, up.Close())
				_, err = body.ReadBody()
				requireCode(t, CodeReset, err)
			} else {
				require.NoError(t, up.SetLinger(0))
				require.NoError(t, up.Close())
				requireCode(t, CodeReset, r.ReadHead(&h, "POST"))
			}
			require.False(t, r.AtEnd())
			require.False(t, r.Reusable())
		}
		t.Run(name, func(t *testing.T) { ways(t, check) })
	}
}

func TestUpstreamMayAnswerBeforeTheRequestIsRead(t *testing.T) {
	c, up := pair(t)
	wrote := make(chan error, 1)
	go func() {
		_, err := c.Write(make([]byte, 64<<20))
		wrote <- err
	}()
	send(t, up, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
	var r Reader
	var h Head
	r.Reset(c)
	body, err := readAll(&r, &h, "POST")
	require.NoError(t, err)
	require.Equal(t, 413, h.Status)
	require.Equal(t, "no", string(body))
	c.Close()
	require.Error(t, await(t, wrote))
}

func TestWriteToAGoneUpstreamFails(t *testing.T) {
	c, up := pair(t)
	require.NoError(t, up.SetLinger(0))
	require.NoError(t, up.Close())
	require.Eventually(t, func() bool {
		_, err := c.Write([]byte("x"))
		var failed *Error
		return errors.As(err, &failed) && failed.Code == CodeReset
	}, patience, time.Millisecond)
}

func TestErrorsShowNeitherAddressNorBytes(t *testing.T) {
	c, up := pair(t)
	send(t, up, "HTTP/1.1 200 OK\r\nX-Secret sk-12345: b\r\n\r\n")
	var r Reader
	var h Head
	r.Reset(c)
	err := r.ReadHead(&h, "POST")
	require.Error(t, err)
	shown := fmt.Sprintf("%v %+v", err, err)
	require.NotContains(t, shown, "sk-12345")
	require.NotContains(t, shown, "127.0.0.1")
}
