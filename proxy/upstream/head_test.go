package upstream

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// headOf reads a head that arrives in one piece.
func headOf(t *testing.T, wire string) (*Head, error) {
	t.Helper()
	var h Head
	var s headScan
	n, err := s.next([]byte(wire))
	if err != nil {
		return nil, err
	}
	require.Equal(t, len(wire), n, "the head has no end")
	return &h, h.parse(wire)
}

func TestHeadIsReadWithItsFields(t *testing.T) {
	h, err := headOf(t, "HTTP/1.1 429 Too Many\tRequests \xe9\r\nContent-Type:application/json\r\nRetry-After: \t 3 \t\r\nX-Empty:\r\nContent-Length: 7\r\ncontent-encoding: gzip\r\nContent-Encoding: br\r\n\r\n")
	require.NoError(t, err)
	require.Equal(t, 429, h.Status)
	require.Equal(t, "application/json", h.ContentType)
	require.Equal(t, "gzip, br", h.ContentEncoding)
	require.Equal(t, int64(7), h.ContentLength)
	require.False(t, h.Chunked)
	require.False(t, h.Close)
	require.Equal(t, "3", h.Get("retry-after"))
	require.Equal(t, "", h.Get("x-empty"))
	require.Equal(t, "", h.Get("absent"))
	require.Equal(t, Field{"Retry-After", "3"}, h.Fields[1])

	h, err = headOf(t, "HTTP/1.0 200\r\n\r\n")
	require.NoError(t, err)
	require.Equal(t, int64(-1), h.ContentLength)
	require.True(t, h.Close)
}

func TestHeadIsForgottenByTheNext(t *testing.T) {
	var h Head
	require.NoError(t, h.parse("HTTP/1.1 200 OK\r\nA: 1\r\nContent-Type: x\r\nContent-Encoding: y\r\nConnection: close\r\nContent-Length: 3\r\n\r\n"))
	require.NoError(t, h.parse("HTTP/1.1 201 OK\r\nB: 2\r\n\r\n"))
	require.Equal(t, Head{Status: 201, Fields: []Field{{"B", "2"}}, ContentLength: -1}, h)
}

func TestFramingOfTheBody(t *testing.T) {
	f := func(head, method string, kind bodyKind, length int64, closing bool) {
		t.Helper()
		h, err := headOf(t, head+"\r\n\r\n")
		require.NoError(t, err, head)
		require.Equal(t, kind, h.bodyKind(method), head)
		require.Equal(t, length, h.ContentLength, head)
		require.Equal(t, closing, h.Close, head)
	}
	f("HTTP/1.1 200 OK\r\nContent-Length: 5", "POST", bodyLength, 5, false)
	f("HTTP/1.1 200 OK\r\nContent-Length: 0", "POST", bodyNone, 0, false)
	f("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5", "POST", bodyLength, 5, false)
	f("HTTP/1.1 200 OK\r\nContent-Length: 5, 5", "POST", bodyLength, 5, false)
	f("HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked", "POST", bodyChunked, -1, false)
	f("HTTP/1.1 200 OK", "POST", bodyUntilClose, -1, false)

	// The coding wins over the length, and the connection is over.
	f("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked", "POST", bodyChunked, -1, true)
	f("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5", "POST", bodyChunked, -1, true)
	f("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked", "POST", bodyChunked, -1, true)

	f("HTTP/1.0 200 OK\r\nContent-Length: 5", "POST", bodyLength, 5, true)
	f("HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: Keep-Alive", "POST", bodyLength, 5, false)
	f("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: foo , Close", "POST", bodyLength, 5, true)
	f("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\nConnection: close", "POST", bodyLength, 5, true)

	f("HTTP/1.1 200 OK\r\nContent-Length: 5", "HEAD", bodyNone, 5, false)
	f("HTTP/1.1 304 Not Modified\r\nContent-Length: 5", "GET", bodyNone, 5, false)
	f("HTTP/1.1 204 No Content", "POST", bodyNone, -1, false)
	f("HTTP/1.1 204 No Content\r\nContent-Length: 5", "POST", bodyNone, 5, true)
	f("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked", "POST", bodyNone, -1, true)
	f("HTTP/1.1 200 Connected\r\nContent-Length: 5", "CONNECT", bodyNone, 5, false)
	f("HTTP/1.1 407 No\r\nContent-Length: 5", "CONNECT", bodyLength, 5, false)
}

