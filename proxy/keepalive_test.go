package proxy

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
)

// Requests that follow each other on kept connections, small answers between them,
// never see a trace of the exchange before: no departure, no deadline, no bytes.
// row A16
func TestKeepAliveFollowUpsAreUndisturbed(t *testing.T) {
	t.Parallel()
	const clients, rounds = 4, 240
	r := newRig(t)
	var wg sync.WaitGroup
	for n := range clients {
		c := r.dial()
		wg.Go(func() {
			for i := range rounds {
				var p reply
				switch i % 4 {
				case 0, 1:
					p = c.askOn(chatPath, streamBody, fmt.Sprintf("X-Request-Id: s%d-%d", n, i))
					if !strings.HasSuffix(string(p.body), "data: [DONE]\n\n") {
						p.status = 0
					}
				case 2:
					p = c.askOn(chatPath, wholeBody, fmt.Sprintf("X-Request-Id: w%d-%d", n, i))
				default:
					c.send("GET", "/v1/requests", "")
					p = read(c.response())
				}
				if p.err != nil || p.status != 200 {
					t.Errorf("request %d of client %d: status %d, %v, %q", i, n, p.status, p.err, p.body)
					return
				}
			}
		})
	}
	wg.Wait()

	records := r.allEnded()
	require.Equal(t, clients*rounds*3/4, len(records))
	for _, rec := range records {
		requireEnded(t, rec, accounting.OutcomeCompleted, accounting.PhaseTail, "")
		require.True(t, rec.Delivered)
	}
	require.LessOrEqual(t, r.up.Conns(), 4*clients, "upstream connections are not reused")
}

// A client that asks for it, or speaks HTTP/1.0, gets its connection closed after
// the answer.
// row A16
func TestConnectionCloseIsHonoured(t *testing.T) {
	t.Parallel()
	for kind, body := range bothKinds {
		for name, request := range map[string]string{
			"close": "HTTP/1.1\r\nHost: sluice.test\r\nConnection: close",
			"1.0":   "HTTP/1.0\r\nHost: sluice.test",
		} {
			t.Run(kind+"/"+name, func(t *testing.T) {
				t.Parallel()
				r := newRig(t)
				c := r.dial()
				_, err := fmt.Fprintf(c, "POST %s %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", chatPath, request, len(body), body)
				require.NoError(t, err)
				resp := c.response()
				require.True(t, resp.Close)
				p := read(resp)
				require.NoError(t, p.err)
				if kind == "stream" {
					p.requireWhole(t)
				}
				_, err = c.r.ReadByte()
				require.Error(t, err)
				rec := r.onlyRecord()
				requireEnded(t, rec, accounting.OutcomeCompleted, accounting.PhaseTail, "")
				require.True(t, rec.Delivered)
				require.EqualValues(t, len(p.body), rec.BytesDelivered)
			})
		}
	}
}
