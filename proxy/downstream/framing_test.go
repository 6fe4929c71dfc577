package downstream

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httputil"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// filterPieces feeds the pieces to a fresh filter and returns what is kept, how much
// was read, and whether the message ended.
func filterPieces(limit int64, pieces ...string) (kept []byte, used int, done bool, err *RequestError) {
	f := chunkFilter{room: limit}
	for _, piece := range pieces {
		p := []byte(piece)
		k, u, d, e := f.filter(p)
		kept, used = append(kept, p[:k]...), used+u
		if d || e != nil {
			return kept, used, d, e
		}
	}
	return kept, used, false, nil
}

// scattered cuts raw into pieces, the same ones for the same seed.
func scattered(raw string, seed uint64) (pieces []string) {
	dice := rand.New(rand.NewPCG(seed, seed))
	for len(raw) > 0 {
		n := 1 + dice.IntN(min(len(raw), 1+dice.IntN(20)))
		pieces = append(pieces, raw[:n])
		raw = raw[n:]
	}
	return pieces
}

func TestChunkFilterKeepsTheBodyAtEverySplit(t *testing.T) {
	raw := "5;a=b\r\nhello\r\n0006;c\r\n world\r\n00;d\r\nA: b\r\nC: d\r\n\r\nGET /next"
	for at := range len(raw) + 1 {
		kept, used, done, err := filterPieces(100, raw[:at], raw[at:])
		require.Nil(t, err)
		require.True(t, done, "split at %d", at)
		if at < len(raw)-len("GET /next") {
			require.Equal(t, "GET /next", raw[used:])
		}
		body, readErr := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(kept)))
		require.NoError(t, readErr)
		require.Equal(t, "hello world", string(body))
		require.NotContains(t, string(kept), "a=b")
		require.NotContains(t, string(kept), "A:")
	}
}

// rows C8, C9, C10
func FuzzChunkFilter(f *testing.F) {
	for i, seed := range []string{
		"5\r\nhello\r\n0\r\n\r\n", "5;x\r\nhello\r\n0\r\nA: b\r\n\r\n", "0\r\n\r\n", "5\nhello", "g", "ffffffffffffffff\r\n",
		"1\r\na\r\n00001\r\nb\r\n000\r\n\r\ntail", "3 \r\nabc", "3\r\nabc\r0", "0\r\nA: b\r\n c\r\n\r\n", "0\r\nA",
		"3e9\r\n", "3;a\rb\r\n", "0000000000000000\r\n\r\n", "00000000000000000\r\n\r\n",
	} {
		f.Add([]byte(seed), uint64(i))
	}
	const limit = 1000
	f.Fuzz(func(t *testing.T, raw []byte, seed uint64) {
		if len(raw) > maxTrailerBytes {
			return // the limits are not of the grammar
		}
		kept, used, done, err := filterPieces(limit, string(raw))
		kept2, used2, done2, err2 := filterPieces(limit, scattered(string(raw), seed)...)
		require.Equal(t, []any{done, err}, []any{done2, err2})
		content, end, status := referenceChunks(string(raw), limit)
		require.Equal(t, status != 0, err != nil, "%d %v", status, err)
		if err != nil {
			return
		}
		require.Equal(t, kept, kept2)
		require.Equal(t, used, used2)
		require.Equal(t, end != 0, done)
		if !done {
			return
		}
		require.Equal(t, end, used)
		want, wantErr := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(raw)))
		require.NoError(t, wantErr, "what is accepted here must be so everywhere")
		got, gotErr := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(kept)))
		require.NoError(t, gotErr)
		require.Equal(t, want, got)
		require.Equal(t, content, string(got))
	})
}

func scanSplit(raw []byte, at int) (start, end int, err *RequestError) {
	var s headScan
	if end, err = s.scan(raw[:at]); end == 0 && err == nil {
		end, err = s.scan(raw)
	}
	return s.start, end, err
}

// rows C7, C8, C9, C10, C14
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
		local := func(authority []byte) bool { return equalFold(hostOf(authority), "localhost") }
		h, bad := parseHead(b, local)
		want, status := referenceHead(strings.Split(strings.TrimSuffix(string(b), "\r\n\r\n"), "\r\n"))
		require.Equal(t, status != 0, bad != nil, "%d %v", status, bad)
		if bad != nil {
			return
		}
		require.EqualValues(t, want.length, h.length)
		require.Equal(t, want.chunked, h.chunked)
		require.Equal(t, want.last, !h.http11 || h.close)
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
		again, bad := parseHead(b, local)
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
