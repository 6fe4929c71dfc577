package upstream

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	okHead      = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
	chunkedHead = okHead + "Transfer-Encoding: chunked\r\n\r\n"
)

func chunked(parts ...string) string {
	var b strings.Builder
	for _, p := range parts {
		fmt.Fprintf(&b, "%x\r\n%s\r\n", len(p), p)
	}
	return b.String()
}

// responses are complete, with the content they carry.
var responses = []struct {
	name, wire, body string
	ownEnd           bool // the framing has an end of its own
}{
	{"chunked", chunkedHead + chunked("data: one\n\n", "data: two\n\n") + "0\r\n\r\n", "data: one\n\ndata: two\n\n", true},
	{"chunked with extensions and trailer", chunkedHead + "4;a=\"b;c\"\r\nabcd\r\n0A \r\n0123456789\r\n0;x\r\nX-Sum: 1\r\nY:\r\n\r\n", "abcd0123456789", true},
	{"chunked and empty", chunkedHead + "0\r\n\r\n", "", true},
	{"known length", okHead + "Content-Length: 11\r\n\r\nhello world", "hello world", true},
	{"behind interim responses", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + okHead + "Content-Length: 2\r\n\r\nok", "ok", true},
	{"until close", okHead + "\r\nall there is", "all there is", false},
}

func TestBodyCutAnywhereIsNeverComplete(t *testing.T) {
	for _, tt := range responses {
		check := func(t *testing.T, w way) {
			cuts := make(chan int, 1)
			p := serve(t, func(c net.Conn) { _, _ = io.WriteString(c, tt.wire[:<-cuts]) })
			pool := openPool(t, w.options(t, Options{BaseURL: p.url()}))
			for cut := range len(tt.wire) {
				c := dial(t, pool)
				cuts <- cut
				var r Reader
				var h Head
				r.Reset(c)
				body, err := w.readAll(t, &r, &h, "POST")
				c.Close()
				if cut < headSize(tt.wire) {
					requireCode(t, CodeClosed, err)
					continue
				}
				require.True(t, strings.HasPrefix(tt.body, string(body)), "cut at %d", cut)
				if tt.ownEnd {
					require.ErrorIs(t, err, ErrTruncated, "cut at %d", cut)
					require.ErrorIs(t, err, io.ErrUnexpectedEOF)
					require.False(t, r.AtEnd())
				} else {
					require.NoError(t, err)
				}
				require.False(t, r.Reusable())
				r.Release()
			}
		}
		t.Run(tt.name, func(t *testing.T) { ways(t, check) })
	}
}

// headSize is the size of all heads, interim ones included.
func headSize(wire string) int {
	last := strings.LastIndex(wire, "HTTP/1.1")
	return last + strings.Index(wire[last:], "\r\n\r\n") + 4
}

func TestBodySplitAnywhereIsTheSame(t *testing.T) {
	for _, tt := range responses {
		t.Run(tt.name, func(t *testing.T) {
			for cut := range len(tt.wire) {
				checkPieces(t, tt.body, tt.ownEnd, tt.wire[:cut], tt.wire[cut:])
			}
			checkPieces(t, tt.body, tt.ownEnd, strings.Split(tt.wire, "")...)
		})
	}
}

// checkPieces feeds the reader with the pieces, each in a read of its own.
func checkPieces(t *testing.T, want string, ownEnd bool, pieces ...string) {
	t.Helper()
	var r Reader
	var h Head
	var got []byte
	ended := feed(t, &r, &h, pieces, func(b []byte) { got = append(got, b...) })
	require.Equal(t, want, string(got))
	require.Equal(t, ownEnd, ended)
	require.Equal(t, ownEnd, r.AtEnd())
	require.Equal(t, ownEnd, r.Reusable())
}

// feed gives each piece to r as if a read had returned it, and takes what comes out.
// It reports whether the body ended.
func feed(t testing.TB, r *Reader, h *Head, pieces []string, take func([]byte)) bool {
	t.Helper()
	headRead := false
	for _, piece := range pieces {
		if piece == "" {
			continue
		}
		require.Less(t, len(piece), blockSize-Headroom-Tailroom)
		r.drop()
		r.block = takeBlock()
		r.pos = Headroom
		r.end = Headroom + copy(r.block.room(), piece)
		for !headRead && r.pos < r.end {
			done, err := r.readArrivedHead(h)
			require.NoError(t, err)
			headRead = done
		}
		for r.pos < r.end {
			take(r.decode())
			require.NoError(t, r.err)
		}
	}
	return r.done
}

