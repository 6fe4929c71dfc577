package proxy

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// errorBodies are the shapes in which providers explain themselves.
var errorBodies = []struct {
	contentType, body string
	message           string // that the client has to see; empty: any
	same              bool   // the body reaches the client as it is
}{
	{"application/json", `{"error":{"message":"Rate limit reached","type":"requests","param":null,"code":"rate_limit_exceeded"}}`, "Rate limit reached", true},
	{"application/json; charset=utf-8", "{\n  \"error\": {\"message\": \"odd  spacing\", \"code\": 1113, \"extra\": [1.0]}\n}\n", "odd  spacing", true},
	{"application/json", `{"detail":"Not authenticated"}`, "Not authenticated", false},
	{"application/json", `{"detail":[{"loc":["body","messages"],"msg":"field required","type":"missing"}]}`, "body.messages: field required", false},
	{"application/json", `{"error":"model not found"}`, "model not found", false},
	{"application/json", `{"object":"error","message":"max context is 4096","type":"BadRequestError","param":null,"code":400}`, "max context is 4096", false},
	{"application/json", `[{"error":{"code":429,"message":"quota","status":"RESOURCE_EXHAUSTED"}}]`, "quota", false},
	{"application/json", `{"message":"Unauthorized"}`, "Unauthorized", false},
	{"application/json", ``, "", false},
	{"application/json", `{"error":{"message":"cut`, "", false},
	{"application/json", `null`, "", false},
	{"text/html", "<html><body>upstream-internal-page</body></html>", "", false},
	{"text/plain", "upstream connect error", "upstream connect error", false},
	{"", "", "", false},
	{"text/event-stream", "data: {\"error\":{\"message\":\"from a stream\",\"type\":\"t\"}}\n\n", "from a stream", false},
}

// Every error status of a provider reaches the client as it is, with a body in the
// client's dialect, whatever the provider wrote; and the connection lives on.
// row B15
func TestEveryErrorStatusIsPassedOnInTheClientsDialect(t *testing.T) {
	t.Parallel()
	for kind, request := range bothKinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, mayBillPartial)
			c := r.dial()
			for status := 400; status < 600; status++ {
				shape := errorBodies[status%len(errorBodies)]
				r.up.Handle(func(e *fakeprovider.Exchange) {
					fields := []string{fmt.Sprint("Content-Length: ", len(shape.body)), "X-RateLimit-Limit: 9", "X-Request-Id: up-1", "Set-Cookie: a=b"}
					if shape.contentType != "" {
						fields = append(fields, "Content-Type: "+shape.contentType)
					}
					e.Head(status, fields...)
					e.Body([]byte(shape.body))
				})
				id := fmt.Sprint(kind, status)
				p := read(c.post(request, "X-Request-Id: "+id))
				requireShapedError(t, p, status, shape.contentType, shape.body, shape.message, shape.same)
				require.Equal(t, "9", p.header.Get("X-RateLimit-Limit"))
				require.Empty(t, p.header.Get("Set-Cookie"))

				rec := r.record(id)
				require.Equal(t, accounting.OutcomeUpstreamError, rec.Outcome)
				require.Equal(t, status, rec.StatusUpstream)
				require.Equal(t, status, rec.StatusDownstream)
				require.Equal(t, status, rec.Attempts[0].Status)
				require.Equal(t, "up-1", rec.UpstreamRequestID)
				requireUsage(t, rec, accounting.SourceNone, accounting.MayBillNone)
				require.True(t, rec.Delivered)
			}
			require.Equal(t, 1, r.up.Conns(), "an error answer that was read does not cost its connection")
			require.Len(t, r.up.Exchanges(), 200, "nothing is tried twice")
		})
	}
}

func requireShapedError(t testing.TB, p reply, status int, contentType, body, message string, same bool) {
	t.Helper()
	require.NoError(t, p.err)
	require.Equal(t, status, p.status)
	if same {
		require.Equal(t, body, string(p.body))
		require.Equal(t, contentType, p.header.Get("Content-Type"))
	} else {
		require.Equal(t, "application/json", p.header.Get("Content-Type"))
	}
	var got struct {
		Error struct {
			Message string
			Type    *string
		}
	}
	require.NoError(t, json.Unmarshal(p.body, &got), "%s", p.body)
	require.NotEmpty(t, got.Error.Message)
	require.NotContains(t, string(p.body), "upstream-internal-page")
	if message != "" {
		require.Equal(t, message, got.Error.Message)
	}
	if !same && !strings.Contains(body, `"error":{`) { // nothing of the provider's own to keep
		require.NotNil(t, got.Error.Type, "%s became %s", body, p.body)
		require.NotEmpty(t, *got.Error.Type)
	}
}

// row B15
func TestErrorBodyIsReadUpToABound(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.up.Handle(func(e *fakeprovider.Exchange) {
		e.Head(500, "Content-Type: application/json", "Transfer-Encoding: chunked")
		e.Chunk([]byte(`{"error":{"message":"`))
		for e.Chunk([]byte(strings.Repeat("long ", 10<<10))) {
		}
	})
	p, rec := r.askAs("a", streamBody)
	require.NoError(t, p.err)
	require.Equal(t, 500, p.status)
	require.LessOrEqual(t, len(p.body), 1<<20)
	errorOf(t, p.body)
	require.Equal(t, 500, rec.StatusUpstream)
	require.Equal(t, accounting.OutcomeUpstreamError, rec.Outcome)
	r.up.WaitConn(1).WaitGone(patience)
}

// An error answer that is itself cut short is still the provider's error.
// row B15
func TestErrorBodyThatIsCutKeepsItsStatus(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.up.Handle(func(e *fakeprovider.Exchange) {
		e.Head(429, "Content-Type: application/json", "Content-Length: 1000", "Retry-After: 3")
		e.Body([]byte(`{"error":{"message":"slow down"`))
	})
	p, rec := r.askAs("a", streamBody)
	require.NoError(t, p.err)
	require.Equal(t, 429, p.status)
	errorOf(t, p.body)
	require.Equal(t, "3", p.header.Get("Retry-After"))
	require.Equal(t, 429, rec.StatusUpstream)
	require.Equal(t, accounting.OutcomeUpstreamError, rec.Outcome)
	requireUsage(t, rec, accounting.SourceNone, accounting.MayBillNone)
}

// Retry-After is passed on as it is, sensible or not, and not acted upon.
// row B16
func TestRetryAfterIsPassedOnUnchanged(t *testing.T) {
	t.Parallel()
	for _, status := range []int{429, 503, 529} {
		for _, value := range []string{
			"0", "1", "120", "1.5", "Wed, 21 Oct 2026 07:28:00 GMT", "Sun, 06 Nov 1994 08:49:37 GMT", "-1", "99999999999999999999", "soon",
		} {
			r := newRig(t)
			r.up.Handle(func(e *fakeprovider.Exchange) {
				e.JSON(status, fakeprovider.ErrorBody("slow down", "rate_limit", "rate_limit_exceeded"), "Retry-After: "+value)
			})
			p, rec := r.askAs("a", streamBody)
			require.Equal(t, status, p.status)
			require.Equal(t, []string{value}, p.header.Values("Retry-After"))
			require.Equal(t, "rate_limit_exceeded", errorOf(t, p.body))
			require.Equal(t, "rate_limit_exceeded", rec.Code)
			require.Len(t, rec.Attempts, 1)
			require.Len(t, r.up.Exchanges(), 1)
		}
	}
}
