package downstream

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httputil"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// filterSplit feeds raw to a fresh filter in two pieces and returns what is
// kept, how much was read, and whether the message ended.
func filterSplit(raw []byte, at int, limit int64) (kept []byte, used int, done bool, err *RequestError) {
	f := chunkFilter{room: limit}
	for _, piece := range [][]byte{raw[:at], raw[at:]} {
		p := bytes.Clone(piece)
		k, u, d, e := f.filter(p)
		kept, used = append(kept, p[:k]...), used+u
		if d || e != nil {
			return kept, used, d, e
		}
	}
	return kept, used, false, nil
}

func TestChunkFilterKeepsTheBodyAtEverySplit(t *testing.T) {
	raw := []byte("5;a=b\r\nhello\r\n0006;c\r\n world\r\n00;d\r\nA: b\r\nC: d\r\n\r\nGET /next")
	for at := range len(raw) + 1 {
		kept, used, done, err := filterSplit(raw, at, 100)
		require.Nil(t, err)
		require.True(t, done, "split at %d", at)
		if at < len(raw)-len("GET /next") {
			require.Equal(t, "GET /next", string(raw[used:]))
		}
		body, readErr := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(kept)))
		require.NoError(t, readErr)
		require.Equal(t, "hello world", string(body))
		require.NotContains(t, string(kept), "a=b")
		require.NotContains(t, string(kept), "A:")
	}
}

func FuzzChunkFilter(f *testing.F) {
	for _, seed := range []string{
		"5\r\nhello\r\n0\r\n\r\n", "5;x\r\nhello\r\n0\r\nA: b\r\n\r\n", "0\r\n\r\n", "5\nhello", "g", "ffffffffffffffff\r\n",
		"1\r\na\r\n00001\r\nb\r\n000\r\n\r\ntail",
	} {
		f.Add([]byte(seed), uint(3))
	}
	f.Fuzz(func(t *testing.T, raw []byte, split uint) {
		at := int(split % uint(len(raw)+1))
		whole, wholeUsed, wholeDone, wholeErr := filterSplit(raw, len(raw), 1000)
		kept, used, done, err := filterSplit(raw, at, 1000)
		require.Equal(t, wholeErr, err)
		require.Equal(t, wholeDone, done)
		if err != nil {
			return
		}
		require.Equal(t, whole, kept)
		require.Equal(t, wholeUsed, used)
		if !done {
			return
		}
		want, wantErr := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(raw)))
		require.NoError(t, wantErr, "what is accepted here must be so everywhere")
		got, gotErr := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(kept)))
		require.NoError(t, gotErr)
		require.Equal(t, want, got)
		require.LessOrEqual(t, len(got), 1000)
	})
}

func scanSplit(raw []byte, at int) (start, end int, err *RequestError) {
	var s headScan
	if end, err = s.scan(raw[:at]); end == 0 && err == nil {
		end, err = s.scan(raw)
	}
	return s.start, end, err
}

func FuzzHead(f *testing.F) {
	for _, seed := range []string{
		get("/x"), "\r\n" + get("/x"), post("/x", "hello", "Content-Length: 5"),
		post("/x", "", "Transfer-Encoding: chunked"), post("/x", "", "Expect:  100-Continue ", "Content-Length: 1"),
		"GET http://localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n", "GET / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n",
		"GET / HTTP/1.1\nHost: h\n\n", "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
	} {
		f.Add([]byte(seed), uint(7))
	}
	f.Fuzz(func(t *testing.T, raw []byte, split uint) {
		start, end, err := scanSplit(raw, len(raw))
		start2, end2, err2 := scanSplit(raw, int(split%uint(len(raw)+1)))
		require.Equal(t, []any{start, end, err}, []any{start2, end2, err2})
		if err != nil || end == 0 {
			return
		}
		b := bytes.Clone(raw[start:end])
		h, bad := parseHead(b, func([]byte) bool { return true })
		if bad != nil {
			return
		}
		b = b[h.settleExpect(b):]
		require.True(t, bytes.HasSuffix(b, []byte("\r\n\r\n")))
		req, parseErr := http.ReadRequest(bufio.NewReader(bytes.NewReader(b)))
		if parseErr != nil {
			// The one difference known: net/url wants valid escapes and ports.
			require.NotContains(t, parseErr.Error(), "header", "%q", b)
			return
		}
		if h.chunked {
			require.Equal(t, []string{"chunked"}, req.TransferEncoding)
		} else {
			require.Equal(t, h.length, max(0, req.ContentLength))
		}
		again, bad := parseHead(b, func([]byte) bool { return true })
		require.Nil(t, bad)
		require.Equal(t, h.length, again.length)
	})
}

func TestRequestErrorsSayNothingOfTheRequest(t *testing.T) {
	for _, raw := range []string{"GET /secret\x00 HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nsecret : x\r\n\r\n"} {
		_, err := parseHead([]byte(raw), nil)
		require.NotNil(t, err)
		require.NotContains(t, err.Error(), "secret")
	}
	require.Equal(t, "*errors.errorString", panicText(errors.New("secret")))
	require.Equal(t, "string", panicText("secret"))
}

func TestListHasComparesWholeMembers(t *testing.T) {
	for list, want := range map[string]bool{
		"close": true, "CLOSE": true, "a, close": true, "close,": true, " close\t,b": true,
		"": false, "closed": false, "a close": false, "clo se": false, "\"close\"": false,
	} {
		require.Equal(t, want, listHas([]byte(list), "close"), list)
	}
	require.False(t, equalFold([]byte(strings.ToLower("\u212Aeep-alive")), "keep-alivexx"))
	require.False(t, equalFold([]byte("\u212A"), "k"))
}
