package proxy

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A client that leaves at any byte of its request has asked for nothing: no upstream
// connection is made before the body is complete, and there is no record.
// row A1
func TestUploadCutAtEveryByteContactsNobody(t *testing.T) {
	t.Parallel()
	body := strings.Replace(streamBody, "Say hello", strings.Repeat("Say hello. ", 150), 1)
	plain := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: sluice.test\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", chatPath, len(body), body)
	body = streamBody
	half := len(body) / 2
	chunked := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: sluice.test\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n",
		chatPath, half, body[:half], len(body)-half, body[half:])
	for name, request := range map[string]string{"content length": plain, "chunked": chunked} {
		for _, d := range departures {
			t.Run(name+"/"+d.name, func(t *testing.T) {
				t.Parallel()
				r := newRig(t)
				for cut := range len(request) {
					c := r.dial()
					_, err := io.WriteString(c, request[:cut])
					require.NoError(t, err)
					d.leave(c)
				}
				if d.fin { // after a reset the kernel drops what it has received
					want := float64(len(request) - 1) // a connection without a byte is no request
					r.until("an aborted upload was not counted", func() bool {
						return r.metric("sluice_rejected_total", "code=aborted_upload") >= want
					})
					require.InEpsilon(t, want, r.metric("sluice_rejected_total"), 0)
				}
				require.Empty(t, r.allEnded())
				require.Zero(t, r.up.Conns())

				resp := r.dial().post(wholeBody)
				require.Equal(t, 200, resp.StatusCode)
			})
		}
	}
}