func TestMalformedHeadsAreRefused(t *testing.T) {
	for name, wire := range map[string]string{
		"not HTTP":                  "SSH-2.0-OpenSSH_9.9\r\n",
		"not HTTP, no line end":     "<html>",
		"HTTP/2":                    "HTTP/2.0 200 OK\r\n\r\n",
		"HTTP/1.2":                  "HTTP/1.2 200 OK\r\n\r\n",
		"small letters":             "http/1.1 200 OK\r\n\r\n",
		"empty line first":          "\r\nHTTP/1.1 200 OK\r\n\r\n",
		"no status":                 "HTTP/1.1 \r\n\r\n",
		"two digits":                "HTTP/1.1 20\r\n\r\n",
		"four digits":               "HTTP/1.1 2000 OK\r\n\r\n",
		"signed status":             "HTTP/1.1 +20 OK\r\n\r\n",
		"status 099":                "HTTP/1.1 099 OK\r\n\r\n",
		"status 600":                "HTTP/1.1 600 OK\r\n\r\n",
		"two spaces":                "HTTP/1.1  200 OK\r\n\r\n",
		"NUL in reason":             "HTTP/1.1 200 O\x00K\r\n\r\n",
		"CR in reason":              "HTTP/1.1 200 O\rK\r\n\r\n",
		"bare LF in status line":    "HTTP/1.1 200 OK\nA: b\r\n\r\n",
		"bare LF in field":          "HTTP/1.1 200 OK\r\nA: b\nC: d\r\n\r\n",
		"bare LF ends head":         "HTTP/1.1 200 OK\r\nA: b\r\n\n",
		"all bare LF":               "HTTP/1.1 200 OK\n\n",
		"CR in value":               "HTTP/1.1 200 OK\r\nA: b\rC: d\r\n\r\n",
		"NUL in value":              "HTTP/1.1 200 OK\r\nA: b\x00\r\n\r\n",
		"DEL in value":              "HTTP/1.1 200 OK\r\nA: b\x7f\r\n\r\n",
		"escape in value":           "HTTP/1.1 200 OK\r\nA: \x1b[2J\r\n\r\n",
		"folded line":               "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
		"folded first line":         "HTTP/1.1 200 OK\r\n A: b\r\n\r\n",
		"space before colon":        "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
		"space in name":             "HTTP/1.1 200 OK\r\nA b: c\r\n\r\n",
		"no name":                   "HTTP/1.1 200 OK\r\n: b\r\n\r\n",
		"no colon":                  "HTTP/1.1 200 OK\r\nA\r\n\r\n",
		"name beyond ASCII":         "HTTP/1.1 200 OK\r\n\xc3\xa4: b\r\n\r\n",
		"two lengths":               "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
		"two lengths in one":        "HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\n",
		"empty length":              "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
		"negative length":           "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"signed length":             "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n",
		"hex length":                "HTTP/1.1 200 OK\r\nContent-Length: 0x5\r\n\r\n",
		"underscored length":        "HTTP/1.1 200 OK\r\nContent-Length: 1_0\r\n\r\n",
		"huge length":               "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808\r\n\r\n",
		"coding gzip":               "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
		"coding gzip, chunked":      "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
		"coding identity":           "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n",
		"chunked twice":             "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
		"coding hidden by tabs":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: \x0bchunked\r\n\r\n",
		"257 fields":                "HTTP/1.1 200 OK\r\n" + strings.Repeat("A: b\r\n", maxHeadFields+1) + "\r\n",
		"70 KB in one field":        "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("b", 70<<10),
		"70 KB in fields":           "HTTP/1.1 200 OK\r\n" + strings.Repeat("A: "+strings.Repeat("b", 1<<10)+"\r\n", 70),
		"one byte more than 64 KiB": sizedHead(maxHeadSize + 1),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := headOf(t, wire)
			failed := failure(t, CodeBadResponse, err)
			require.NotContains(t, failed.Error(), "OpenSSH")
		})
	}
}

