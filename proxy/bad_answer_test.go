package proxy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// requireRefusedAnswer asserts an exchange whose upstream answered with something
// that no client may see.
func requireRefusedAnswer(t testing.TB, p reply, rec *accounting.Record, code string) {
	t.Helper()
	p.requireError(t, 502, code)
	require.Equal(t, accounting.OutcomeUpstreamError, rec.Outcome)
	require.Equal(t, code, rec.Code)
	require.Equal(t, 502, rec.StatusDownstream)
	require.True(t, rec.Delivered)
}

// Garbage instead of HTTP reaches neither the client nor the log, and its connection
// is closed at once.
// row B13
func TestGarbageInsteadOfHTTPIsBadGateway(t *testing.T) {
	t.Parallel()
	const canary = "canary-7f3a"
	for name, raw := range map[string]string{
		"text":                "hello " + canary + "\r\n\r\n",
		"another protocol":    "SSH-2.0-" + canary + "\r\n",
		"TLS alert":           "\x15\x03\x01\x00\x02\x02\x46" + canary,
		"HTTP/2 preface":      "\x00\x00\x12\x04\x00\x00\x00\x00\x00" + canary,
		"HTTP/0.9 page":       "<html>" + canary + "</html>",
		"HTTP/2.0 in text":    "HTTP/2.0 200 OK\r\nX: " + canary + "\r\n\r\n",
		"HTTP/1.2":            "HTTP/1.2 200 OK\r\nX: " + canary + "\r\n\r\n",
		"small letters":       "http/1.1 200 OK\r\nX: " + canary + "\r\n\r\n",
		"no status":           "HTTP/1.1 OK " + canary + "\r\n\r\n",
		"status of two":       "HTTP/1.1 20 " + canary + "\r\n\r\n",
		"status 099":          "HTTP/1.1 099 " + canary + "\r\n\r\n",
		"status 999":          "HTTP/1.1 999 " + canary + "\r\n\r\n",
		"negative status":     "HTTP/1.1 -200 " + canary + "\r\n\r\n",
		"bare LF":             "HTTP/1.1 200 OK\nX: " + canary + "\n\n",
		"no colon":            "HTTP/1.1 200 OK\r\n" + canary + "\r\n\r\n",
		"no name":             "HTTP/1.1 200 OK\r\n: " + canary + "\r\n\r\n",
		"space in a name":     "HTTP/1.1 200 OK\r\nX y: " + canary + "\r\n\r\n",
		"space after a name":  "HTTP/1.1 200 OK\r\nX : " + canary + "\r\n\r\n",
		"folded line":         "HTTP/1.1 200 OK\r\nX: a\r\n " + canary + "\r\n\r\n",
		"NUL in a value":      "HTTP/1.1 200 OK\r\nX: a\x00" + canary + "\r\n\r\n",
		"bare CR in a value":  "HTTP/1.1 200 OK\r\nX: a\rb: " + canary + "\r\n\r\n",
		"bad length":          "HTTP/1.1 200 OK\r\nContent-Length: 1 " + canary + "\r\n\r\n",
		"negative length":     "HTTP/1.1 200 OK\r\nX: " + canary + "\r\nContent-Length: -1\r\n\r\n",
		"plus in a length":    "HTTP/1.1 200 OK\r\nX: " + canary + "\r\nContent-Length: +1\r\n\r\n",
		"huge length":         "HTTP/1.1 200 OK\r\nX: " + canary + "\r\nContent-Length: 99999999999999999999\r\n\r\n",
		"two lengths":         "HTTP/1.1 200 OK\r\nX: " + canary + "\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
		"two lengths in one":  "HTTP/1.1 200 OK\r\nX: " + canary + "\r\nContent-Length: 1, 2\r\n\r\n",
		"unknown coding":      "HTTP/1.1 200 OK\r\nX: " + canary + "\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
		"chunked twice":       "HTTP/1.1 200 OK\r\nX: " + canary + "\r\nTransfer-Encoding: chunked, chunked\r\n\r\n",
		"an endless line":     "HTTP/1.1 200 " + strings.Repeat(canary, 8000),
		"switching protocols": "HTTP/1.1 101 Switching Protocols\r\nUpgrade: " + canary + "\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, mayBillPartial)
			r.up.Handle(func(e *fakeprovider.Exchange) {
				e.Raw([]byte(raw))
				e.Hold()
			})
			for kind, body := range bothKinds {
				p, rec := r.askAs(kind, body)
				requireRefusedAnswer(t, p, rec, "upstream_bad_response")
				require.Equal(t, "false", p.header.Get("X-Should-Retry"))
				requireEnded(t, rec, accounting.OutcomeUpstreamError, accounting.PhaseAwaitHeaders, "upstream_bad_response")
				requireUsage(t, rec, accounting.SourceEstimated, accounting.MayBillPartial)
				require.Zero(t, rec.StatusUpstream)
				require.NotContains(t, string(p.body), canary)
			}
			for n := range 2 {
				requireClosed(t, r.up.WaitConn(n+1))
			}
			require.NotContains(t, r.logs.String(), canary)
		})
	}
}

