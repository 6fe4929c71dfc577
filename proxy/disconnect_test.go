package proxy

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// mayBillPartial tells the value of the configuration from every default.
func mayBillPartial(c *config.Config) { c.Providers[0].MayBill = config.MayBillPartial }

// requireClientGone asserts what every record of a client that left has in common.
func requireClientGone(t testing.TB, rec *accounting.Record, phase accounting.Phase) {
	t.Helper()
	requireEnded(t, rec, accounting.OutcomeClientGone, phase, "")
	require.Equal(t, 499, rec.StatusDownstream)
	require.False(t, rec.Delivered)
}

// requireNeverRan asserts the accounts of a request that never went out whole.
func requireNeverRan(t testing.TB, rec *accounting.Record) {
	t.Helper()
	requireUsage(t, rec, accounting.SourceNone, accounting.MayBillNone)
}

// eachRequest runs a test for streams and whole answers, and for FIN and RST.
func eachRequest(t *testing.T, run func(t *testing.T, body string, fin bool, leave func(*client))) {
	for kind, body := range bothKinds {
		for _, d := range departures {
			t.Run(kind+"/"+d.name, func(t *testing.T) {
				t.Parallel()
				run(t, body, d.fin, d.leave)
			})
		}
	}
}

// A client that leaves while its request waits for its turn starts nothing upstream.
// row A2
func TestClientGoneBeforeTheUpstreamCallStartsNone(t *testing.T) {
	t.Parallel()
	eachRequest(t, func(t *testing.T, body string, _ bool, leave func(*client)) {
		r := newRig(t)
		left := make(chan struct{})
		r.srv.onPhase = func(_ *exchange, p accounting.Phase) {
			if p == accounting.PhaseConnect {
				<-left
			}
		}
		c := r.dial()
		c.send("POST", chatPath, body)
		x := r.inPhase(accounting.PhaseConnect)
		leave(c)
		r.until("the client's leaving was not noticed", func() bool { _, over := x.valve.ended(); return over })
		close(left)

		rec := r.onlyRecord()
		requireClientGone(t, rec, accounting.PhaseConnect)
		requireNeverRan(t, rec)
		require.Zero(t, r.up.Conns())
	})
}

// A client that leaves while the provider's TLS handshake hangs aborts the dial.
// row A3
func TestClientGoneWhileDialingClosesTheHalfMadeConnection(t *testing.T) {
	t.Parallel()
	eachRequest(t, func(t *testing.T, body string, fin bool, leave func(*client)) {
		up := fakeprovider.New(t)
		up.NeverHandshake()
		r := newRig(t, func(c *config.Config) { c.Providers[0].BaseURL = up.URL() })
		c := r.dial()
		c.send("POST", chatPath, body)
		conn := up.WaitConn(1)
		r.inPhase(accounting.PhaseConnect)
		leave(c)

		conn.WaitGone(patience)
		rec := r.onlyRecord()
		requireClientGone(t, rec, accounting.PhaseConnect)
		requireNeverRan(t, rec)
		require.Equal(t, fin, rec.HalfClosed)
		require.NotNil(t, rec.CloseMicros)
		require.Equal(t, 1, up.Conns())
	})
}

// A client that leaves while the provider's host does not answer at all aborts the
// dial too.
// row A3
func TestClientGoneWhileTheProviderIsUnreachable(t *testing.T) {
	t.Parallel()
	for _, d := range departures {
		t.Run(d.name, func(t *testing.T) {
			r := newRig(t, func(c *config.Config) {
				c.Providers[0].BaseURL = "http://" + fakeprovider.Blackhole(t)
				c.Timeouts.Connect = config.Duration(2 * patience)
			})
			c := r.dial()
			c.send("POST", chatPath, streamBody)
			r.inPhase(accounting.PhaseConnect)
			d.leave(c)

			rec := r.onlyRecord()
			requireClientGone(t, rec, accounting.PhaseConnect)
			requireNeverRan(t, rec)
		})
	}
}

// A client that leaves while its long request is still on its way up takes the
// connection with it: a request cut short cannot run.
// row A4
func TestClientGoneWhileSendingCutsTheRequestShort(t *testing.T) {
	t.Parallel()
	for _, stream := range []bool{true, false} {
		for _, d := range departures {
			t.Run(fmt.Sprintf("stream=%v/%s", stream, d.name), func(t *testing.T) {
				r := newRig(t)
				r.up.ReceiveBuffer(8 << 10)
				r.up.HoldBody()
				r.up.Handle(silence)
				c := r.dial()
				c.send("POST", chatPath, picture(6<<20, stream))
				e := r.up.WaitExchange(1)
				r.inPhase(accounting.PhaseSending)
				d.leave(c)

				e.WaitGone(patience)
				rec := r.onlyRecord()
				requireClientGone(t, rec, accounting.PhaseSending)
				requireNeverRan(t, rec)
				require.NotNil(t, rec.CloseMicros)
				require.Equal(t, 1, r.up.Conns())
			})
		}
	}
}

