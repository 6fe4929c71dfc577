package upstream

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// socketpair returns the two ends of a connection that no poller knows.
func socketpair(t testing.TB) (near, far int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = unix.Close(fds[0])
		_ = unix.Close(fds[1])
	})
	return fds[0], fds[1]
}

func TestEachSplitAnywhereIsTheSame(t *testing.T) {
	check := func(t *testing.T, wire, want string, ownEnd bool, pieces ...string) {
		t.Helper()
		near, far := socketpair(t)
		var r Reader
		var h Head
		feed(t, &r, &h, []string{wire[:headSize(wire)]}, nil)
		r.conn = &Conn{}
		var got []byte
		p := &pump{r: &r, more: true, f: func(b []byte, err error) bool {
			require.NoError(t, err)
			got = append(got, b...)
			return true
		}}
		ended := p.r.done
		for _, piece := range pieces {
			if piece == "" || ended {
				continue
			}
			_, err := unix.Write(far, []byte(piece))
			require.NoError(t, err)
			ended = p.ready(uintptr(near))
			require.True(t, ended || r.block == nil, "a buffer is held while waiting")
		}
		require.Equal(t, ownEnd, ended)
		require.NoError(t, p.err)
		require.Equal(t, want, string(got))
		require.False(t, !ended && p.ready(uintptr(near)), "nothing has arrived")
		require.NoError(t, unix.Shutdown(far, unix.SHUT_RDWR))
		if !ended {
			require.True(t, p.ready(uintptr(near)))
			require.Equal(t, io.EOF, p.err)
		}
		require.Equal(t, ownEnd, r.Reusable())
	}
	for _, tt := range responses {
		t.Run(tt.name, func(t *testing.T) {
			body := tt.wire[headSize(tt.wire):]
			for cut := range len(body) + 1 {
				check(t, tt.wire, tt.body, tt.ownEnd, body[:cut], body[cut:])
			}
			check(t, tt.wire, tt.body, tt.ownEnd, strings.Split(body, "")...)
		})
	}
}

func TestEachAllocatesNothingForAPiece(t *testing.T) {
	near, far := socketpair(t)
	var r Reader
	var h Head
	feed(t, &r, &h, []string{chunkedHead}, nil)
	r.conn = &Conn{}
	pieces := 0
	p := &pump{r: &r, more: true, f: func([]byte, error) bool { pieces++; return true }}
	event := []byte(eventChunk)
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		if _, err := unix.Write(far, event); err != nil || p.ready(uintptr(near)) {
			panic("not read")
		}
	}))
	require.Equal(t, 1001, pieces)
}

// cork holds back what is written to c until it is closed, so that the last bytes and
// the FIN travel together and are announced as one.
func cork(t testing.TB, c *net.TCPConn) {
	t.Helper()
	raw, err := c.SyscallConn()
	require.NoError(t, err)
	var failure error
	require.NoError(t, raw.Control(func(fd uintptr) {
		failure = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_CORK, 1)
	}))
	require.NoError(t, failure)
}

func TestEndThatComesWithTheLastBytesIsSeen(t *testing.T) {
	for _, tt := range responses {
		head, body := tt.wire[:headSize(tt.wire)], tt.wire[headSize(tt.wire):]
		first := "" // what makes the reader busy
		switch {
		case strings.HasSuffix(head, "chunked\r\n\r\n"):
			first = chunked("x")
		case !tt.ownEnd:
			first = "x"
		}
		check := func(t *testing.T, first string) {
			for cut := range len(body) + 1 {
				got, err := readMergedEnd(t, head, first, body[:cut])
				if first != "" {
					require.True(t, strings.HasPrefix(got, "x"))
					got = got[1:]
				}
				switch {
				case !tt.ownEnd:
					require.Equal(t, io.EOF, err)
					require.Equal(t, body[:cut], got)
				case cut < len(body):
					require.Equal(t, ErrTruncated, err, "cut at %d", cut)
					require.True(t, strings.HasPrefix(tt.body, got))
				default:
					require.Equal(t, io.EOF, err)
					require.Equal(t, tt.body, got)
				}
			}
		}
		t.Run(tt.name+" while waiting", func(t *testing.T) { check(t, "") })
		if first != "" {
			t.Run(tt.name+" while busy", func(t *testing.T) { check(t, first) })
		}
	}
}

// readMergedEnd reads an answer whose last bytes come together with the end of the
// connection: while the reader waits, or while it is busy with the first bytes.
func readMergedEnd(t *testing.T, head, first, last string) (string, error) {
	t.Helper()
	c, up := byEachWatched.pair(t)
	defer c.Close()
	send(t, up, head+first)
	var r Reader
	var h Head
	r.Reset(c)
	require.NoError(t, r.ReadHead(&h, "POST"))
	var got []byte
	busy := make(chan struct{})
	ended := make(chan struct{})
	read := startRead(func() (failure error) {
		r.Each(func(b []byte, err error) bool {
			if len(got) == 0 && first != "" {
				close(busy)
				<-ended
			}
			got = append(got, b...)
			failure = err
			return err == nil
		})
		return failure
	})
	if first != "" {
		<-busy
	}
	cork(t, up)
	_, _ = io.WriteString(up, last)
	_ = up.Close()
	close(ended)
	err := await(t, read)
	return string(got), err
}

