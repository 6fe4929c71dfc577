package proxy

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// Of a target that fails every other time each client gets a whole answer, and the books
// say who has served it.
func TestFlappingTargetIsCoveredByTheOther(t *testing.T) {
	t.Parallel()
	for kind, body := range bothKinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			f := newFailoverRig(t, openAIs(2), offering("m", "ab"), retrying(func(r *config.Retry) { r.Budget = 100 }))
			f.up.Handle(func(e *fakeprovider.Exchange) {
				if e.Seq%2 == 0 {
					fakeprovider.Refusal(503)(e)
					return
				}
				telling(nonceOf(0))(e)
			})
			const rounds = 20
			for i := range rounds {
				p, rec := f.askAs(fmt.Sprint("r", i), body)
				if i%2 == 0 {
					f.requireTold(t, kind, 0, p)
					requireBooked(t, rec, served(0, accounting.AttemptFirst))
					continue
				}
				f.requireTold(t, kind, 1, p)
				requireBooked(t, rec, refusedWith(503).by(0, accounting.AttemptFirst), served(1, accounting.AttemptRetry))
			}
			require.Equal(t, []int{rounds, rounds / 2}, f.calls())
			require.InDelta(t, rounds/2, f.metric("sluice_retries_total", "provider=a", "model=m", "reason=status_503"), 0)
			f.requireNothingLeft(t)
		})
	}
}

// When all targets fail the client is told of the last fault, once, and each of them was
// asked once.
// rows B1, B5, B15
func TestClientIsToldOfTheLastFaultWhenAllTargetsFail(t *testing.T) {
	t.Parallel()
	const failed, late = accounting.OutcomeUpstreamError, accounting.OutcomeUpstreamTimeout
	closed := ran(failed, accounting.PhaseAwaitHeaders, "upstream_closed", 0)
	stalled := ran(late, accounting.PhaseAwaitToken, "upstream_timeout", 200)
	said := ran(failed, accounting.PhaseAwaitToken, "server_error", 200)
	for _, c := range []struct {
		name    string
		scripts [3]fakeprovider.Script // nil for a port that is closed
		rows    [3]row
		check   func(t *testing.T, p reply)
	}{
		{
			"refused",
			[3]fakeprovider.Script{},
			[3]row{neverRan(failed, "upstream_connect_failed"), neverRan(failed, "upstream_connect_failed"), neverRan(failed, "upstream_connect_failed")},
			func(t *testing.T, p reply) {
				p.requireError(t, 502, "upstream_connect_failed")
				require.Empty(t, p.header.Get("X-Should-Retry"), "nobody has run it")
			},
		},
		{
			"busy",
			[3]fakeprovider.Script{fakeprovider.Refusal(429, "Retry-After: 5"), fakeprovider.Refusal(529), fakeprovider.Refusal(503, "Retry-After: 3")},
			[3]row{refusedWith(429), refusedWith(529), refusedWith(503)},
			func(t *testing.T, p reply) {
				requireRefused(t, 503, p)
				require.Equal(t, "3", p.header.Get("Retry-After"))
			},
		},
		{
			"closed, and then refused",
			[3]fakeprovider.Script{fakeprovider.Cut(0, fakeprovider.EndClosed), fakeprovider.Refusal(503), nil},
			[3]row{closed, refusedWith(503), neverRan(failed, "upstream_connect_failed")},
			func(t *testing.T, p reply) {
				p.requireError(t, 502, "upstream_connect_failed")
				require.Equal(t, "false", p.header.Get("X-Should-Retry"), "the first target may have run it")
			},
		},
		{
			"begun streams",
			[3]fakeprovider.Script{
				streamThenSilence(begun[:1]...), func(e *fakeprovider.Exchange) { e.StreamHead(); e.Play([]string{fellOver}) }, streamThenSilence(),
			},
			[3]row{stalled, said, stalled},
			func(t *testing.T, p reply) { p.requireCut(t, "upstream_timeout", "") },
		},
		{
			"an error event before a target that is down",
			[3]fakeprovider.Script{
				streamThenSilence(begun[:1]...), func(e *fakeprovider.Exchange) { e.StreamHead(); e.Play([]string{fellOver}) }, nil,
			},
			[3]row{stalled, said, neverRan(failed, "upstream_connect_failed")},
			func(t *testing.T, p reply) {
				p.requireError(t, 502, "upstream_connect_failed")
				require.Equal(t, "false", p.header.Get("X-Should-Retry"))
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newFailoverRig(t, openAIs(3), offering("m", "abc", maybeRan, firstTokenWithin(quickToken)))
			want, rows := make([]int, 3), make([]row, 3)
			for i, script := range c.scripts {
				rows[i] = c.rows[i].by(i, accounting.AttemptRetry)
				if script == nil {
					f.ups[i].RefuseAll()
					continue
				}
				want[i] = 1
				f.ups[i].Handle(script)
			}
			rows[0].kind = accounting.AttemptFirst
			p, rec := f.askAs("a", streamBody)
			c.check(t, p)
			requireBooked(t, rec, rows...)
			requireAs(t, rec, rows[2])
			require.Equal(t, want, f.calls())
			f.requireNothingLeft(t)
		})
	}
}

