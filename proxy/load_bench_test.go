package proxy

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// What a client that never reads makes sluice hold beyond a silent stream: memory in use, and
// what has left the provider, which the kernel has the most of.
func BenchmarkNeverReadingClient(b *testing.B) {
	const clients = 50
	for b.Loop() {
		silent := newRig(b)
		empty := live()
		silent.crowd(clients)
		before := live()

		r := newRig(b)
		var taken atomic.Int64
		r.up.Handle(endless(&taken))
		for range clients {
			r.dialNarrow().send("POST", chatPath, streamBody)
		}
		last, still := int64(0), 0
		require.Eventually(b, func() bool {
			if now := taken.Load(); now != last || now == 0 {
				last, still = now, 0
			}
			still++
			return still > 20
		}, 2*patience, 50*time.Millisecond)
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(float64(before-empty)/clients/1024, "KiB/silent-stream")
		b.ReportMetric((float64(live()-before)-float64(before-empty))/clients/1024, "more-KiB/client")
		b.ReportMetric(float64(last)/clients/1024, "KiB-sent/client")
	}
}

// The gaps between the events of streams that have room, alone and beside as many clients
// that have none, and how soon those are refused.
func BenchmarkOverload(b *testing.B) {
	const room, events, pace = 64, 100, 10 * time.Millisecond
	for name, clients := range map[string]int{"alone": room, "twice": 2 * room} {
		b.Run(name, func(b *testing.B) {
			r := newRig(b, func(c *config.Config) {
				c.Models = []config.Model{{Name: "m", Targets: []config.Target{{Provider: "fake", MaxConcurrent: room}}}}
				c.Queue.Max = 0
			})
			r.up.Handle(func(e *fakeprovider.Exchange) {
				e.StreamHead()
				for range events {
					if !e.Event(firstChunks[1]) || !e.Pause(pace) {
						return
					}
				}
				e.Play(fakeprovider.ChatStream(fakeprovider.ChatOptions{}))
			})
			var load overload
			var crowd sync.WaitGroup
			over := time.Now().Add(5 * time.Second)
			for range clients {
				crowd.Go(func() {
					for time.Now().Before(over) {
						load.ask(r)
					}
				})
			}
			for b.Loop() {
				crowd.Wait()
			}
			require.Zero(b, load.failed)
			reportQuantiles(b, "gap-", load.gaps)
			b.ReportMetric(float64(len(load.refused)), "refused")
			if len(load.refused) > 0 {
				reportQuantiles(b, "refusal-", load.refused)
			}
		})
	}
}

// overload is what the clients of an overloaded sluice have seen.
type overload struct {
	mu            sync.Mutex
	gaps, refused []time.Duration
	failed        int
}

// ask makes a request, and waits a little if it is refused.
func (o *overload) ask(r *rig) {
	conn, err := net.Dial("tcp", r.addr)
	if err != nil {
		o.fail()
		return
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(patience))
	began := time.Now()
	_, _ = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: sluice.test\r\nContent-Length: %d\r\n\r\n%s", chatPath, len(streamBody), streamBody)
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	switch {
	case err != nil:
		o.fail()
	case resp.StatusCode == http.StatusServiceUnavailable:
		o.mu.Lock()
		o.refused = append(o.refused, time.Since(began))
		o.mu.Unlock()
		<-time.After(100 * time.Millisecond)
	case resp.StatusCode != http.StatusOK:
		o.fail()
	default:
		o.follow(bufio.NewReader(resp.Body))
	}
}

func (o *overload) fail() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.failed++
}

// follow notes the gaps between the events of a stream.
func (o *overload) follow(body *bufio.Reader) {
	var gaps []time.Duration
	var last time.Time
	for {
		line, err := body.ReadString('\n')
		if err != nil {
			break
		}
		if line != "\n" {
			continue
		}
		if now := time.Now(); last.IsZero() {
			last = now
		} else {
			gaps = append(gaps, now.Sub(last))
			last = now
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.gaps = append(o.gaps, gaps...)
}

// A drain of 1,000 streams, of which half end in time: none of these is cut, all have their
// records, and the end comes soon after the deadline.
func BenchmarkDrain(b *testing.B) {
	const half, deadline = 500, 2 * time.Second
	ends := make(chan struct{})
	for b.Loop() {
		r := newRig(b)
		r.up.Handle(func(e *fakeprovider.Exchange) {
			e.StreamHead()
			e.Event(firstChunks[1])
			if e.Request.Get("X-Ends") == "" {
				e.Hold()
				return
			}
			<-ends
			e.Play(fakeprovider.ChatStream(fakeprovider.ChatOptions{}))
		})
		var whole, cut atomic.Int64
		var clients sync.WaitGroup
		for i := range 2 * half {
			c := r.dial()
			header := "X-Ends: yes"
			if i%2 == 0 {
				header = "X-Goes-On: yes"
			}
			c.send("POST", chatPath, streamBody, header)
			clients.Go(func() {
				defer func() { _ = c.Close() }()
				resp, err := http.ReadResponse(c.r, nil)
				if err == nil && read(resp).err == nil {
					whole.Add(1)
				} else {
					cut.Add(1)
				}
			})
		}
		r.until("not all streams run", func() bool { return r.srv.running.phases()[accounting.PhaseStreaming] == 2*half })
		now, returned := r.shutdown()
		<-time.After(deadline / 2)
		close(ends)
		<-time.After(deadline / 2)
		require.Zero(b, cut.Load(), "streams were cut before the deadline")
		began := time.Now()
		now()
		requireReturned(b, returned)
		late := time.Since(began)
		clients.Wait()
		require.EqualValues(b, half, whole.Load())
		require.Equal(b, 2*half, r.ledger.Len())
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(float64(late)/float64(time.Millisecond), "ms-after-deadline")
	}
}
