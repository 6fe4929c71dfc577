package proxy

import (
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/accounting/tokens"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// row B5
func TestUpstreamThatLeavesBeforeItsHeadersIsNotRetried(t *testing.T) {
	t.Parallel()
	for kind, body := range bothKinds {
		for how, leave := range map[string]func(e *fakeprovider.Exchange){
			"eof":               func(e *fakeprovider.Exchange) { e.Close() },
			"reset":             func(e *fakeprovider.Exchange) { e.Reset() },
			"eof in the head":   func(e *fakeprovider.Exchange) { e.Raw([]byte("HTTP/1.1 200 OK\r\nContent-Ty")); e.Close() },
			"eof after a 100":   func(e *fakeprovider.Exchange) { e.Head(100); e.Close() },
			"eof before a byte": func(e *fakeprovider.Exchange) { e.CloseWrite(); e.Hold() },
		} {
			t.Run(kind+"/"+how, func(t *testing.T) {
				t.Parallel()
				r := newRig(t, mayBillPartial)
				r.up.Handle(leave)
				p, rec := r.askAs("a", body)
				p.requireError(t, 502, "upstream_closed")
				require.Equal(t, "false", p.header.Get("X-Should-Retry"), "it may have run")
				requireEnded(t, rec, accounting.OutcomeUpstreamError, accounting.PhaseAwaitHeaders, "upstream_closed")
				requireUsage(t, rec, accounting.SourceEstimated, accounting.MayBillPartial)
				require.False(t, rec.Usage.Output.N > 0)
				require.Zero(t, rec.StatusUpstream)
				require.Equal(t, 502, rec.StatusDownstream)
				require.Len(t, r.up.Exchanges(), 1)
				require.Equal(t, 1, r.up.Conns())
				r.up.WaitConn(1).WaitGone(patience)
			})
		}
	}
}

// row B6
func TestServerThatClosesIdleConnectionsCausesNoErrors(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	want := fakeprovider.ChatStream(fakeprovider.ChatOptions{IncludeUsage: true})
	r.up.Handle(func(e *fakeprovider.Exchange) {
		e.StreamHead()
		e.Play(want)
		e.Close()
	})
	c := r.dial()
	const rounds = 300
	for i := range rounds {
		p := read(c.post(streamBody))
		p.requireWhole(t)
		<-r.up.WaitExchange(i + 1).Ended()
	}
	require.Equal(t, rounds, r.up.Conns())
}

// row B6
func TestReusedConnectionThatDiesUnderARequestIsNotRetried(t *testing.T) {
	t.Parallel()
	for how, leave := range map[string]func(e *fakeprovider.Exchange){
		"eof": func(e *fakeprovider.Exchange) { e.Close() }, "reset": func(e *fakeprovider.Exchange) { e.Reset() },
	} {
		r := newRig(t, mayBillPartial)
		r.up.Handle(func(e *fakeprovider.Exchange) {
			if e.N == 1 {
				fakeprovider.DefaultScript(e)
				return
			}
			leave(e)
		})
		// Its answer ends with its last byte, and its record comes after its connection was kept.
		first, _ := r.askAs("first", wholeBody)
		require.Equal(t, 200, first.status)
		p, rec := r.askAs(how, streamBody)
		p.requireError(t, 502, "upstream_closed")
		require.Equal(t, "false", p.header.Get("X-Should-Retry"))
		requireEnded(t, rec, accounting.OutcomeUpstreamError, accounting.PhaseAwaitHeaders, "upstream_closed")
		requireUsage(t, rec, accounting.SourceEstimated, accounting.MayBillPartial)
		require.True(t, rec.Attempts[0].Reused)
		require.Equal(t, 1, r.up.Conns())
		require.Len(t, r.up.Exchanges(), 2)

		r.ask(streamBody).requireWhole(t)
		require.Equal(t, 2, r.up.Conns(), "the dead connection is not used again")
	}
}

// row B7
func TestResetInMidStreamEndsTheClientsStreamAsFailed(t *testing.T) {
	t.Parallel()
	all := fakeprovider.ChatStream(fakeprovider.ChatOptions{})
	for k := range len(all) - 2 { // behind the finish chunk the stream is whole
		t.Run(fmt.Sprint(k, " events"), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, mayBillPartial)
			seen := make(chan struct{})
			r.up.Handle(func(e *fakeprovider.Exchange) {
				e.StreamHead()
				for _, p := range all[:k] {
					e.Event(p)
				}
				<-seen
				e.Reset()
			})
			resp := r.dial().post(streamBody, "X-Request-Id: a")
			before := make([]byte, len(chatText(all[:k])))
			_, err := io.ReadFull(resp.Body, before)
			require.NoError(t, err)
			close(seen)
			p := read(resp)
			p.body = append(before, p.body...)
			p.requireCut(t, "upstream_reset", chatText(all[:k]))

			rec := r.record("a")
			phase := accounting.PhaseStreaming
			if k < 2 { // the first event has only the role
				phase = accounting.PhaseAwaitToken
			}
			requireEnded(t, rec, accounting.OutcomeUpstreamError, phase, "upstream_reset")
			requireUsage(t, rec, accounting.SourceEstimated, accounting.MayBillPartial)
			require.Equal(t, k >= 2, rec.Usage.Output.N > 0)
			require.EqualValues(t, k, rec.Chunks)
			require.EqualValues(t, len(p.body), rec.BytesDelivered)
			require.False(t, rec.Delivered)
			require.Equal(t, 200, rec.StatusDownstream)
			require.Equal(t, 200, rec.StatusUpstream)
			require.Len(t, r.up.Exchanges(), 1)
		})
	}
}