// A target that keeps failing is left alone; when it has recovered, one request finds that
// out, and it gets the others again.
func TestTargetThatRecoversIsAskedAgain(t *testing.T) {
	t.Parallel()
	f := newFailoverRig(t, openAIs(2), offering("m", "ab"), func(cfg *config.Config) {
		cfg.Breaker = config.Breaker{Failures: 3, Open: config.Duration(200 * time.Millisecond)}
		cfg.Retry.Budget = 100
	})
	f.up.RefuseAll()
	for i := range 3 {
		p, rec := f.askAs(fmt.Sprint("down", i), streamBody)
		f.requireTold(t, "stream", 1, p)
		requireBooked(t, rec, neverRan(accounting.OutcomeUpstreamError, "upstream_connect_failed").by(0, accounting.AttemptFirst), served(1, accounting.AttemptRetry))
	}
	f.up.AcceptAgain()
	f.up.Handle(fakeprovider.InTurn(fakeprovider.Refusal(503), telling(nonceOf(0)))) // it is slow to recover
	asked := 0
	f.until("the target that has recovered serves nothing", func() bool {
		asked++
		_, rec := f.askAs(fmt.Sprint("up", asked), streamBody)
		require.Equal(t, accounting.OutcomeCompleted, rec.Outcome)
		return rec.Provider == "a"
	})
	require.Equal(t, 2, len(f.up.Exchanges()), "it was asked while it was left alone")
	for i := range 5 {
		p, rec := f.askAs(fmt.Sprint("well", i), streamBody)
		f.requireTold(t, "stream", 0, p)
		requireBooked(t, rec, served(0, accounting.AttemptFirst))
	}
	f.requireNothingLeft(t)
}

// Bytes that nobody asked for on a kept connection reach nobody, also when another target
// takes over: the next request gets a connection of its own.
// row B21
func TestPoisonedConnectionIsNotUsedAgain(t *testing.T) {
	t.Parallel()
	poison := fakeprovider.Response(200, "application/json", fakeprovider.ContentLength, []byte(`{"poison":true}`))
	refusal := fakeprovider.Response(503, "application/json", fakeprovider.ContentLength, []byte(fakeprovider.ErrorBody("m", "server_error", "refused")))
	const late = "after the refusal"
	for _, name := range []string{"behind an answer", "behind a refusal", late} {
		for kind, body := range bothKinds {
			t.Run(name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				poisoned := make(chan struct{}, 5)
				answer := map[string]fakeprovider.Script{
					"behind an answer": fakeprovider.Unsolicited(poison),
					"behind a refusal": func(e *fakeprovider.Exchange) {
						e.Raw(append(refusal[:len(refusal):len(refusal)], poison...))
						e.KeepAlive()
					},
					late: func(e *fakeprovider.Exchange) {
						e.Raw(refusal)
						e.Raw(poison)
						poisoned <- struct{}{}
						e.KeepAlive()
					},
				}[name]
				f := newFailoverRig(t, openAIs(2), offering("m", "ab"), retrying(func(r *config.Retry) { r.Budget = 100 }))
				f.up.Handle(answer)
				c := f.dial()
				for i := range 5 {
					p := read(c.post(body))
					require.NoError(t, p.err)
					require.Equal(t, 200, p.status)
					require.NotContains(t, string(p.body), "poison")
					if name != "behind an answer" {
						f.requireTold(t, kind, 1, p)
					}
					if name != late {
						requireClosed(t, f.up.WaitConn(i+1))
						continue
					}
					<-poisoned // it may have been kept by then, and is looked at before it is used
					if i > 0 {
						requireClosed(t, f.up.WaitConn(i))
					}
				}
				require.Equal(t, 5, f.up.Conns())
				require.LessOrEqual(t, f.ups[1].Conns(), 1)
				f.requireNothingLeft(t)
			})
		}
	}
}

