package downstream

import (
	"net"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

func BenchmarkWatchUnwatch(b *testing.B) {
	entered, done := make(chan *Conn), make(chan struct{})
	r := newRig(b, withRun(func(c *Conn) {
		entered <- c
		<-done
		c.Close()
	}))
	c := r.dial(b)
	c.send(get("/run"))
	conn := <-entered
	gone := func(Gone) {}
	b.ReportAllocs()
	for b.Loop() {
		conn.Watch(gone)
		conn.Unwatch()
	}
	close(done)
}

func BenchmarkProgress(b *testing.B) {
	entered, done := make(chan *Conn), make(chan struct{})
	r := newRig(b, withRun(func(c *Conn) {
		entered <- c
		<-done
		c.Close()
	}))
	c := r.dial(b)
	c.send(get("/run"))
	conn := <-entered
	b.ReportAllocs()
	for b.Loop() {
		conn.Progress()
	}
	close(done)
}

// benchmarkRequests measures whole requests over loopback, the raw client's two
// system calls included.
func benchmarkRequests(b *testing.B, request string, size int) {
	r := newRig(b)
	c := r.dial(b)
	buf := make([]byte, 4096)
	b.ReportAllocs()
	for b.Loop() {
		c.send(request)
		for n := 0; n < size; {
			m, err := c.Read(buf)
			require.NoError(b, err)
			n += m
		}
	}
}

func BenchmarkRequestDetachedAndResumed(b *testing.B) {
	benchmarkRequests(b, get("/run"), len("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nrun"))
}

func BenchmarkRequestAnsweredByItsHandler(b *testing.B) {
	benchmarkRequests(b, get("/x"), 1)
}

func BenchmarkParseHead(b *testing.B) {
	raw := []byte(post("/v1/chat/completions", "", "User-Agent: bench", "Content-Type: application/json",
		"Authorization: Bearer abc", "Accept: text/event-stream", "Content-Length: 512"))
	b.ReportAllocs()
	for b.Loop() {
		var s headScan
		if end, err := s.scan(raw); end == 0 || err != nil {
			b.Fatal("no head")
		}
		if _, err := parseHead(raw, nil); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkIdleConnection and BenchmarkDetachedConnection report the live heap
// and stack per connection, the client's half of it included.
func BenchmarkIdleConnection(b *testing.B) {
	benchmarkConnections(b, func(*rig, int) {}, get("/x"), true)
}

func BenchmarkDetachedConnection(b *testing.B) {
	done := make(chan struct{})
	defer close(done)
	run := withRun(func(c *Conn) {
		gone := make(chan struct{})
		c.Watch(func(Gone) { close(gone) })
		select {
		case <-gone:
		case <-done:
		}
		c.Unwatch()
		c.Close()
	})
	all := func(r *rig, n int) {
		require.Eventually(b, func() bool { return r.detached.Load() == int64(n) }, wait, 1e6)
	}
	benchmarkConnections(b, all, get("/run"), false, run)
}

func benchmarkConnections(b *testing.B, settled func(*rig, int), request string, answered bool, options ...option) {
	for b.Loop() {
		r := newRig(b, options...)
		const conns = 1000
		before := liveBytes()
		clients := make([]net.Conn, conns)
		buf := make([]byte, 4096)
		for i := range clients {
			conn, err := net.Dial("tcp", r.addr)
			require.NoError(b, err)
			_, err = conn.Write([]byte(request))
			require.NoError(b, err)
			if answered {
				_, err = conn.Read(buf)
				require.NoError(b, err)
			}
			clients[i] = conn
		}
		settled(r, conns)
		b.ReportMetric(float64(liveBytes()-before)/conns, "B/conn")
		for _, conn := range clients {
			_ = conn.Close()
		}
	}
}

func liveBytes() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