// row B7
func TestResetKeepsTheRunningUsageThatHadArrived(t *testing.T) {
	t.Parallel()
	all := fakeprovider.ChatStream(fakeprovider.ChatOptions{RunningUsage: true})
	r := newRig(t, mayBillPartial)
	seen := make(chan struct{})
	r.up.Handle(func(e *fakeprovider.Exchange) {
		e.StreamHead()
		for _, p := range all[:3] {
			e.Event(p)
		}
		<-seen
		e.Reset()
	})
	resp := r.dial().post(`{"model":"m","stream":true,"stream_options":{"include_usage":true,"continuous_usage_stats":true},"messages":[]}`, "X-Request-Id: a")
	_, err := io.ReadFull(resp.Body, make([]byte, len(chatText(all[:3]))))
	require.NoError(t, err)
	close(seen)
	read(resp)
	rec := r.record("a")
	require.Equal(t, accounting.SourceRunning, rec.UsageSource)
	require.Equal(t, tokens.Known(10), rec.Usage.Input)
	require.Equal(t, tokens.Known(2), rec.Usage.Output)
	require.JSONEq(t, fakeprovider.Usage{Prompt: 10, Completion: 2}.JSON(), string(rec.RawUsage))
}

// row B7
func TestResetInAWholeAnswerIsAnErrorResponse(t *testing.T) {
	t.Parallel()
	r := newRig(t, mayBillPartial)
	answer := fakeprovider.ChatAnswer(fakeprovider.ChatOptions{})
	reset := make(chan struct{})
	r.up.Handle(func(e *fakeprovider.Exchange) {
		e.Head(200, "Content-Type: application/json", fmt.Sprint("Content-Length: ", len(answer)))
		e.Body([]byte(answer[:20]))
		<-reset
		e.Reset()
	})
	c := r.dial()
	c.send("POST", chatPath, wholeBody, "X-Request-Id: a")
	r.inPhase(accounting.PhaseStreaming)
	close(reset)
	p := read(c.response())
	p.requireError(t, 502, "upstream_reset")
	require.Equal(t, "false", p.header.Get("X-Should-Retry"))
	rec := r.record("a")
	requireEnded(t, rec, accounting.OutcomeUpstreamError, accounting.PhaseStreaming, "upstream_reset")
	requireUsage(t, rec, accounting.SourceEstimated, accounting.MayBillPartial)
}