func TestEndOfTheConnectionInterruptsNobody(t *testing.T) {
	w := byEachWatched
	r, c, up := w.answered(t)
	send(t, up, chunked("one"))
	r.Each(func(b []byte, err error) bool {
		send(t, up, chunked("two"))
		require.NoError(t, up.CloseWrite())
		require.Eventually(t, c.wakeUnseen, patience, time.Millisecond)
		return false
	})
	content, err := whole(r)
	require.Equal(t, ErrTruncated, err, "and not the wake-up that the reader no longer needed")
	require.Equal(t, "two", string(content))
}

func (c *Conn) wakeUnseen() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.woken
}

// openSocket tells whether a descriptor is still the socket it was.
func openSocket(t testing.TB, c *Conn) (still func() bool) {
	t.Helper()
	var path string
	require.NoError(t, c.raw.Control(func(fd uintptr) { path = fmt.Sprintf("/proc/self/fd/%d", fd) }))
	was, err := os.Readlink(path)
	require.NoError(t, err)
	return func() bool {
		is, err := os.Readlink(path)
		return err == nil && is == was
	}
}

// returns requires that f does not wait for anything.
func returns(t testing.TB, f func()) {
	t.Helper()
	require.NoError(t, await(t, startRead(func() error { f(); return nil })))
}

func TestCloseWaitsForNobodyInsideEach(t *testing.T) {
	for name, leave := range map[string]func(chan struct{}) bool{
		"reads on":  func(chan struct{}) bool { return true },
		"stops":     func(chan struct{}) bool { return false },
		"panics":    func(chan struct{}) bool { panic("a fault of the function") },
		"ends late": func(closed chan struct{}) bool { <-closed; return true },
	} {
		t.Run(name, func(t *testing.T) {
			r, c, up := byEachWatched.answered(t)
			open := openSocket(t, c)
			send(t, up, chunked("one"))
			inside, leaving, closed := make(chan struct{}), make(chan struct{}), make(chan struct{})
			var failure error
			done := make(chan struct{})
			go func() {
				defer close(done)
				defer func() { _ = recover() }()
				r.Each(func(_ []byte, err error) bool {
					failure = err
					if err != nil {
						return false
					}
					close(inside)
					<-leaving // as if the client did not read
					return leave(closed)
				})
			}()
			<-inside
			returns(t, c.Close)
			returns(t, c.Close)
			drained(t, up) // the upstream sees it while the function runs
			require.True(t, open(), "the descriptor must not go to somebody else")
			_, err := c.Write([]byte("x"))
			requireCode(t, CodeClosed, err)
			close(leaving)
			close(closed)
			<-done
			if name == "reads on" || name == "ends late" {
				requireCode(t, CodeClosed, failure)
			}
			require.False(t, open(), "the descriptor is left behind")
			require.False(t, r.AtEnd())
			require.False(t, r.Reusable())
		})
	}
}