// readArrivedHead reads as much of the head as has arrived.
func (r *Reader) readArrivedHead(h *Head) (bool, error) {
	r.conn = &Conn{readErr: io.EOF}
	err := r.readAnswer(h, "POST")
	if errors.Is(err, io.EOF) {
		return false, nil
	}
	return err == nil, err
}

func TestBytesAndEndTogetherNeedNoFurtherRead(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		c, up := w.pair(t)
		send(t, up, chunkedHead+chunked("a", "bc", "def")+"0\r\n\r\n")
		var r Reader
		var h Head
		r.Reset(c)
		require.NoError(t, r.ReadHead(&h, "POST"))
		content := w.body(t, &r)
		b, err := content.ReadBody()
		require.NoError(t, err)
		require.Equal(t, "abcdef", string(b))
		require.True(t, r.AtEnd())
		require.True(t, r.Reusable())
		c.Close() // a read would fail now
		_, err = content.ReadBody()
		require.Equal(t, io.EOF, err)
		_, err = content.ReadBody()
		require.Equal(t, io.EOF, err)
	})
}

func TestBodyHasRoomAroundIt(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		f := func(wire string) {
			t.Helper()
			c, up := w.pair(t)
			go func() {
				_, _ = io.WriteString(up, wire)
				_ = up.CloseWrite()
			}()
			var r Reader
			var h Head
			r.Reset(c)
			require.NoError(t, r.ReadHead(&h, "POST"))
			content := w.body(t, &r)
			for {
				b, err := content.ReadBody()
				if errors.Is(err, io.EOF) {
					break
				}
				require.NoError(t, err)
				mem, start := r.Frame()
				require.GreaterOrEqual(t, start, Headroom)
				require.GreaterOrEqual(t, len(mem)-start-len(b), Tailroom)
				require.GreaterOrEqual(t, cap(b)-len(b), Tailroom)
				require.Same(t, &b[0], &mem[start])
				want := string(b)
				for i := range Headroom { // the caller's own framing harms nothing
					mem[start-Headroom+i] = 'x'
				}
				for i := range Tailroom {
					mem[start+len(b)+i] = 'x'
				}
				require.Equal(t, want, string(b))
			}
			mem, _ := r.Frame()
			require.Nil(t, mem)
		}
		big := strings.Repeat("0123456789abcdef", 8<<10)
		f(chunkedHead + chunked("x", big, big) + "0\r\n\r\n")
		f(chunkedHead + chunked(strings.Split(big[:4<<10], "")...) + "0\r\n\r\n")
		f(okHead + "Content-Length: 131072\r\n\r\n" + big)
		f(okHead + "\r\n" + big)
	})
}

func TestGarbageBehindContentComesAfterIt(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		c, up := w.pair(t)
		send(t, up, chunkedHead+"5\r\nhello\r\nzz\r\n")
		var r Reader
		var h Head
		r.Reset(c)
		require.NoError(t, r.ReadHead(&h, "POST"))
		content := w.body(t, &r)
		body, err := whole(content)
		require.Equal(t, "hello", string(body))
		requireCode(t, CodeBadResponse, err)
		_, again := content.ReadBody()
		require.Equal(t, err, again)
		require.False(t, r.Reusable())
	})
}

func TestMalformedChunksAreRefused(t *testing.T) {
	long := strings.Repeat("x", maxTrailer+1)
	for name, wire := range map[string]string{
		"no size":                 "\r\nabc",
		"not hex":                 "g\r\n",
		"sign":                    "+5\r\nhello\r\n",
		"hex prefix":              "0x5\r\nhello\r\n",
		"leading space":           " 5\r\nhello\r\n",
		"overflow":                "ffffffffffffffff\r\n",
		"overflow to zero":        "10000000000000000\r\n\r\n",
		"many zeros":              "00000000000000000\r\n\r\n",
		"bare LF behind size":     "5\nhello\r\n0\r\n\r\n",
		"bare CR behind size":     "5\rhello\r\n0\r\n\r\n",
		"space and more digits":   "1 0\r\na\r\n",
		"bare LF behind data":     "5\r\nhello\n0\r\n\r\n",
		"data longer than size":   "4\r\nhello\r\n0\r\n\r\n",
		"LF in extension":         "5;a=\nb\r\nhello\r\n",
		"endless extension":       "5;" + long,
		"endless space":           "5" + strings.Repeat(" ", maxChunkExtension+1),
		"bare LF ends trailer":    "0\r\n\n",
		"LF in trailer":           "0\r\nX: 1\nY: 2\r\n\r\n",
		"NUL in trailer":          "0\r\nX: \x00\r\n\r\n",
		"trailer without name":    "0\r\n: 1\r\n\r\n",
		"folded trailer":          "0\r\nX: 1\r\n 2\r\n\r\n",
		"trailer without a colon": "0\r\nfoo\r\n\r\n",
		"endless trailer":         "0\r\nX: " + long,
	} {
		t.Run(name, func(t *testing.T) {
			var d chunks
			_, _, _, err := d.decode([]byte(wire))
			requireCode(t, CodeBadResponse, err)
			require.False(t, d.done())
		})
	}
}

