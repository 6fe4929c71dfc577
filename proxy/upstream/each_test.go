package upstream

import (
	"errors"
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

// answered returns a reader that has read the head of the upstream's answer.
func (w way) answered(t testing.TB) (*Reader, *Conn, *net.TCPConn) {
	t.Helper()
	c, up := w.pair(t)
	send(t, up, chunkedHead)
	r := new(Reader)
	r.Reset(c)
	var h Head
	require.NoError(t, r.ReadHead(&h, "POST"))
	return r, c, up
}

// eachWays runs a test with every way to read by Each.
func eachWays(t *testing.T, f func(t *testing.T, w way)) {
	for _, w := range []way{byEach, byEachWatched} {
		t.Run(w.name, func(t *testing.T) { f(t, w) })
	}
}

func TestEachEndsWithTheBodyOrWhenTold(t *testing.T) {
	eachWays(t, func(t *testing.T, w way) {
		r, _, up := w.answered(t)
		send(t, up, chunked("one"))
		calls := 0
		r.Each(func(b []byte, err error) bool {
			calls++
			require.NoError(t, err)
			require.Equal(t, "one", string(b))
			return false
		})
		require.Equal(t, 1, calls)
		mem, start := r.Frame()
		require.Equal(t, "one", string(mem[start:start+3]), "what was read last stays valid")

		send(t, up, chunked("two")+"0\r\n\r\n")
		b, err := r.ReadBody() // another way may go on
		require.NoError(t, err)
		require.Equal(t, "two", string(b))
		for range 2 {
			calls = 0
			r.Each(func(b []byte, err error) bool {
				calls++
				require.Equal(t, io.EOF, err)
				return true
			})
			require.Equal(t, 1, calls)
		}
		require.True(t, r.Reusable())
	})
}

func TestEachCannotBeReadFromWithin(t *testing.T) {
	eachWays(t, func(t *testing.T, w way) {
		r, _, up := w.answered(t)
		send(t, up, chunked("one"))
		r.Each(func([]byte, error) bool {
			_, err := r.ReadBody()
			require.ErrorIs(t, err, errNested)
			return false
		})
		send(t, up, "0\r\n\r\n")
		_, err := r.ReadBody()
		require.Equal(t, io.EOF, err)
	})
}

func TestReleaseWithinEachKeepsTheBodyGoing(t *testing.T) {
	eachWays(t, func(t *testing.T, w way) {
		r, _, up := w.answered(t)
		send(t, up, chunked("one"))
		var got string
		r.Each(func(b []byte, err error) bool {
			got += string(b)
			r.Release()
			switch got {
			case "one":
				require.False(t, r.AtEnd())
				send(t, up, chunked("two")+"0\r\n\r\n")
			case "onetwo":
			default:
				require.Fail(t, "unexpected content", "%q", got)
			}
			return err == nil
		})
		require.Equal(t, "onetwo", got)
		require.True(t, r.AtEnd())
		require.True(t, r.Reusable())
	})
}

func TestConnectionIsUsedAgainAfterEach(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		p := serve(t, func(c net.Conn) {
			var one [1]byte
			for range 3 {
				if _, err := io.ReadFull(c, one[:]); err != nil {
					return
				}
				_, _ = io.WriteString(c, chunkedHead+chunked("a")+chunked("b")+"0\r\n\r\n")
			}
		})
		pool := openPool(t, w.options(t, Options{BaseURL: p.url()}))
		c := dial(t, pool)
		for i := range 3 {
			if i > 0 {
				require.Same(t, c, pool.Idle())
			}
			_, err := c.Write([]byte("?"))
			require.NoError(t, err)
			var r Reader
			var h Head
			r.Reset(c)
			body, err := w.readAll(t, &r, &h, "POST")
			require.NoError(t, err)
			require.Equal(t, "ab", string(body))
			require.True(t, r.Reusable())
			c.Interrupt() // too late for this answer
			pool.Put(c)
		}
	})
}

func TestEachWithoutAWatcherStillReads(t *testing.T) {
	watcher := newWatcher(t)
	watcher.Close()
	p := serve(t, func(c net.Conn) { _, _ = io.WriteString(c, chunkedHead+chunked("ok")+"0\r\n\r\n") })
	c := dial(t, openPool(t, Options{BaseURL: p.url(), Watcher: watcher}))
	require.Nil(t, c.watcher)
	var r Reader
	var h Head
	r.Reset(c)
	body, err := byEach.readAll(t, &r, &h, "POST")
	require.NoError(t, err)
	require.Equal(t, "ok", string(body))
}

func TestInterruptWithinEachIsTheNextThingToldAndLosesNothing(t *testing.T) {
	eachWays(t, func(t *testing.T, w way) {
		r, c, up := w.answered(t)
		send(t, up, chunked("one"))
		var got string
		interrupts := 0
		r.Each(func(b []byte, err error) bool {
			got += string(b)
			if string(b) == "one" {
				c.Interrupt()
				send(t, up, chunked("two")+"0\r\n\r\n")
			}
			if errors.Is(err, ErrInterrupted) {
				interrupts++
				mem, _ := r.Frame()
				require.Nil(t, mem, "nothing is held")
				return true
			}
			return err == nil
		})
		require.Equal(t, "onetwo", got)
		require.Equal(t, 1, interrupts)
		require.True(t, r.Reusable())
	})
}
