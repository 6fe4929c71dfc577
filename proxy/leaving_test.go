package proxy

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// departures are the ways in which a client leaves. The kernel of a client that
// closes with unread bytes sends RST, so FIN is only FIN after everything was read.
var departures = []struct {
	name  string
	fin   bool
	leave func(*client)
}{
	{"FIN", true, func(c *client) { require.NoError(c, c.Close()) }},
	{"RST", false, (*client).reset},
}

// silence answers with nothing at all until the peer leaves.
func silence(e *fakeprovider.Exchange) { e.Hold() }

// streamThenSilence sends the head of a stream and these events, and no more.
func streamThenSilence(payloads ...string) func(*fakeprovider.Exchange) {
	return func(e *fakeprovider.Exchange) {
		e.StreamHead()
		for _, p := range payloads {
			e.Event(p)
		}
		e.Hold()
	}
}

// wholeThenSilence sends the head of a whole answer and a part of its body.
func wholeThenSilence(part string) func(*fakeprovider.Exchange) {
	return func(e *fakeprovider.Exchange) {
		e.Head(200, "Content-Type: application/json", "Content-Length: 4096")
		if part != "" {
			e.Body([]byte(part))
		}
		e.Hold()
	}
}

// readEvents reads n events of a stream whose head has been read.
func readEvents(tb testing.TB, body io.Reader, n int) (data []string) {
	tb.Helper()
	r := bufio.NewReader(body)
	for range n {
		data = append(data, nextEvent(tb, r))
	}
	return data
}

// metric is the value of a counter whose labels include these "name=value" pairs,
// summed over its series.
func (r *rig) metric(name string, labels ...string) (sum float64) {
	r.Helper()
	families, err := r.srv.metrics.Registry().Gather()
	require.NoError(r, err)
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			have := map[string]bool{}
			for _, l := range m.GetLabel() {
				have[l.GetName()+"="+l.GetValue()] = true
			}
			all := true
			for _, l := range labels {
				all = all && have[l]
			}
			if all {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

// allEnded waits until every exchange has its record, and returns the records.
func (r *rig) allEnded() []*accounting.Record {
	r.Helper()
	select {
	case <-r.srv.running.empty():
	case <-time.After(patience):
		require.Fail(r, "an exchange has not ended")
	}
	return r.ledger.Recent(0)
}

// until waits for a condition of the server's own state.
func (r *rig) until(what string, cond func() bool) {
	r.Helper()
	require.Eventually(r, cond, patience, time.Millisecond, what)
}

// dialNarrow connects with a receive buffer of a few KiB, so that a client that
// does not read holds back its server soon.
func (r *rig) dialNarrow() *client {
	r.Helper()
	d := net.Dialer{Control: narrowReceiveBuffer}
	c, err := d.Dial("tcp", r.addr)
	require.NoError(r, err)
	r.Cleanup(func() { _ = c.Close() })
	require.NoError(r, c.SetDeadline(time.Now().Add(2*patience)))
	return &client{TB: r.TB, Conn: c, r: bufio.NewReader(c)}
}

// requireUpstreamsClosed waits until every upstream connection is closed.
func (r *rig) requireUpstreamsClosed() {
	r.Helper()
	r.until("an upstream connection is still open", func() bool { return r.up.OpenConns() == 0 })
}

// picture is a chat request whose body has more than n bytes, most of them an image:
// there is nothing in it that would take long to count.
func picture(n int, stream bool) string {
	return fmt.Sprintf(`{"model":"m","stream":%v,"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,%s"}}]}]}`,
		stream, strings.Repeat("A", n))
}

// decode reads one JSON value.
func decode[T any](r io.Reader) (v T, err error) {
	err = json.NewDecoder(r).Decode(&v)
	return v, err
}
