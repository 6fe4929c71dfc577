package upstream

import (
	"io"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// eventChunk is one chunk of 280 bytes of content, a usual event of a stream.
var eventChunk = chunked("data: " + strings.Repeat("x", 272) + "\n\n")

// BenchmarkChunks takes the coding off reads that hold many small chunks; ns/op is
// the cost of one chunk.
func BenchmarkChunks(b *testing.B) {
	const perRead = 100
	wire := []byte(strings.Repeat(eventChunk, perRead))
	read := make([]byte, len(wire))
	var d chunks
	b.ReportAllocs()
	b.SetBytes(int64(len(eventChunk)))
	for i := 0; i < b.N; i += perRead {
		copy(read, wire)
		if _, _, _, err := d.decode(read); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHead(b *testing.B) {
	head := "HTTP/1.1 200 OK\r\nDate: Sat, 21 Nov 2026 10:00:00 GMT\r\nContent-Type: text/event-stream; charset=utf-8\r\n" +
		"Transfer-Encoding: chunked\r\nConnection: keep-alive\r\nOpenAI-Processing-Ms: 120\r\nX-Request-Id: req_0123456789abcdef\r\n" +
		strings.Repeat("X-RateLimit-Remaining-Tokens: 149999\r\n", 6) + "\r\n"
	var h Head
	b.ReportAllocs()
	for b.Loop() {
		var s headScan
		if n, err := s.next([]byte(head)); err != nil || n != len(head) {
			b.Fatal(n, err)
		}
		if err := h.parse(head); err != nil {
			b.Fatal(err)
		}
	}
}

// benchmarkBody reads a stream of events over a socket. With echo the upstream sends
// the next event only when the last one has been read, as a model that generates does;
// ns/op then includes a wake-up on each side.
func benchmarkBody(b *testing.B, c *Conn, up net.Conn, each, echo bool) {
	next := make(chan struct{}, 1)
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		piece := []byte(eventChunk)
		if !echo {
			piece = []byte(strings.Repeat(eventChunk, 16))
		}
		_, _ = io.WriteString(up, chunkedHead)
		for {
			if echo {
				select {
				case <-next:
				case <-stop:
					return
				}
			}
			if _, err := up.Write(piece); err != nil {
				return
			}
		}
	}()
	var r Reader
	var h Head
	r.Reset(c)
	require.NoError(b, r.ReadHead(&h, "POST"))
	b.ReportAllocs()
	b.ResetTimer()
	read := 0
	piece := func(content []byte, err error) bool {
		if err != nil {
			b.Fatal(err)
		}
		read += len(content)
		if read >= b.N*280 {
			return false
		}
		if echo {
			next <- struct{}{}
		}
		return true
	}
	if each {
		piece(nil, nil)
		r.Each(piece)
	} else {
		for more := piece(nil, nil); more; {
			more = piece(r.ReadBody())
		}
	}
	b.StopTimer()
	close(stop)
	c.Close()
	<-done
}

func BenchmarkBody(b *testing.B) {
	for _, w := range []way{byReadBody, byEachWatched} {
		for name, pair := range map[string]func(testing.TB) (*Conn, net.Conn){
			"plain": func(t testing.TB) (*Conn, net.Conn) { c, up := w.pair(t); return c, up },
			"tls":   w.tlsPair,
		} {
			b.Run(w.name+"/"+name+"/one event at a time", func(b *testing.B) {
				c, up := pair(b)
				benchmarkBody(b, c, up, w.each, true)
			})
			b.Run(w.name+"/"+name+"/as fast as it can", func(b *testing.B) {
				c, up := pair(b)
				benchmarkBody(b, c, up, w.each, false)
			})
		}
	}
}

func BenchmarkIdlePut(b *testing.B) {
	c, _ := pair(b)
	pool := openPool(b, Options{BaseURL: "http://provider.test"})
	pool.Put(c)
	b.ReportAllocs()
	for b.Loop() {
		pool.Put(pool.Idle())
	}
}
