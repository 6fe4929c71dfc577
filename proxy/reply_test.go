package proxy

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// reply is what a client got for one request.
type reply struct {
	status int
	header http.Header
	body   []byte
	err    error // nil when the framing of the body was complete
}

// read reads a response to its end.
func read(resp *http.Response) reply {
	body, err := io.ReadAll(resp.Body)
	return reply{status: resp.StatusCode, header: resp.Header, body: body, err: err}
}

// ask posts a chat request on a connection of its own and reads the whole response.
func (r *rig) ask(body string, headers ...string) reply {
	r.Helper()
	return read(r.dial().post(body, headers...))
}

// askAs is ask with a request id, and the record of the exchange.
func (r *rig) askAs(id, body string, headers ...string) (reply, *accounting.Record) {
	r.Helper()
	p := r.ask(body, append(headers, "X-Request-Id: "+id)...)
	return p, r.record(id)
}

// askOn posts to any path on an open connection and reads the whole response.
func (c *client) askOn(path, body string, headers ...string) reply {
	c.Helper()
	c.send(http.MethodPost, path, body, headers...)
	return read(c.response())
}

// data lists the data of the events in a reply.
func (p reply) data() []string { return payloads(string(p.body)) }

// payloads lists the data of the events of a stream whose events have one data line
// each.
func payloads(stream string) []string {
	var out []string
	for line := range strings.Lines(stream) {
		if d, ok := strings.CutPrefix(line, "data: "); ok {
			out = append(out, strings.TrimRight(d, "\r\n"))
		}
	}
	return out
}

// requireWhole asserts a stream that ended well: one sentinel, as the last event, and
// a complete framing.
func (p reply) requireWhole(t testing.TB) {
	t.Helper()
	require.NoError(t, p.err)
	require.Equal(t, 200, p.status)
	require.Equal(t, 1, strings.Count(string(p.body), "[DONE]"), "%s", p.body)
	require.True(t, strings.HasSuffix(string(p.body), "data: [DONE]\n\n"), "%s", p.body)
}

// requireCut asserts a stream that was cut after the events in before: one error event
// of ours, and then the connection ended without the last chunk and without [DONE].
func (p reply) requireCut(t testing.TB, code, before string) {
	t.Helper()
	require.Equal(t, 200, p.status)
	require.True(t, errors.Is(p.err, io.ErrUnexpectedEOF), "the body ended with %v: %s", p.err, p.body)
	event, ok := strings.CutPrefix(string(p.body), before)
	require.True(t, ok, "got %q, want it to begin with %q", p.body, before)
	got := payloads(event)
	require.Len(t, got, 1, "%s", p.body)
	require.Equal(t, "data: "+got[0]+"\n\n", strings.TrimPrefix(event, "event: error\n"))
	require.Equal(t, code, errorOf(t, []byte(got[0])))
}

// requireError asserts a whole error response.
func (p reply) requireError(t testing.TB, status int, code string) {
	t.Helper()
	require.NoError(t, p.err)
	require.Equal(t, status, p.status, "%s", p.body)
	require.Equal(t, "application/json", p.header.Get("Content-Type"))
	require.Equal(t, code, errorOf(t, p.body))
}

// requireEnded asserts how a record says that an exchange ended, and that its one
// attempt agrees.
func requireEnded(t testing.TB, rec *accounting.Record, outcome accounting.Outcome, phase accounting.Phase, code string) {
	t.Helper()
	require.Equal(t, outcome, rec.Outcome, "code %q", rec.Code)
	require.Equal(t, phase, rec.Phase)
	require.Equal(t, code, rec.Code)
	require.Len(t, rec.Attempts, 1)
	require.Equal(t, outcome, rec.Attempts[0].Outcome)
	require.Equal(t, phase, rec.Attempts[0].Phase)
}

// requireUsage asserts where the numbers of a record come from and what the provider
// may charge.
func requireUsage(t testing.TB, rec *accounting.Record, source accounting.Source, mayBill string) {
	t.Helper()
	require.Equal(t, source, rec.UsageSource)
	require.Equal(t, mayBill, rec.MayBill)
	switch source {
	case accounting.SourceNone:
		require.False(t, rec.Usage.Any())
	case accounting.SourceEstimated:
		require.True(t, rec.Usage.Input.Known)
		require.Positive(t, rec.Usage.Input.N)
	}
}

// requireClosed asserts that sluice closed an upstream connection.
func requireClosed(t testing.TB, conn *fakeprovider.Conn) {
	t.Helper()
	gone := conn.WaitGone(patience)
	require.Contains(t, []string{fakeprovider.GoneEOF, fakeprovider.GoneReset}, gone.How)
}

// bothKinds are the requests that rows about all kinds of answers go through.
var bothKinds = map[string]string{"stream": streamBody, "whole": wholeBody}

// withoutUsage asks for a stream and leaves the asking for usage to sluice.
const withoutUsage = `{"model":"m","stream":true,"messages":[{"role":"user","content":"Say hello to the world."}]}`

// chatText is the stream that the fake provider plays for these payloads.
func chatText(payloads []string) string { return string(fakeprovider.SSE(payloads, "\n")) }