func TestClosedConnectionIsForgotten(t *testing.T) {
	p := serve(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	pool := openPool(t, byEachWatched.options(t, Options{BaseURL: p.url()}))
	freed := make(chan struct{})
	func() {
		c, err := pool.Dial(context.Background())
		require.NoError(t, err)
		runtime.AddCleanup(c, func(freed chan struct{}) { close(freed) }, freed)
		c.Close()
	}()
	require.Eventually(t, func() bool {
		runtime.GC()
		select {
		case <-freed:
			return true
		default:
			return false
		}
	}, patience, time.Millisecond)
}

func TestFunctionOfEachMayCloseTheConnection(t *testing.T) {
	r, c, up := byEachWatched.answered(t)
	open := openSocket(t, c)
	send(t, up, chunked("one"))
	var failure error
	r.Each(func(_ []byte, err error) bool {
		c.Close()
		failure = err
		return err == nil
	})
	requireCode(t, CodeClosed, failure)
	require.False(t, open())
	drained(t, up)
}

func TestCloseIsNotTheEndOfABodyThatLastsUntilClose(t *testing.T) {
	for name, inside := range map[string]bool{"while waiting": false, "while busy": true} {
		t.Run(name, func(t *testing.T) {
			c, up := byEachWatched.pair(t)
			send(t, up, okHead+"\r\n")
			var r Reader
			var h Head
			r.Reset(c)
			require.NoError(t, r.ReadHead(&h, "POST"))
			content := byEachWatched.body(t, &r)
			if inside {
				send(t, up, "some")
				_, err := content.ReadBody()
				require.NoError(t, err)
				c.Close()
				_, err = content.ReadBody()
				requireCode(t, CodeClosed, err)
			} else {
				read := startRead(nextPiece(content))
				c.Close()
				requireCode(t, CodeClosed, await(t, read))
			}
			require.False(t, r.AtEnd())
		})
	}
}

// An upstream that cannot send because nobody reads must learn of the close at once,
// although a FIN does not unblock its write.
func TestCloseInsideEachUnblocksAnUpstreamThatSends(t *testing.T) {
	r, c, up := byEachWatched.answered(t)
	wrote := make(chan error, 1)
	go func() {
		for {
			if _, err := io.WriteString(up, eventChunk); err != nil {
				wrote <- err
				return
			}
		}
	}()
	r.Each(func([]byte, error) bool {
		unread := 0
		require.Eventually(t, func() bool {
			before := unread
			unread = c.unreadBytes(t)
			return unread > 0 && unread == before // the upstream has come to a halt
		}, patience, 20*time.Millisecond)
		c.Close()
		require.Error(t, await(t, wrote))
		return false
	})
}

func (c *Conn) unreadBytes(t testing.TB) (n int) {
	t.Helper()
	var failure error
	require.NoError(t, c.raw.Control(func(fd uintptr) { n, failure = unix.IoctlGetInt(int(fd), unix.TIOCINQ) }))
	require.NoError(t, failure)
	return n
}

func TestCloseInsideEachCutsTheRequest(t *testing.T) {
	r, c, up := byEachWatched.answered(t)
	wrote := make(chan error, 1)
	body := make([]byte, 64<<20)
	go func() {
		_, err := c.Write(body)
		wrote <- err
	}()
	_, err := io.ReadFull(up, make([]byte, 1<<20)) // the write is under way
	require.NoError(t, err)
	send(t, up, chunked("one"))
	r.Each(func([]byte, error) bool {
		c.Close()
		requireCode(t, CodeClosed, await(t, wrote))
		n, err := io.Copy(io.Discard, up)
		require.Error(t, err, "the upstream took %d bytes for a whole request", n)
		return false
	})
}

// TestCloseAndInterruptsAtAnyMoment lets everything happen to a reader at once: every
// Each ends, whatever it was doing, and no descriptor is left.
func TestCloseAndInterruptsAtAnyMoment(t *testing.T) {
	piece := chunked("data: x\n\n")
	p := serve(t, func(c net.Conn) {
		_, _ = io.WriteString(c, chunkedHead)
		random := rand.New(rand.NewPCG(3, 4))
		for range random.IntN(200) {
			if _, err := io.WriteString(c, strings.Repeat(piece, 1+random.IntN(3))); err != nil {
				return
			}
		}
		if random.IntN(2) == 0 {
			_ = c.(*net.TCPConn).SetLinger(0)
		}
	})
	pool := openPool(t, byEachWatched.options(t, Options{BaseURL: p.url()}))
	random := rand.New(rand.NewPCG(5, 6))
	for range 300 {
		c, err := pool.Dial(context.Background())
		if err != nil {
			continue // it was reset before it was ours
		}
		open := openSocket(t, c)
		var r Reader
		var h Head
		r.Reset(c)
		if r.ReadHead(&h, "POST") != nil {
			c.Close()
			continue
		}
		var others sync.WaitGroup
		others.Go(func() {
			for range 20 {
				c.Interrupt()
			}
		})
		after := time.Duration(random.IntN(2000)) * time.Microsecond
		closing := time.AfterFunc(after, c.Close)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			r.Each(func(b []byte, err error) bool { return true })
		}()
		select {
		case <-ended:
		case <-time.After(patience):
			require.Fail(t, "Each did not end")
		}
		others.Wait()
		if closing.Stop() {
			c.Close()
		}
		require.Eventually(t, func() bool { return !open() }, patience, time.Millisecond)
	}
}

func TestCloseAtAnyMomentIsNotTheEndOfTheBody(t *testing.T) {
	p := serve(t, func(c net.Conn) {
		_, _ = io.WriteString(c, okHead+"\r\n")
		for {
			if _, err := io.WriteString(c, "x"); err != nil {
				return
			}
		}
	})
	pool := openPool(t, byEachWatched.options(t, Options{BaseURL: p.url()}))
	random := rand.New(rand.NewPCG(7, 8))
	for range 300 {
		c := dial(t, pool)
		var r Reader
		var h Head
		r.Reset(c)
		require.NoError(t, r.ReadHead(&h, "POST"))
		closing := time.AfterFunc(time.Duration(random.IntN(1000))*time.Microsecond, c.Close)
		var failure error
		r.Each(func(_ []byte, err error) bool {
			failure = err
			return err == nil
		})
		closing.Stop()
		requireCode(t, CodeClosed, failure)
		require.False(t, r.AtEnd())
	}
}
