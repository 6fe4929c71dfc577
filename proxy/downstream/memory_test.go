package downstream

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"
)

func TestMemoryIsReservedUpToItsLimit(t *testing.T) {
	m := NewMemory(100)
	require.EqualValues(t, 100, m.Limit())
	require.True(t, m.reserve(60))
	require.False(t, m.reserve(41))
	require.True(t, m.reserve(40))
	require.EqualValues(t, 100, m.Used())
	m.SetLimit(50)
	require.False(t, m.reserve(1))
	m.release(60)
	require.True(t, m.reserve(10))
	m.SetLimit(0)
	require.True(t, m.reserve(1<<60), "no limit")
}

// withMemory takes the budget of a test and checks that nothing of it stays used.
func withMemory(t *testing.T, m *Memory) option {
	t.Cleanup(func() {
		require.Eventually(t, func() bool { return m.Used() == 0 }, wait, 1e6, "everything is given back")
	})
	return withConfig(func(cfg *Config) { cfg.Memory = m })
}

func sized(path string, n int) string {
	return post(path, strings.Repeat("x", n), fmt.Sprintf("Content-Length: %d", n))
}

func chunkedBody(path string, sizes ...int) string {
	var b strings.Builder
	b.WriteString(post(path, "", "Transfer-Encoding: chunked"))
	for _, n := range sizes {
		fmt.Fprintf(&b, "%x\r\n%s\r\n", n, strings.Repeat("x", n))
	}
	return b.String()
}

// row D7
func TestBodyWithoutRoomIsRefusedBeforeItIsRead(t *testing.T) {
	m := NewMemory(200_000)
	r := newRig(t, withMemory(t, m))
	for name, raw := range map[string]string{
		"length":              post("/x", "", "Content-Length: 100001"),
		"length and waiting":  post("/x", "", "Content-Length: 100001", "Expect: 100-continue"),
		"a chunk":             post("/x", "186a1\r\n", "Transfer-Encoding: chunked"),
		"another chunk":       chunkedBody("/x", 60_000) + "10000\r\n",
		"many chunks":         chunkedBody("/x", 30_000, 30_000, 30_000) + "10000\r\n",
		"nothing of the body": post("/x", "", "Content-Length: 30000000"),
	} {
		t.Run(name, func(t *testing.T) {
			c := r.dial(t)
			c.send(raw)
			res, body := c.response()
			require.Equal(t, 503, res.StatusCode)
			require.Equal(t, codeOverloaded, body)
			require.Equal(t, "1", res.Header.Get("Retry-After"))
			require.True(t, res.Close)
			require.Empty(t, c.expectEnd())
		})
	}
	require.Zero(t, r.handled.Load())
	require.Eventually(t, func() bool { return m.Used() == 0 }, wait, 1e6)
	for _, raw := range []string{
		sized("/x", 100_000), chunkedBody("/x", 50_000, 48_000) + "0\r\n\r\n", get("/x"),
		chunkedBody("/x", 1, 1, 1, 1) + "0\r\n\r\n",
	} {
		c := r.dial(t)
		c.send(raw)
		status, _ := c.receive()
		require.Equal(t, 200, status)
	}
}

// row D7
func TestBodiesShareOneBudget(t *testing.T) {
	m := NewMemory(100_000)
	r := newRig(t, withMemory(t, m))
	slow := r.dial(t)
	slow.send(post("/x", "x", "Content-Length: 40000"))
	require.Eventually(t, func() bool { return m.Used() == 80_000 }, wait, 1e6)

	other := r.dial(t)
	other.send(sized("/x", 10_001))
	status, _ := other.receive()
	require.Equal(t, 503, status)
	m.SetLimit(110_000)
	other = r.dial(t)
	other.send(sized("/x", 10_001))
	status, _ = other.receive()
	require.Equal(t, 200, status)

	slow.send(strings.Repeat("x", 39_999))
	status, _ = slow.receive()
	require.Equal(t, 200, status)
	require.Eventually(t, func() bool { return m.Used() == 0 }, wait, 1e6, "though the connection stays open")
}

