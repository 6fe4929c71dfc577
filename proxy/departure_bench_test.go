package proxy

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// benchStreams is how many streams are open beside what a benchmark measures:
// SLUICE_BENCH_STREAMS, or 1,000.
func benchStreams(b *testing.B) int {
	b.Helper()
	n, err := strconv.Atoi(os.Getenv("SLUICE_BENCH_STREAMS"))
	if err != nil {
		return 1000
	}
	return n
}

// crowd opens streams that have begun and say no more.
func (r *rig) crowd(n int) {
	r.Helper()
	r.up.Handle(streamThenSilence(firstChunks...))
	for range n {
		r.dial().send("POST", chatPath, streamBody)
	}
	r.until("not all streams run", func() bool { return r.srv.running.phases()[accounting.PhaseStreaming] == n })
}

// reportQuantiles reports durations in milliseconds.
func reportQuantiles(b *testing.B, of string, all []time.Duration) {
	b.Helper()
	slices.Sort(all)
	at := func(q float64) float64 {
		return float64(all[min(int(q*float64(len(all))), len(all)-1)]) / float64(time.Millisecond)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(at(0.5), of+"p50-ms")
	b.ReportMetric(at(0.99), of+"p99-ms")
	b.ReportMetric(at(1), of+"max-ms")
}

// moments are those at which the client of a request can leave, one after the other, as its
// provider sees them.
var moments = []struct {
	name, body string
	prepare    func(*fakeprovider.Provider)
	script     func(*fakeprovider.Exchange)
	phase      accounting.Phase
	events     int // that the client reads first; -1: it reads nothing
}{
	{"connect/stream", streamBody, (*fakeprovider.Provider).NeverHandshake, silence, accounting.PhaseConnect, -1},
	{"connect/whole", wholeBody, (*fakeprovider.Provider).NeverHandshake, silence, accounting.PhaseConnect, -1},
	{"sending/stream", picture(6<<20, true), neverReads, silence, accounting.PhaseSending, -1},
	{"sending/whole", picture(6<<20, false), neverReads, silence, accounting.PhaseSending, -1},
	{"await_headers/stream", streamBody, nil, silence, accounting.PhaseAwaitHeaders, -1},
	{"await_headers/whole", wholeBody, nil, silence, accounting.PhaseAwaitHeaders, -1},
	{"await_token/stream", streamBody, nil, streamThenSilence(), accounting.PhaseAwaitToken, 0},
	{"await_token/whole", wholeBody, nil, wholeThenSilence(""), accounting.PhaseAwaitToken, -1},
	{"streaming/stream", streamBody, nil, flow, accounting.PhaseStreaming, 3},
	{"streaming/silent", streamBody, nil, streamThenSilence(firstChunks...), accounting.PhaseStreaming, 3},
	{"streaming/whole", wholeBody, nil, wholeThenSilence(`{"id":"x","choices":[`), accounting.PhaseStreaming, -1},
}

func neverReads(p *fakeprovider.Provider) {
	p.ReceiveBuffer(8 << 10)
	p.HoldBody()
}

// flow streams a token every few milliseconds.
func flow(e *fakeprovider.Exchange) {
	e.StreamHead()
	for ok := true; ok; ok = e.Event(firstChunks[1]) && e.Pause(5*time.Millisecond) {
	}
	e.Hold()
}

// eachMoment brings requests to each of the moments beside a crowd, has each of them ended,
// and reports the time from the beginning of that to the end of the upstream connection.
func eachMoment(b *testing.B, end func(b *testing.B, r *rig, c *client, id string) (began time.Time)) {
	for _, m := range moments {
		b.Run(m.name, func(b *testing.B) {
			other := fakeprovider.New(b)
			if m.prepare != nil {
				m.prepare(other)
			}
			other.Handle(m.script)
			r := newRig(b, func(c *config.Config) {
				second := c.Providers[0]
				second.Name, second.BaseURL = "other", other.URL()
				c.Providers = append(c.Providers, second)
			})
			r.crowd(benchStreams(b))
			var took []time.Duration
			for n := 1; b.Loop(); n++ {
				id := fmt.Sprint("r-", n)
				c := r.dial()
				c.send("POST", chatPath, asking("other/m", m.body), "X-Request-Id: "+id)
				conn := other.WaitConn(n)
				if m.events >= 0 {
					readEvents(b, c.response().Body, m.events)
				}
				r.until("it does not get there", func() bool {
					x := r.srv.running.get(id)
					return x != nil && x.phaseNow() == m.phase
				})
				began := end(b, r, c, id)
				took = append(took, conn.WaitGone(patience).At.Sub(began))
				_ = c.Close()
				r.until("it goes on", func() bool { return r.srv.running.get(id) == nil })
			}
			reportQuantiles(b, "", took)
		})
	}
}

// From the client's FIN, or RST, to the end of the upstream connection, with 1,000 other
// streams open.
func BenchmarkDeparture(b *testing.B) {
	for _, d := range departures {
		b.Run(d.name, func(b *testing.B) {
			eachMoment(b, func(_ *testing.B, _ *rig, c *client, _ string) time.Time {
				began := time.Now()
				d.leave(c)
				return began
			})
		})
	}
}

// From the moment before the cancel call is sent to the end of the upstream connection, with
// 1,000 other streams open.
func BenchmarkCancelCall(b *testing.B) {
	eachMoment(b, func(b *testing.B, r *rig, _ *client, id string) time.Time {
		caller := r.dial()
		began := time.Now()
		caller.send("POST", "/v1/requests/"+id+"/cancel", "")
		require.Equal(b, 200, caller.response().StatusCode)
		_ = caller.Close()
		return began
	})
}
