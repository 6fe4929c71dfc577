package proxy

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// Whatever races, cancel, a second cancel, the client's leaving and the upstream's end,
// one of them ends the exchange, every cancel call tells which, and there is one record.
// row A17
func TestRacingEndsLeaveOneOutcome(t *testing.T) {
	t.Parallel()
	const rounds = 300
	for kind, body := range bothKinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			last := make(chan chan struct{}, 1)
			r.up.Handle(func(e *fakeprovider.Exchange) {
				finish := <-last
				if kind == "stream" {
					e.StreamHead()
					for _, p := range firstChunks {
						e.Event(p)
					}
				}
				select {
				case <-finish:
				case <-e.Gone():
					return
				}
				if kind == "stream" {
					e.Play(fakeprovider.ChatStream(fakeprovider.ChatOptions{})[len(firstChunks):])
				} else {
					e.JSON(200, fakeprovider.ChatAnswer(fakeprovider.ChatOptions{}))
				}
			})
			outcomes := map[accounting.Outcome]int{}
			for i := range rounds {
				outcomes[raceOnce(t, r, kind, body, fmt.Sprintf("r%d", i), last, rand.New(rand.NewPCG(uint64(i), 1)))]++
			}
			t.Logf("%v", outcomes)
			records := r.allEnded()
			require.Equal(t, rounds, len(records))
			require.NotContains(t, r.logs.String(), "the ledger refused")
			require.Equal(t, float64(rounds), r.metric("sluice_requests_total"))
		})
	}
}

// raceOnce lets everything that can end one exchange happen at once, each after its
// own short delay, and returns what the record says.
func raceOnce(t *testing.T, r *rig, kind, body, id string, last chan<- chan struct{}, rng *rand.Rand) accounting.Outcome {
	finish := make(chan struct{})
	last <- finish
	c := r.dial()
	c.send("POST", chatPath, body, "X-Request-Id: "+id)
	if kind == "stream" {
		readEvents(t, c.response().Body, len(firstChunks))
	} else {
		r.until("the exchange is not under way", func() bool {
			x := r.srv.running.get(id)
			return x != nil && x.phaseNow() == accounting.PhaseAwaitHeaders
		})
	}
	leaves := rng.IntN(3) > 0
	statuses := make([]string, 2)
	var wg sync.WaitGroup
	at := func(act func()) {
		delay := time.Duration(rng.IntN(400)) * time.Microsecond
		wg.Go(func() {
			<-time.After(delay)
			act()
		})
	}
	at(func() { close(finish) })
	for n, method := range []string{http.MethodPost, http.MethodDelete} {
		control := r.dial() // dialling here keeps the delays comparable
		at(func() { statuses[n] = cancelOn(control, method, id) })
	}
	if leaves {
		at(func() { departures[rng.IntN(2)].leave(c) })
	} else {
		defer func() { _, _ = io.Copy(io.Discard, io.LimitReader(c, 1)) }()
	}
	wg.Wait()

	rec := r.record(id)
	require.Contains(t, []accounting.Outcome{accounting.OutcomeCompleted, accounting.OutcomeCancelled, accounting.OutcomeClientGone}, rec.Outcome)
	if !leaves {
		require.NotEqual(t, accounting.OutcomeClientGone, rec.Outcome)
	}
	for _, s := range statuses {
		require.Equal(t, string(rec.Outcome), s, "a cancel call told another outcome than the record")
	}
	return rec.Outcome
}

// cancelOn makes a cancel call on an open connection, from any goroutine, and returns
// the status it was told.
func cancelOn(c *client, method, id string) string {
	path := "/v1/requests/" + id
	if method == http.MethodPost {
		path += "/cancel"
	}
	if _, err := fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: sluice.test\r\n\r\n", method, path); err != nil {
		return err.Error()
	}
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return err.Error()
	}
	answer, err := decode[cancelled](resp.Body)
	if err != nil {
		return err.Error()
	}
	return answer.Status
}

// A cancel that meets the answer's head on its way leaves neither connection nor
// goroutine behind, whichever comes first.
// row A19
func TestCancelBetweenHeadAndBodyLeaksNothing(t *testing.T) {
	t.Parallel()
	const rounds = 200
	for kind, body := range bothKinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.srv.onPhase = func(x *exchange, p accounting.Phase) {
				if p == accounting.PhaseAwaitToken { // the head has been read, of the body nothing
					x.shut(ending{outcome: accounting.OutcomeCancelled, code: "cancelled"})
				}
			}
			c := r.dial()
			for i := range rounds {
				id := fmt.Sprintf("c%d", i)
				p := c.askOn(chatPath, body, "X-Request-Id: "+id)
				if kind == "stream" {
					p.requireWhole(t)
				} else {
					p.requireError(t, 499, "cancelled")
				}
				rec := r.record(id)
				requireEnded(t, rec, accounting.OutcomeCancelled, accounting.PhaseAwaitToken, "cancelled")
				require.NotNil(t, rec.CloseMicros)
			}
			require.Equal(t, rounds, len(r.allEnded()))
			require.Equal(t, rounds, r.up.Conns(), "a connection with a half-read answer was used again")
			r.requireUpstreamsClosed()
		})
	}
}

// A cancel call that comes as soon as the exchange exists ends it as any other.
// row A17
func TestCancelAtTheVeryBeginning(t *testing.T) {
	t.Parallel()
	const rounds = 200
	r := newRig(t)
	r.up.Handle(silence)
	control := r.dial()
	for i := range rounds {
		id := fmt.Sprintf("b%d", i)
		c := r.dial()
		c.send("POST", chatPath, streamBody, "X-Request-Id: "+id)
		for cancelOn(control, http.MethodPost, id) != "cancelled" {
		}
		read(c.response()).requireWhole(t)
		require.Equal(t, accounting.OutcomeCancelled, r.record(id).Outcome)
		require.NoError(t, c.Close())
	}
	require.Equal(t, rounds, len(r.allEnded()))
	r.requireUpstreamsClosed()
}
