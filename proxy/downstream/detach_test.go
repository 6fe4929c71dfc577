package downstream

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDetachedConnectionServesTheNextRequestAfterResume(t *testing.T) {
	r := newRig(t)
	c := r.dial(t)
	for range 3 {
		c.send(get("/run"))
		status, body := c.receive()
		require.Equal(t, 200, status)
		require.Equal(t, "run", body)
		c.send(post("/small", "hello", "Content-Length: 5"))
		_, body = c.receive()
		require.Equal(t, "/small hello", body)
	}
	require.EqualValues(t, 6, r.handled.Load())
}

func TestPipelinedRequestWaitsForTheExchangeInFrontOfIt(t *testing.T) {
	entered, proceed := make(chan struct{}), make(chan struct{})
	r := newRig(t, withRun(func(c *Conn) {
		entered <- struct{}{}
		<-proceed
		answerOK(c)
	}))
	c := r.dial(t)
	c.send(get("/run") + get("/second") + get("/run") + get("/fourth"))
	receiveFrom(t, entered)
	require.EqualValues(t, 1, r.handled.Load())
	proceed <- struct{}{}
	_, body := c.receive()
	require.Equal(t, "run", body)
	_, body = c.receive()
	require.Equal(t, "/second ", body)
	receiveFrom(t, entered)
	require.EqualValues(t, 3, r.handled.Load())
	proceed <- struct{}{}
	_, body = c.receive()
	require.Equal(t, "run", body)
	_, body = c.receive()
	require.Equal(t, "/fourth ", body)
}

func TestPipelinedBytesBehindEveryKindOfBodyAreKept(t *testing.T) {
	bodies := map[string]string{
		"none":     get("/a"),
		"length":   post("/a", "hello", "Content-Length: 5"),
		"chunked":  post("/a", "3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nT: 1\r\n\r\n", "Transfer-Encoding: chunked"),
		"detached": get("/run"),
		"big":      post("/a", strings.Repeat("x", 100_000), "Content-Length: 100000"),
		"bigchunk": post("/a", "186a0\r\n"+strings.Repeat("x", 100_000)+"\r\n0\r\n\r\n", "Transfer-Encoding: chunked"),
	}
	for name, first := range bodies {
		for _, pieces := range []int{1, 7} {
			t.Run(fmt.Sprintf("%s in %d pieces", name, pieces), func(t *testing.T) {
				c := newRig(t).dial(t)
				raw := first + get("/b")
				for i := range pieces {
					c.send(raw[i*len(raw)/pieces : (i+1)*len(raw)/pieces])
				}
				status, _ := c.receive()
				require.Equal(t, 200, status)
				_, body := c.receive()
				require.Equal(t, "/b ", body)
			})
		}
	}
}

func TestThousandsOfKeepAliveRequestsOnFewConnections(t *testing.T) {
	n := 10_000
	if testing.Short() {
		n = 1000
	}
	r := newRig(t)
	const conns = 8
	failed := make(chan error, conns)
	for range conns {
		c := r.dial(t)
		go func() {
			failed <- func() error {
				buf := make([]byte, 4096)
				for i := range n / conns {
					path := "/run"
					if i%3 == 0 {
						path = "/x"
					}
					if _, err := io.WriteString(c, get(path)); err != nil {
						return err
					}
					n, err := c.Read(buf)
					if err != nil {
						return err
					}
					if !strings.HasPrefix(string(buf[:n]), "HTTP/1.1 200") {
						return fmt.Errorf("answer %d is wrong", i)
					}
				}
				return nil
			}()
		}()
	}
	for range conns {
		require.NoError(t, <-failed)
	}
	require.EqualValues(t, n/conns*conns, r.handled.Load())
}

func TestConnectionIsClosedWhenTheRequestAsksForIt(t *testing.T) {
	for _, field := range []string{
		"Connection: close", "Connection: Close", "Connection: close, x",
		"Connection: keep-alive, close", "connection: x,CLOSE",
		"Connection: keep-alive\r\nConnection: close",
	} {
		for _, path := range []string{"/run", "/small"} {
			t.Run(field+" "+path, func(t *testing.T) {
				c := newRig(t).dial(t)
				c.send("GET " + path + " HTTP/1.1\r\nHost: h\r\n" + field + "\r\n\r\n" + get("/never"))
				status, _ := c.receive()
				require.Equal(t, 200, status)
				require.Empty(t, c.expectEnd())
			})
		}
	}
	t.Run("HTTP/1.0", func(t *testing.T) {
		r := newRig(t)
		c := r.dial(t)
		c.send("GET /run HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + get("/never"))
		status, _ := c.receive()
		require.Equal(t, 200, status)
		require.Empty(t, c.expectEnd())
		require.EqualValues(t, 1, r.handled.Load())
	})
}

func TestPanicInAnExchangeClosesOnlyItsConnection(t *testing.T) {
	r := newRig(t, withRun(func(*Conn) { panic("secret") }))
	c := r.dial(t)
	c.send(get("/run"))
	require.Empty(t, c.expectEnd())
	other := r.dial(t)
	other.send(get("/alive"))
	status, _ := other.receive()
	require.Equal(t, 200, status)
}

func TestPanicInAHandlerIsAnsweredAndEndsTheConnection(t *testing.T) {
	r := newRig(t)
	c := r.dial(t)
	c.send(get("/panic"))
	status, body := c.receive()
	require.Equal(t, 500, status)
	require.Equal(t, "internal", body)
	require.Empty(t, c.expectEnd())
}

func TestExchangeThatForgetsItsConnectionDoesNotLeakIt(t *testing.T) {
	r := newRig(t, withRun(func(*Conn) {}))
	c := r.dial(t)
	c.send(get("/run"))
	require.Empty(t, c.expectEnd())
}

func TestExchangeMayGoOnAfterResume(t *testing.T) {
	resumed := make(chan struct{})
	booked := make(chan struct{})
	first := true
	r := newRig(t, withRun(func(c *Conn) {
		answerOK(c)
		if first {
			first = false
			<-resumed
			close(booked)
		}
	}))
	c := r.dial(t)
	c.send(get("/run"))
	c.receive()
	c.send(get("/next"))
	_, body := c.receive()
	require.Equal(t, "/next ", body)
	close(resumed)
	receiveFrom(t, booked)
	c.send(get("/run"))
	_, body = c.receive()
	require.Equal(t, "run", body)
}

func TestPartLetsTheClientReadTheWholeAnswer(t *testing.T) {
	const size = 1 << 20
	r := newRig(t, withRun(func(c *Conn) {
		_, err := io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n"+strings.Repeat("x", size))
		if err != nil {
			c.Close()
			return
		}
		c.Part()
	}))
	for range 20 {
		c := r.dial(t)
		c.send(get("/run"))
		c.send(get("/never")) // unread bytes, over which a plain close would send a reset
		_, body := c.receive()
		require.Len(t, body, size)
	}
	require.EqualValues(t, 20, r.handled.Load())
}