// row D7
func TestReservationOfAnExchangeLastsUntilItEndsOrGivesItBack(t *testing.T) {
	m := NewMemory(1 << 20)
	entered, proceed := make(chan *Conn), make(chan func(*Conn))
	r := newRig(t, withMemory(t, m), withRun(func(c *Conn) {
		entered <- c
		(<-proceed)(c)
	}))
	for name, end := range map[string]func(*Conn){
		"resume": answerOK,
		"part": func(c *Conn) {
			_, _ = c.Write([]byte("HTTP/1.1 200 OK\r\n\r\n"))
			c.Part()
		},
		"close":            func(c *Conn) { c.Close() },
		"panic":            func(*Conn) { panic("secret") },
		"forgets to end":   func(*Conn) {},
		"given back first": func(c *Conn) { c.ReleaseMemory(); c.ReleaseMemory(); answerOK(c) },
	} {
		t.Run(name, func(t *testing.T) {
			c := r.dial(t)
			c.send(sized("/run", 5000))
			conn := receiveFrom(t, entered)
			require.EqualValues(t, 10_000, m.Used())
			if name == "given back first" {
				conn.ReleaseMemory()
				require.Zero(t, m.Used())
			}
			proceed <- end
			require.Eventually(t, func() bool { return m.Used() == 0 }, wait, 1e6)
		})
	}
}

// row D7
func TestForcedCloseGivesAReservationBack(t *testing.T) {
	m := NewMemory(1 << 20)
	entered, proceed := make(chan *Conn), make(chan struct{})
	r := newRig(t, withMemory(t, m), withRun(func(c *Conn) {
		entered <- c
		<-proceed
		c.Close()
	}))
	r.dial(t).send(sized("/run", 5000))
	conn := receiveFrom(t, entered)
	conn.Close()
	require.Zero(t, m.Used())
	// What is reserved by a session that the close has overtaken goes with the exchange.
	require.True(t, conn.reserve(7))
	close(proceed)
	require.Eventually(t, func() bool { return m.Used() == 0 }, wait, 1e6)
}

// row D7
func TestStormOfEveryEndingLeavesNothingReserved(t *testing.T) {
	m := NewMemory(300_000)
	var endings sync.Map
	r := newRig(t, withMemory(t, m), withConfig(func(cfg *Config) { cfg.MaxBodyBytes = 100_000 }),
		withHandler(func(rc *fasthttp.RequestCtx) {
			path := string(rc.Path())
			endings.Store(path, true)
			switch path {
			case "/panic":
				panic("secret")
			case "/resume":
				FromContext(rc).Detach(rc, answerOK)
			case "/early":
				FromContext(rc).Detach(rc, func(c *Conn) { c.ReleaseMemory(); answerOK(c) })
			case "/part":
				FromContext(rc).Detach(rc, (*Conn).Part)
			case "/close":
				FromContext(rc).Detach(rc, (*Conn).Close)
			case "/lost":
				FromContext(rc).Detach(rc, func(*Conn) { panic("secret") })
			}
		}))
	paths := []string{"/x", "/panic", "/resume", "/early", "/part", "/close", "/lost"}
	var clients sync.WaitGroup
	for worker := range 8 {
		clients.Go(func() {
			dice := rand.New(rand.NewPCG(7, uint64(worker)))
			for range 60 {
				if err := storm(r.addr, dice, paths); err != nil {
					t.Error(err)
				}
			}
		})
	}
	clients.Wait()
	require.Eventually(t, func() bool { return m.Used() == 0 }, wait, 1e6)
	for _, path := range paths {
		_, ok := endings.Load(path)
		require.True(t, ok, path)
	}
}

// storm sends some requests over one connection, the last of them maybe cut or
// refused, and reads until the server closes or all is said.
func storm(addr string, dice *rand.Rand, paths []string) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	var raw strings.Builder
	for range 1 + dice.IntN(3) {
		path := paths[dice.IntN(len(paths))]
		if n := 1 + dice.IntN(60_000); dice.IntN(2) == 0 {
			raw.WriteString(sized(path, n))
		} else {
			raw.WriteString(chunkedBody(path, n, 1+dice.IntN(50_000)) + "0\r\n\r\n")
		}
	}
	out := raw.String()
	switch dice.IntN(4) {
	case 0:
		out = out[:dice.IntN(len(out))]
	case 1:
		out += chunkedBody("/x", 2000) + "bad\n"
	}
	if _, err := io.WriteString(conn, out); err != nil {
		return nil //nolint:nilerr // the server may refuse while it is being sent to
	}
	if dice.IntN(3) > 0 {
		_ = conn.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, conn)
	}
	return nil
}