// A kept connection that dies under a request may have carried it to a provider that ran
// it: as with any other, nobody else is asked unless that is allowed.
// row B6
func TestKeptConnectionThatDiesUnderARequest(t *testing.T) {
	t.Parallel()
	for kind, body := range bothKinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			f := newFailoverRig(t, openAIs(2), offering("careful", "ab"), offering("risky", "ab", maybeRan))
			f.up.Handle(func(e *fakeprovider.Exchange) {
				if e.N == 1 {
					telling(nonceOf(0))(e)
				}
			})
			closed := ran(accounting.OutcomeUpstreamError, accounting.PhaseAwaitHeaders, "upstream_closed", 0).by(0, accounting.AttemptFirst)
			for _, model := range []string{"careful", "risky"} {
				p, _ := f.askAs(model+"-whole", forModel(model, wholeBody))
				f.requireTold(t, "whole", 0, p)
				p, rec := f.askAs(model+"-dying", forModel(model, body))
				require.True(t, rec.Attempts[0].Reused)
				if model == "risky" {
					f.requireTold(t, kind, 1, p)
					requireBooked(t, rec, closed, served(1, accounting.AttemptRetry))
					continue
				}
				p.requireError(t, 502, "upstream_closed")
				require.Equal(t, "false", p.header.Get("X-Should-Retry"))
				requireBooked(t, rec, closed)
			}
			require.Equal(t, []int{4, 1}, f.calls())
			f.requireNothingLeft(t)
		})
	}
}

// A request that could not be sent as a whole has not run, however much of it was, and one
// that was refused before it was read has not either: another target gets all of it.
// rows B5, B22
func TestRequestThatIsCutOnItsWayGoesToTheNextTarget(t *testing.T) {
	t.Parallel()
	cut := row{
		outcome: accounting.OutcomeUpstreamError, phase: accounting.PhaseSending, code: "upstream_closed",
		source: accounting.SourceNone, mayBill: accounting.MayBillNone,
	}
	for name, c := range map[string]struct {
		script fakeprovider.Script
		row    row
	}{
		"reset":   {(*fakeprovider.Exchange).Reset, cut},
		"refused": {func(e *fakeprovider.Exchange) { fakeprovider.Refusal(429)(e); e.Hold() }, refusedWith(429)},
	} {
		for kind, stream := range map[string]bool{"stream": true, "whole": false} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				f := newFailoverRig(t, openAIs(2), offering("m", "ab"))
				f.up.ReceiveBuffer(4 << 10)
				f.up.HoldBody()
				f.up.Handle(c.script)
				body := picture(4<<20, stream)
				p, rec := f.askAs("a", body)
				require.Equal(t, 200, p.status)
				require.Equal(t, nonceOf(1)+" is here.", contentOf(kind, p))
				requireBooked(t, rec, c.row.by(0, accounting.AttemptFirst), served(1, accounting.AttemptRetry))
				sent := f.ups[1].WaitExchange(1).Request.Body
				require.True(t, bytes.HasSuffix(sent, []byte(body[len(body)/2:])), "it got another request")
				f.up.WaitConn(1).WaitGone(patience)
				f.requireNothingLeft(t)
			})
		}
	}
}