// sizedHead is a head of n bytes.
func sizedHead(n int) string {
	const start, end = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nA: ", "\r\n\r\n"
	return start + strings.Repeat("b", n-len(start)-len(end)) + end
}

func TestLargeHeadsAreReadUpToTheLimit(t *testing.T) {
	for _, size := range []int{5 << 10, blockSize, maxHeadSize} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			p := serve(t, func(c net.Conn) { _, _ = io.WriteString(c, sizedHead(size)+"ok") })
			var r Reader
			var h Head
			r.Reset(dial(t, openPool(t, Options{BaseURL: p.url()})))
			body, err := readAll(&r, &h, "POST")
			require.NoError(t, err)
			require.Equal(t, "ok", string(body))
			require.Greater(t, len(h.Get("a")), size-100)
			require.True(t, r.Reusable())
		})
	}
	h, err := headOf(t, "HTTP/1.1 200 OK\r\n"+strings.Repeat("A: b\r\n", maxHeadFields)+"\r\n")
	require.NoError(t, err)
	require.Len(t, h.Fields, maxHeadFields)
}

func TestHeadWithoutEndIsRefusedWhileItArrives(t *testing.T) {
	for name, start := range map[string]string{
		"fields without end": "HTTP/1.1 200 OK\r\n",
		"line without end":   "HTTP/1.1 200 OK\r\nA: ",
		"garbage":            "\x16\x03\x01",
	} {
		t.Run(name, func(t *testing.T) {
			c, up := pair(t)
			go func() { // until the reader gives up and closes
				_, err := io.WriteString(up, start)
				for err == nil {
					_, err = io.WriteString(up, "Aa: bb\x09"+strings.Repeat("c", 512))
					if start == "HTTP/1.1 200 OK\r\n" && err == nil {
						_, err = io.WriteString(up, "\r\n")
					}
				}
			}()
			var r Reader
			var h Head
			r.Reset(c)
			requireCode(t, CodeBadResponse, r.ReadHead(&h, "POST"))
			c.Close()
		})
	}
}

func TestInterimResponses(t *testing.T) {
	f := func(interim string, code string) {
		t.Helper()
		c, up := pair(t)
		send(t, up, interim+okHead+"Content-Length: 2\r\n\r\nok")
		var r Reader
		var h Head
		r.Reset(c)
		body, err := readAll(&r, &h, "POST")
		if code != "" {
			requireCode(t, code, err)
			return
		}
		require.NoError(t, err)
		require.Equal(t, 200, h.Status)
		require.Equal(t, "", h.Get("Link"))
		require.Equal(t, "ok", string(body))
		require.True(t, r.Reusable())
	}
	hints := "HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n"
	f(hints, "")
	f("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n", "")
	f(strings.Repeat(hints, maxInterim), "")
	f(strings.Repeat(hints, maxInterim+1), CodeBadResponse)
	f("HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n", CodeBadResponse)
}

func FuzzHeadSplitAnywhere(f *testing.F) {
	for _, tt := range responses {
		f.Add([]byte(tt.wire[:headSize(tt.wire)]), uint64(len(tt.wire)))
	}
	f.Add([]byte("HTTP/1.1 200 OK\nA: b\n\n"), uint64(1))
	f.Add([]byte("HTTP/1.1 200 OK\r\nA : b\r\n\r\n"), uint64(2))
	f.Fuzz(func(t *testing.T, wire []byte, seed uint64) {
		var whole headScan
		want, wantErr := whole.next(wire)

		var scan headScan
		var arrived []byte
		n, err := 0, error(nil)
		for _, p := range split(wire, rand.New(rand.NewPCG(seed, 1))) {
			arrived = append(arrived, p...)
			if n, err = scan.next(arrived); n > 0 || err != nil {
				break
			}
		}
		require.Equal(t, want, n)
		require.Equal(t, wantErr, err)
		if n == 0 {
			return
		}
		var h Head
		if h.parse(string(wire[:n])) != nil {
			return
		}
		require.LessOrEqual(t, len(h.Fields), maxHeadFields)
		for _, field := range h.Fields {
			require.True(t, isToken(field.Name))
			require.NotContains(t, field.Value, "\r")
			require.NotContains(t, field.Value, "\n")
			require.NotContains(t, field.Value, "\x00")
		}
	})
}