func TestOnlyWhatTheFramingPromisedIsRead(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		for name, tt := range map[string]struct {
			wire, method, body string
		}{
			"bytes behind chunks":     {chunkedHead + "2\r\nok\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n", "POST", "ok"},
			"bytes behind length":     {okHead + "Content-Length: 2\r\n\r\nok!", "POST", "ok"},
			"body of an empty length": {okHead + "Content-Length: 0\r\n\r\nok", "POST", ""},
			"body of HEAD":            {okHead + "Content-Length: 2\r\n\r\nok", "HEAD", ""},
			"body of 204":             {"HTTP/1.1 204 No Content\r\n\r\nok", "POST", ""},
			"body of 304":             {"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\nok", "GET", ""},
		} {
			t.Run(name, func(t *testing.T) {
				c, up := w.pair(t)
				send(t, up, tt.wire)
				var r Reader
				var h Head
				r.Reset(c)
				body, err := w.readAll(t, &r, &h, tt.method)
				require.NoError(t, err)
				require.Equal(t, tt.body, string(body))
				require.True(t, r.AtEnd())
				require.False(t, r.Reusable(), "what follows is not an answer to anything")
			})
		}
	})
}

func TestReleaseDoesNotLoseBytesSilently(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		c, up := w.pair(t)
		send(t, up, okHead+"Content-Length: 2\r\n\r\nok")
		var r Reader
		var h Head
		r.Reset(c)
		require.NoError(t, r.ReadHead(&h, "POST"))
		if r.pos == r.end {
			t.Skip("head and body came in two reads")
		}
		r.Release()
		_, err := w.body(t, &r).ReadBody()
		require.ErrorIs(t, err, errReleased)
		require.False(t, r.Reusable())
	})
}

func TestBodyBeforeHeadIsAnError(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		c, _ := w.pair(t)
		var r Reader
		r.Reset(c)
		_, err := w.body(t, &r).ReadBody()
		require.ErrorIs(t, err, errNoHead)
	})
}

func TestDecodingAllocatesNothing(t *testing.T) {
	wire := []byte(strings.Repeat(eventChunk, 50))
	read := make([]byte, len(wire))
	var d chunks
	require.Zero(t, testing.AllocsPerRun(100, func() {
		copy(read, wire)
		from, to, _, err := d.decode(read)
		if err != nil || to-from != 50*280 {
			panic("wrong content")
		}
	}))
}

func FuzzChunksSplitAnywhere(f *testing.F) {
	for _, tt := range responses {
		if i := strings.Index(tt.wire, "chunked\r\n\r\n"); i > 0 {
			f.Add([]byte(tt.wire[i+len("chunked\r\n\r\n"):]), uint64(i))
		}
	}
	f.Add([]byte("5\nhello\r\n"), uint64(1))
	f.Add([]byte("3;a=b\r\nabc\r\n0\r\nA: b\r\n\r\nrest"), uint64(2))
	f.Fuzz(func(t *testing.T, wire []byte, seed uint64) {
		want, wantUsed, wantErr := decodeAll([][]byte{append([]byte(nil), wire...)})
		got, used, err := decodeAll(split(wire, rand.New(rand.NewPCG(seed, 0))))
		require.Equal(t, string(want), string(got))
		require.Equal(t, wantErr, err)
		require.Equal(t, wantUsed, used)
		require.LessOrEqual(t, len(want), len(wire))
	})
}

func decodeAll(pieces [][]byte) (content []byte, used int, err error) {
	var d chunks
	for _, p := range pieces {
		from, to, n, err := d.decode(p)
		content = append(content, p[from:to]...)
		used += n
		if err != nil || d.done() {
			return content, used, err
		}
	}
	return content, used, nil
}

// split cuts a copy of b at random places.
func split(b []byte, r *rand.Rand) (pieces [][]byte) {
	b = append([]byte(nil), b...)
	for len(b) > 0 {
		n := 1 + r.IntN(min(len(b), 9))
		pieces = append(pieces, b[:n:n])
		b = b[n:]
	}
	return pieces
}
