package proxy

import (
	"bufio"
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/fakeprovider"
	"github.com/sluicehq/sluice/proxy/access"
)

// slowLedger keeps nothing before it is told to.
type slowLedger struct {
	*accounting.Memory
	refusal error // of intents, if there is one

	mu       sync.Mutex
	waiting  []*accounting.Receipt
	required []bool
	hold     bool
}

func (l *slowLedger) receipt(kept *accounting.Receipt) *accounting.Receipt {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.hold {
		return kept
	}
	held := accounting.NewReceipt()
	l.waiting = append(l.waiting, held)
	return held
}

func (l *slowLedger) Begin(i accounting.Intent) *accounting.Receipt {
	l.mu.Lock()
	l.required = append(l.required, i.Required)
	l.mu.Unlock()
	if l.refusal != nil {
		return accounting.Settled(l.refusal)
	}
	return l.receipt(l.Memory.Begin(i))
}

func (l *slowLedger) Finish(r *accounting.Record) *accounting.Receipt {
	return l.receipt(l.Memory.Finish(r))
}

// held waits until the ledger has been told something that it does not keep yet.
func (l *slowLedger) held(t testing.TB) *accounting.Receipt {
	t.Helper()
	var first *accounting.Receipt
	require.Eventually(t, func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		if len(l.waiting) > 0 {
			first, l.waiting = l.waiting[0], l.waiting[1:]
		}
		return first != nil
	}, patience, time.Millisecond, "the ledger was told nothing")
	return first
}

func (l *slowLedger) holdNow(hold bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hold = hold
}

// Nothing is sent to a provider before the intent is durable, and the client does not see
// the end of its answer before the record is.
// row D2
func TestIntentAndRecordAreDurableInTime(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{"stream": streamBody, "whole": wholeBody} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			slow := &slowLedger{Memory: r.ledger, hold: true}
			r.srv.ledger = slow
			c := r.dial()
			c.send("POST", chatPath, body, "X-Request-Id: a")
			intent := slow.held(t)
			require.Empty(t, r.up.Exchanges())
			intent.Settle(nil)
			r.up.WaitExchange(1)

			record := slow.held(t)
			require.NoError(t, c.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
			before, err := readUntilError(c.r)
			require.Error(t, err, "the client got the end of its answer: %s", before)
			require.NotContains(t, before, "[DONE]")
			require.NotContains(t, before, "0\r\n\r\n")
			rec, ok := r.ledger.Get(context.Background(), "a")
			require.True(t, ok)
			requireEnded(t, rec, accounting.OutcomeCompleted, accounting.PhaseTail, "")
			require.True(t, rec.Delivered)

			slow.holdNow(false)
			record.Settle(nil)
			require.NoError(t, c.SetReadDeadline(time.Now().Add(patience)))
			if body == streamBody {
				rest := ""
				for line := ""; line != "0\r\n"; rest += line {
					line, err = c.r.ReadString('\n')
					require.NoError(t, err)
				}
				require.Contains(t, rest, "[DONE]")
			} else {
				require.Equal(t, 200, read(c.response()).status)
			}
			require.Same(t, rec, r.record("a"), "what was foreseen has come true")
		})
	}
}

func readUntilError(r *bufio.Reader) (got string, err error) {
	for {
		b, err := r.ReadByte()
		if err != nil {
			return got, err
		}
		got += string(b)
	}
}

// A client that leaves before the last byte, which the record had foreseen as delivered,
// changes the record.
func TestARecordIsCorrectedWhenTheLastByteIsNotDelivered(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	slow := &slowLedger{Memory: r.ledger}
	r.srv.ledger = slow
	r.up.Handle(func(e *fakeprovider.Exchange) {
		slow.holdNow(true)
		fakeprovider.DefaultScript(e)
	})
	c := r.dial()
	c.send("POST", chatPath, streamBody, "X-Request-Id: a")
	record := slow.held(t)
	x := r.srv.running.get("a")
	c.reset()
	require.Eventually(t, func() bool { // its kernel knows
		_, err := x.down.Write([]byte("\n"))
		return err != nil
	}, patience, time.Millisecond)
	record.Settle(nil)
	rec := r.record("a")
	requireEnded(t, rec, accounting.OutcomeCompleted, accounting.PhaseTail, "")
	require.False(t, rec.Delivered)
}

// While the ledger cannot be written, requests that may not go on without are refused in
// the client's dialect, reach no provider and leave no record.
// row D3
func TestRequestsAreRefusedWithoutALedger(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{"stream": streamBody, "whole": wholeBody} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.srv.ledger = &slowLedger{Memory: r.ledger, refusal: accounting.ErrLedgerUnavailable}
			c := r.dial()
			p := c.askOn(chatPath, body)
			p.requireError(t, 503, "ledger_unavailable")
			require.Equal(t, "1", p.header.Get("Retry-After"))
			r.until("it is still listed", func() bool { return len(r.srv.running.all()) == 0 })
			require.Empty(t, r.up.Exchanges())
			require.Zero(t, r.ledger.Len())
			require.EqualValues(t, 1, r.scraper(t).scrape()[`sluice_rejected_total{code="ledger_unavailable"}`])
			r.srv.ledger = r.ledger
			require.Equal(t, 200, c.askOn(chatPath, body).status)
		})
	}
}

func TestKeysWithHardBudgetsNeedTheLedger(t *testing.T) {
	t.Parallel()
	hard := config.Quota{Budgets: []config.Budget{{Tokens: 1000, Per: "day", Hard: true}}}
	soft := config.Quota{Budgets: []config.Budget{{Tokens: 1000, Per: "day"}}}
	for _, c := range []struct {
		global, own string
		limits      config.Quota
		required    bool
	}{
		{"auto", "", config.Quota{}, false},
		{"auto", "", hard, true},
		{"auto", "", soft, false},
		{"auto", "allow", hard, false},
		{"auto", "refuse", soft, true},
		{"refuse", "", config.Quota{}, true},
		{"allow", "", hard, false},
	} {
		r := newRig(t, func(cfg *config.Config) { cfg.OnLedgerFailure = c.global })
		x := &exchange{gen: r.srv.current(), srv: r.srv, owner: &access.Caller{OnLedgerFailure: c.own, Limits: c.limits}}
		require.Equal(t, c.required, x.ledgerRequired(), "%+v", c)
	}
}