// Chunk framing that makes no sense ends a stream as failed, with the events that
// came before it delivered.
// row B13
func TestGarbageInsteadOfChunksCutsTheStream(t *testing.T) {
	t.Parallel()
	first := fakeprovider.ChatStream(fakeprovider.ChatOptions{})[:2]
	for name, garbage := range map[string]string{
		"no number": "zz\r\n", "negative": "-5\r\nhello\r\n", "with 0x": "0x5\r\nhello\r\n", "too long": "fffffffffffffffff\r\n",
		"no CRLF behind a chunk": "5\r\nhelloXX", "bare LF": "5\nhello\n", "space in front": " 5\r\nhello\r\n",
		"endless size": strings.Repeat("0", 8<<10),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, mayBillPartial)
			r.up.Handle(func(e *fakeprovider.Exchange) {
				e.StreamHead()
				e.Event(first[0])
				e.Event(first[1])
				e.Raw([]byte(garbage))
				e.Hold()
			})
			p, rec := r.askAs("a", streamBody)
			p.requireCut(t, "upstream_bad_response", chatText(first))
			requireEnded(t, rec, accounting.OutcomeUpstreamError, accounting.PhaseStreaming, "upstream_bad_response")
			requireUsage(t, rec, accounting.SourceEstimated, accounting.MayBillPartial)
			require.False(t, rec.Delivered)
			requireClosed(t, r.up.WaitConn(1))
		})
	}
}

// A redirect is not followed, not even to a server that would answer.
// row B18
func TestRedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	for _, status := range []int{300, 301, 302, 303, 305, 307, 308} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, mayBillPartial)
			elsewhere := fakeprovider.New(t)
			r.up.Handle(func(e *fakeprovider.Exchange) {
				e.Head(status, "Location: "+elsewhere.URL()+chatPath, "Content-Length: 0")
			})
			for kind, body := range bothKinds {
				p, rec := r.askAs(kind, body, "Authorization: Bearer very-secret")
				requireRefusedAnswer(t, p, rec, "upstream_redirect")
				require.Empty(t, p.header.Get("Location"))
				require.Empty(t, p.header.Get("X-Should-Retry"))
				requireUsage(t, rec, accounting.SourceNone, accounting.MayBillNone)
				require.Equal(t, status, rec.StatusUpstream)
				require.NotContains(t, string(p.body), elsewhere.Addr())
			}
			require.Zero(t, elsewhere.Conns())
			require.Len(t, r.up.Exchanges(), 2)
		})
	}
}

// Interim responses are swallowed, however they arrive, as long as they are few.
// row B19
func TestInterimResponsesAreSwallowed(t *testing.T) {
	t.Parallel()
	want := fakeprovider.ChatStream(fakeprovider.ChatOptions{IncludeUsage: true})
	for name, interim := range map[string][]int{
		"continue": {100}, "processing": {102}, "early hints": {103}, "five": {103, 100, 102, 103, 103},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.up.Handle(func(e *fakeprovider.Exchange) {
				for _, status := range interim {
					e.Head(status, "Link: </style.css>; rel=preload", "X-RateLimit-Limit: 1")
				}
				e.StreamHead()
				e.Play(want)
			})
			for range 2 {
				p, rec := r.askAs("a", streamBody)
				p.requireWhole(t)
				require.Equal(t, chatText(want), string(p.body))
				require.Empty(t, p.header.Get("X-RateLimit-Limit"))
				require.Equal(t, accounting.OutcomeCompleted, rec.Outcome)
				require.Equal(t, 200, rec.StatusUpstream)
			}
			require.Equal(t, 1, r.up.Conns(), "the connection is as good as any")
		})
	}
}

// row B19
func TestEndlessInterimResponsesAreBadGateway(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.up.Handle(func(e *fakeprovider.Exchange) {
		for e.Head(103, "Link: </style.css>") {
		}
	})
	p, rec := r.askAs("a", streamBody)
	requireRefusedAnswer(t, p, rec, "upstream_bad_response")
	r.up.WaitConn(1).WaitGone(patience)
}