// departurePoints are the moments in an upstream answer at which a client can leave.
var departurePoints = []struct {
	name           string
	stream         bool
	script         func(*fakeprovider.Exchange)
	phase          accounting.Phase
	events         int // that the client reads first
	outputCounted  bool
	statusUpstream int
}{
	{"stream/before headers", true, silence, accounting.PhaseAwaitHeaders, -1, false, 0},
	{"whole/before headers", false, silence, accounting.PhaseAwaitHeaders, -1, false, 0},
	{"stream/before the first token", true, streamThenSilence(), accounting.PhaseAwaitToken, 0, false, 200},
	{"stream/after a chunk without a token", true, streamThenSilence(firstChunks[0]), accounting.PhaseAwaitToken, 1, false, 200},
	{"whole/before the body", false, wholeThenSilence(""), accounting.PhaseAwaitToken, -1, false, 200},
	{"stream/between chunks", true, streamThenSilence(firstChunks...), accounting.PhaseStreaming, 3, true, 200},
	{"whole/within the body", false, wholeThenSilence(`{"id":"x","choices":[`), accounting.PhaseStreaming, -1, false, 200},
}

// firstChunks are the role and two tokens.
var firstChunks = fakeprovider.ChatStream(fakeprovider.ChatOptions{})[:3]

// Whatever the upstream is doing, and though it is silent, a client's leaving closes
// it at once, is not retried, and is accounted for with what is known.
// rows A5, A6, A8
func TestClientGoneClosesTheSilentUpstream(t *testing.T) {
	t.Parallel()
	for _, p := range departurePoints {
		for _, d := range departures {
			t.Run(p.name+"/"+d.name, func(t *testing.T) {
				t.Parallel()
				r := newRig(t, mayBillPartial)
				r.up.Handle(p.script)
				c := r.dial()
				body := wholeBody
				if p.stream {
					body = streamBody
				}
				c.send("POST", chatPath, body)
				if p.events >= 0 {
					readEvents(t, c.response().Body, p.events)
				}
				e := r.up.WaitExchange(1)
				r.inPhase(p.phase)
				d.leave(c)

				requireClosed(t, e.Conn)
				rec := r.onlyRecord()
				requireClientGone(t, rec, p.phase)
				require.Equal(t, d.fin, rec.HalfClosed)
				require.Equal(t, p.statusUpstream, rec.StatusUpstream)
				require.NotNil(t, rec.CloseMicros)
				requireUsage(t, rec, accounting.SourceEstimated, accounting.MayBillPartial)
				require.Equal(t, p.outputCounted, rec.Usage.Output.Known)
				if p.stream {
					require.EqualValues(t, max(p.events, 0), rec.Chunks)
				}

				require.Len(t, r.up.Exchanges(), 1)
				require.Equal(t, 1, r.up.Conns())
				require.InEpsilon(t, 1, r.metric("sluice_cancels_total", "cause=client_gone", "phase="+p.phase.String()), 0)
				require.Contains(t, r.logs.String(), `"status_downstream":499`)
			})
		}
	}
}

// A request sent behind the one being served is not a sign of life: the client's FIN
// behind it is noticed, and it is never executed.
// row A15
func TestClientGoneBehindAPipelinedRequest(t *testing.T) {
	t.Parallel()
	for _, d := range departures {
		t.Run(d.name, func(t *testing.T) {
			r := newRig(t)
			r.up.Handle(streamThenSilence(firstChunks...))
			c := r.dial()
			c.send("POST", chatPath, streamBody)
			readEvents(t, c.response().Body, len(firstChunks))
			c.send("POST", chatPath, streamBody)
			r.inPhase(accounting.PhaseStreaming)
			d.leave(c)

			r.up.WaitExchange(1).WaitGone(patience)
			requireClientGone(t, r.onlyRecord(), accounting.PhaseStreaming)
			require.Len(t, r.up.Exchanges(), 1)
			require.Equal(t, 1, r.up.Conns())
		})
	}
}

// A request sent behind the one being served, by a client that stays, is served next.
// row A15
func TestPipelinedRequestsAreServedInTurn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	c := r.dial()
	for range 3 {
		c.send("POST", chatPath, streamBody)
		c.send("POST", chatPath, wholeBody)
	}
	for range 3 {
		data, err := events(c.response())
		require.NoError(t, err)
		require.Equal(t, "[DONE]", data[len(data)-1])
		data, err = events(c.response())
		require.NoError(t, err)
		require.Empty(t, data)
	}
	require.Len(t, r.allEnded(), 6)
}
