package proxy

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/accounting/tokens"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// A client may leave after any chunk; the record says how far it came, and takes its
// numbers from the best that arrived.
// row A7
func TestClientGoneAfterEveryChunk(t *testing.T) {
	t.Parallel()
	f := func(o fakeprovider.ChatOptions, source func(chunks int) accounting.Source) {
		t.Helper()
		r := newRig(t, mayBillPartial)
		stream := fakeprovider.ChatStream(o)
		stream = stream[:len(stream)-1] // without the sentinel
		body := streamBody
		if o.RunningUsage { // which the client wants
			body = strings.Replace(body, `"include_usage":true`, `"include_usage":true,"continuous_usage_stats":true`, 1)
		}
		for k := range len(stream) + 1 {
			for _, d := range departures {
				id := fmt.Sprintf("k%d-%s", k, d.name)
				before := len(r.up.Exchanges())
				r.up.Handle(streamThenSilence(stream[:k]...))
				c := r.dial()
				readEvents(t, c.post(body, "X-Request-Id: "+id).Body, k)
				r.until("a chunk was not counted", func() bool { return r.srv.running.get(id).last().live.chunks.Load() == int64(k) })
				d.leave(c)

				requireClosed(t, r.up.WaitExchange(before+1).Conn)
				rec := r.record(id)
				phase := accounting.PhaseStreaming
				if k < 2 { // the first chunk only says who speaks
					phase = accounting.PhaseAwaitToken
				}
				requireClientGone(t, rec, phase)
				requireUsage(t, rec, source(k), accounting.MayBillPartial)
				require.EqualValues(t, k, rec.Chunks)
				require.EqualValues(t, len(chatText(stream[:k])), rec.BytesDelivered)
			}
		}
		require.Len(t, r.allEnded(), 2*len(stream)+2)
	}

	f(fakeprovider.ChatOptions{}, func(int) accounting.Source { return accounting.SourceEstimated })

	texts := len(fakeprovider.ChatStream(fakeprovider.ChatOptions{IncludeUsage: true})) - 1
	f(fakeprovider.ChatOptions{IncludeUsage: true}, func(k int) accounting.Source {
		if k < texts {
			return accounting.SourceEstimated
		}
		return accounting.SourceReported
	})

	f(fakeprovider.ChatOptions{RunningUsage: true, NoFinish: true}, func(k int) accounting.Source {
		if k == 0 {
			return accounting.SourceEstimated
		}
		return accounting.SourceRunning
	})
}

// The running usage of a cut stream is exact to the last chunk.
// row A7
func TestClientGoneKeepsTheLastRunningUsage(t *testing.T) {
	t.Parallel()
	r := newRig(t, mayBillPartial)
	stream := fakeprovider.ChatStream(fakeprovider.ChatOptions{RunningUsage: true})
	r.up.Handle(streamThenSilence(stream[:3]...))
	c := r.dial()
	readEvents(t, c.post(streamBody).Body, 3)
	r.inPhase(accounting.PhaseStreaming)
	c.reset()

	rec := r.onlyRecord()
	requireClientGone(t, rec, accounting.PhaseStreaming)
	require.Equal(t, accounting.SourceRunning, rec.UsageSource)
	require.Equal(t, tokens.Known(10), rec.Usage.Input)
	require.Equal(t, tokens.Known(2), rec.Usage.Output)
	require.JSONEq(t, fakeprovider.Usage{Prompt: 10, Completion: 2}.JSON(), string(rec.RawUsage))
}

// Clients that leave at any byte of a flowing stream end it as gone, or just too late
// as completed, and never as a fault of the upstream.
// row A7
func TestClientGoneAtRandomBytesOfAFlowingStream(t *testing.T) {
	t.Parallel()
	const clients, rounds = 4, 100
	r := newRig(t)
	stream := fakeprovider.ChatStream(fakeprovider.ChatOptions{Texts: strings.Fields(strings.Repeat("word ", 64)), IncludeUsage: true})
	r.play(stream)
	size := len(chatText(stream)) + 16*len(stream) // about what framing adds

	var wg sync.WaitGroup
	for n := range clients {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(n), 7))
			for i := range rounds {
				c := r.dial()
				c.send("POST", chatPath, streamBody, fmt.Sprintf("X-Request-Id: %d-%d", n, i), "Connection: close")
				_, _ = io.CopyN(io.Discard, c, int64(rng.IntN(size)))
				departures[rng.IntN(len(departures))].leave(c)
			}
		})
	}
	wg.Wait()

	records := r.allEnded()
	seen := map[string]*accounting.Record{}
	for _, rec := range records {
		require.Contains(t, []accounting.Outcome{accounting.OutcomeClientGone, accounting.OutcomeCompleted}, rec.Outcome, "code %q", rec.Code)
		require.LessOrEqual(t, rec.BytesDelivered, int64(len(chatText(stream))))
		seen[rec.ID] = rec
	}
	require.Len(t, seen, len(records), "an exchange has two records")
	for _, e := range r.up.Exchanges() {
		rec := seen[e.Request.Get("X-Request-Id")]
		require.NotNil(t, rec, "a request went upstream and has no record")
		if rec.Outcome == accounting.OutcomeClientGone {
			e.WaitGone(patience)
		}
	}
}
