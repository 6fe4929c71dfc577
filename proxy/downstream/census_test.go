package downstream

import (
	"io"
	"net"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// refusals counts the connections that were refused, by reason.
type refusals struct {
	mu sync.Mutex
	by map[string]int
}

func (r *refusals) note(reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.by == nil {
		r.by = make(map[string]int)
	}
	r.by[reason]++
}

func (r *refusals) of(reason string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.by[reason]
}

func withCaps(conns, perIP int, refused *refusals) option {
	return withConfig(func(cfg *Config) {
		cfg.MaxConns, cfg.MaxConnsPerIP, cfg.OnRefusedConn = conns, perIP, refused.note
	})
}

// served opens connections that have been served a request and stay open.
func (r *rig) servedClients(t *testing.T, n int) []*client {
	t.Helper()
	clients := make([]*client, n)
	for i := range clients {
		clients[i] = r.dial(t)
		clients[i].send(get("/x"))
		status, _ := clients[i].receive()
		require.Equal(t, 200, status)
	}
	return clients
}

// expectClosed waits for the end of a connection, whatever it is.
func (c *client) expectClosed() {
	c.t.Helper()
	rest, _ := io.ReadAll(c.in) // a reset is an end as well
	require.Empty(c.t, rest)
}

// row C23
func TestConnectionsBeyondTheCapAreClosedAtOnce(t *testing.T) {
	for reason, caps := range map[string][2]int{refusedConns: {5, 0}, refusedConnsPerIP: {0, 5}} {
		t.Run(reason, func(t *testing.T) {
			var refused refusals
			r := newRig(t, withCaps(caps[0], caps[1], &refused))
			inside := r.servedClients(t, 5)
			for range 20 {
				r.dial(t).expectClosed()
			}
			require.Equal(t, 20, refused.of(reason))
			for _, c := range inside {
				c.send(get("/still"))
				_, body := c.receive()
				require.Equal(t, "/still ", body)
			}
			for _, c := range inside {
				require.NoError(t, c.Close())
			}
			require.Eventually(t, func() bool { return len(r.open()) == 0 }, wait, 1e6)
			r.servedClients(t, 5)
			require.Equal(t, 20, refused.of(reason))
		})
	}
}

// row C23
func TestFloodOfConnectionsDoesNotDisturbThoseInside(t *testing.T) {
	var refused refusals
	r := newRig(t, withCaps(50, 0, &refused))
	inside := r.servedClients(t, 50)
	var flood sync.WaitGroup
	for range 8 {
		flood.Go(func() {
			for range 250 {
				conn, err := net.Dial("tcp", r.addr)
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.WriteString(conn, get("/outside"))
				_, _ = io.Copy(io.Discard, conn)
				_ = conn.Close()
			}
		})
	}
	for range 20 {
		for _, c := range inside {
			c.send(get("/x"))
			status, _ := c.receive()
			require.Equal(t, 200, status)
		}
	}
	flood.Wait()
	require.Equal(t, 2000, refused.of(refusedConns))
	require.EqualValues(t, 50+20*50, r.handled.Load())
	r.census.mu.Lock()
	defer r.census.mu.Unlock()
	require.Equal(t, 50, r.census.total)
}

func TestConnectionsAreCountedUntilTheyAreClosedHoweverTheyEnd(t *testing.T) {
	var refused refusals
	r := newRig(t, withCaps(0, 3, &refused), withRun((*Conn).Part))
	for _, raw := range []string{
		"", "G", "bad\r\n\r\n", get("/panic"), get("/run"),
		"GET /x HTTP/1.0\r\n\r\n", post("/x", "x", "Content-Length: 5"),
	} {
		for range 4 {
			c := r.dial(t)
			c.send(raw)
			require.NoError(t, c.Conn.(*net.TCPConn).CloseWrite())
			_, _ = io.Copy(io.Discard, c)
			require.NoError(t, c.Close())
			require.Eventually(t, func() bool { return len(r.open()) == 0 }, wait, 1e6)
		}
	}
	require.Zero(t, refused.of(refusedConnsPerIP))
	r.census.mu.Lock()
	defer r.census.mu.Unlock()
	require.Zero(t, r.census.total)
	require.Empty(t, r.census.byIP)
}

func TestClientsOfAUnixSocketHaveNoAddressToCount(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	ln, err := Listen("unix:" + path)
	require.NoError(t, err)
	var refused refusals
	r := newRigOn(t, ln, withCaps(4, 1, &refused))
	connect := func() *client {
		conn, err := net.Dial("unix", path)
		require.NoError(t, err)
		return newClient(t, conn)
	}
	for range 4 {
		c := connect()
		c.send(get("/x"))
		status, _ := c.receive()
		require.Equal(t, 200, status)
	}
	connect().expectClosed()
	require.Equal(t, 1, refused.of(refusedConns))
	require.Len(t, r.open(), 4)
}

func TestOriginIsAnAddressOrTheNetworkOfOne(t *testing.T) {
	of := func(ip string) string {
		return origin(&net.TCPAddr{IP: net.ParseIP(ip), Port: 1}).String()
	}
	require.Equal(t, "10.1.2.3", of("10.1.2.3"))
	require.Equal(t, "10.1.2.3", of("::ffff:10.1.2.3"))
	require.Equal(t, "2a00:1:2:3::", of("2a00:1:2:3:4:5:6:7"))
	require.Equal(t, "2a00:1:2:3::", of("2a00:1:2:3::1"))
	require.NotEqual(t, of("2a00:1:2:3::1"), of("2a00:1:2:4::1"))
	zoned := origin(&net.TCPAddr{IP: net.ParseIP("fe80::1"), Zone: "eth0"})
	require.Equal(t, "fe80::", zoned.String())
	require.False(t, origin(&net.UnixAddr{Name: "s", Net: "unix"}).IsValid())
}

func TestConnectionsAllowedFollowFromTheDescriptors(t *testing.T) {
	for n, want := range map[int]int{0: -1, 64: 64, 192: 64, 200: 68, 1024: 480, 20_000: 9968} {
		require.Equal(t, want, connsForDescriptors(n), strconv.Itoa(n))
	}
	require.Equal(t, connsForDescriptors(maxDescriptors()), Live{}.withDefaults().MaxConns)
	require.Equal(t, -1, Live{MaxConns: -1}.withDefaults().MaxConns)
}
