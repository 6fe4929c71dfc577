package proxy

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// An answer whose framing is ambiguous is forwarded as the chunks say, and its
// connection carries no other exchange.
// row B20
func TestAmbiguousFramingIsNotReused(t *testing.T) {
	t.Parallel()
	want := fakeprovider.ChatStream(fakeprovider.ChatOptions{IncludeUsage: true})
	body := fakeprovider.ChunkedBody(fakeprovider.Events(want)...)
	for name, head := range map[string]string{
		"length too short":    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
		"length in front":     fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n", len(body)),
		"length behind":       fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\nContent-Length: %d\r\n\r\n", len(body)),
		"chunks in HTTP/1.0":  "HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n",
		"asked to close":      "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: Keep-Alive, Close\r\nTransfer-Encoding: chunked\r\n\r\n",
		"length of old style": "HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.up.Handle(func(e *fakeprovider.Exchange) {
				e.Raw([]byte(head))
				e.Raw(body)
				e.KeepAlive()
			})
			for i := range 3 {
				id := fmt.Sprint("a", i)
				p, rec := r.askAs(id, streamBody)
				p.requireWhole(t)
				require.Equal(t, chatText(want), string(p.body))
				require.Equal(t, accounting.OutcomeCompleted, rec.Outcome)
				require.False(t, rec.Attempts[0].Reused)
				require.Equal(t, i+1, r.up.Conns())
				requireClosed(t, r.up.WaitConn(i+1))
			}
		})
	}
}

// Bytes that nobody asked for never become the answer to the next request.
// row B21
func TestUnsolicitedBytesOnAnIdleConnectionAreNotAnAnswer(t *testing.T) {
	t.Parallel()
	const stranger = "another client's answer"
	late := fakeprovider.Response(200, "application/json", fakeprovider.ContentLength, []byte(`"`+stranger+`"`))
	for name, unasked := range map[string][]byte{
		"a second answer": late, "one byte": []byte("H"), "a timeout page": []byte("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			for i := range 3 {
				p := r.ask(streamBody)
				p.requireWhole(t)
				e := r.up.WaitExchange(i + 1)
				require.Equal(t, i+1, e.ConnID(), "each request has a connection of its own")
				e.Raw(unasked)
				require.NotContains(t, string(p.body), stranger)
			}
		})
	}
}

// What comes in one piece with an answer, behind its end, closes the connection.
// row B21
func TestBytesBehindAnAnswerAreNotTheNextAnswer(t *testing.T) {
	t.Parallel()
	answer := fakeprovider.ChatAnswer(fakeprovider.ChatOptions{})
	stream := fakeprovider.ChatStream(fakeprovider.ChatOptions{})
	second := fakeprovider.Response(200, "application/json", fakeprovider.ContentLength, []byte(`"another client's answer"`))
	for kind, first := range map[string][]byte{
		"stream": fakeprovider.Response(200, "text/event-stream", fakeprovider.Chunked, fakeprovider.Events(stream)...),
		"whole":  fakeprovider.Response(200, "application/json", fakeprovider.ContentLength, []byte(answer)),
	} {
		r := newRig(t)
		r.up.Handle(func(e *fakeprovider.Exchange) {
			e.Raw(append(append([]byte(nil), first...), second...))
			e.KeepAlive()
		})
		want := map[string]string{"stream": chatText(stream), "whole": answer}[kind]
		for i := range 3 {
			p := r.ask(bothKinds[kind])
			require.NoError(t, p.err)
			require.Equal(t, want, string(p.body))
			requireClosed(t, r.up.WaitConn(i+1))
		}
		require.Equal(t, 3, r.up.Conns())
	}
}

// An upstream that answers and stops reading before it has the whole request gets no
// more of it, and its answer reaches the client.
// row B22
func TestAnswerBeforeTheRequestWasReadIsForwarded(t *testing.T) {
	t.Parallel()
	const refusal = `{"error":{"message":"too large for us","type":"invalid_request_error","param":null,"code":"too_large"}}`
	for _, stream := range []bool{true, false} {
		t.Run(fmt.Sprint("stream=", stream), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, mayBillPartial)
			r.up.ReceiveBuffer(8 << 10)
			r.up.HoldBody()
			r.up.Handle(func(e *fakeprovider.Exchange) {
				e.JSON(413, refusal)
				e.Hold()
			})
			p, rec := r.askAs("a", picture(8<<20, stream))
			require.NoError(t, p.err)
			require.Equal(t, 413, p.status)
			require.Equal(t, refusal, string(p.body))
			require.Equal(t, accounting.OutcomeUpstreamError, rec.Outcome)
			require.Equal(t, "too_large", rec.Code)
			require.Equal(t, 413, rec.StatusUpstream)
			require.Equal(t, 413, rec.StatusDownstream)
			requireUsage(t, rec, accounting.SourceNone, accounting.MayBillNone)
			r.up.WaitConn(1).WaitGone(patience)
			require.Equal(t, 1, r.up.Conns())
		})
	}
}

// An upstream that begins its stream while the request is still on its way is served
// like any other.
// row B22
func TestStreamThatBeginsBeforeTheRequestWasReadIsForwarded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.up.ReceiveBuffer(8 << 10)
	r.up.HoldBody()
	want := fakeprovider.ChatStream(fakeprovider.ChatOptions{IncludeUsage: true})
	r.up.Handle(func(e *fakeprovider.Exchange) {
		e.StreamHead()
		e.Event(want[0])
		_, err := e.ReadBody()
		require.NoError(t, err)
		e.Play(want[1:])
	})
	p, rec := r.askAs("a", picture(4<<20, true))
	p.requireWhole(t)
	require.Equal(t, chatText(fakeprovider.ChatStream(fakeprovider.ChatOptions{})), string(p.body))
	require.Equal(t, accounting.OutcomeCompleted, rec.Outcome)
	require.Equal(t, accounting.SourceReported, rec.UsageSource)
}
