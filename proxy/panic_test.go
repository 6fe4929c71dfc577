package proxy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// secret stands for what a panic's value may quote.
const secret = "panic-canary-7c1f"

// A panic in whatever phase ends its exchange as an internal error, with its upstream
// closed and its record written, and nothing else.
// row D8
func TestPanicIsContainedInEveryPhase(t *testing.T) {
	t.Parallel()
	phases := []accounting.Phase{
		accounting.PhaseConnect, accounting.PhaseSending, accounting.PhaseAwaitHeaders,
		accounting.PhaseAwaitToken, accounting.PhaseStreaming, accounting.PhaseTail,
	}
	stream := fakeprovider.ChatStream(fakeprovider.ChatOptions{IncludeUsage: true})
	sent := map[accounting.Phase][]string{ // the events that the upstream sends
		accounting.PhaseStreaming: stream[:2], accounting.PhaseTail: stream,
	}
	for kind, body := range bothKinds {
		for _, phase := range phases {
			t.Run(kind+"/"+phase.String(), func(t *testing.T) {
				t.Parallel()
				r := newRig(t, mayBillPartial)
				r.srv.onPhase = func(x *exchange, p accounting.Phase) {
					if p == phase && x.id == "bad" {
						panic(secret)
					}
				}
				bystander := r.dial()
				require.Equal(t, 200, bystander.askOn(chatPath, wholeBody).status)
				r.settled()
				if kind == "stream" {
					r.up.Handle(streamThenSilence(sent[phase]...))
				}

				p, rec := r.askAs("bad", body)
				if events := sent[phase]; kind == "stream" && len(events) > 0 {
					before, _ := strings.CutSuffix(chatText(events), "data: [DONE]\n\n")
					p.requireCut(t, "internal", before)
				} else {
					p.requireError(t, 500, "internal")
					require.Equal(t, phase >= accounting.PhaseAwaitHeaders, p.header.Get("X-Should-Retry") == "false")
				}
				requireEnded(t, rec, accounting.OutcomeInternal, phase, "internal")
				r.requireUpstreamsClosed()
				r.up.Handle(fakeprovider.DefaultScript)
				require.Contains(t, r.logs.String(), "panic in an exchange")
				require.NotContains(t, r.logs.String(), secret)

				require.Equal(t, 200, bystander.askOn(chatPath, wholeBody).status)
				require.Len(t, r.allEnded(), 3)
			})
		}
	}
}

// brokenLedger panics where the real one would write.
type brokenLedger struct {
	*accounting.Memory
	begin, finish bool
}

func (l *brokenLedger) Begin(i accounting.Intent) *accounting.Receipt {
	if l.begin {
		panic(secret)
	}
	return l.Memory.Begin(i)
}

func (l *brokenLedger) Finish(rec *accounting.Record) *accounting.Receipt {
	if l.finish {
		panic(secret)
	}
	return l.Memory.Finish(rec)
}

// A ledger that panics costs the request or its record, and nothing else.
func TestPanicOfTheLedgerIsContained(t *testing.T) {
	t.Parallel()
	for _, l := range []brokenLedger{{begin: true}, {finish: true}} {
		t.Run(fmt.Sprintf("begin=%v", l.begin), func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			good := r.srv.ledger
			r.srv.ledger = &brokenLedger{Memory: r.ledger, begin: l.begin, finish: l.finish}
			c := r.dial()
			p := c.askOn(chatPath, streamBody)
			if l.begin {
				p.requireError(t, 500, "internal")
				require.Zero(t, r.up.Conns())
			} else {
				p.requireWhole(t)
			}
			r.allEnded()
			require.NotContains(t, r.logs.String(), secret)

			r.srv.ledger = good
			require.NoError(t, c.Close())
			r.ask(streamBody).requireWhole(t)
		})
	}
}

// A panic while a client's leaving is dealt with, on the goroutine that watches all
// clients, harms no other client.
func TestPanicBesideThePumpIsContained(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.up.Handle(streamThenSilence(firstChunks...))
	c := r.dial()
	resp := c.post(streamBody, "X-Request-Id: bad")
	x := r.inPhase(accounting.PhaseStreaming)
	readEvents(t, resp.Body, len(firstChunks))
	x.aside(func() { panic(secret) })

	rec := r.record("bad")
	requireEnded(t, rec, accounting.OutcomeInternal, accounting.PhaseStreaming, "internal")
	requireClosed(t, r.up.WaitExchange(1).Conn)
	require.NotContains(t, r.logs.String(), secret)
	r.up.Handle(fakeprovider.DefaultScript)
	r.ask(streamBody).requireWhole(t)
}
