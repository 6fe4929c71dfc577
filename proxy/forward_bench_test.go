package proxy

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/fakeprovider"
	"github.com/sluicehq/sluice/proxy/downstream"
)

// BenchmarkForwardChunk measures one chunk of a stream on its way through a running
// sluice, over real sockets and with all counting on. An operation is one chunk; in
// steady state it must not allocate. The time includes the upstream's write and the
// client's read.
func BenchmarkForwardChunk(b *testing.B) {
	openai := &fakeprovider.Voice{Dialect: "openai"}
	cases := []benchStream{
		{name: "verbatim", body: streamBody, voice: openai},
		{name: "hidden usage", body: `{"model":"m","stream":true,"messages":[]}`, voice: openai},
		{name: "renamed model", body: `{"model":"public","stream":true,"messages":[]}`, alias: "public", voice: openai},
	}
	for _, v := range fakeprovider.Voices()[1:] {
		cases = append(cases, benchStream{name: "from " + v.String(), body: streamBody, voice: v})
	}
	for _, c := range cases {
		b.Run(c.name+"/one per write", func(b *testing.B) { c.run(b, 1) })
		b.Run(c.name+"/20 per write", func(b *testing.B) { c.run(b, 20) })
	}
}

// benchStream is a stream of the same word over and over, in one dialect.
type benchStream struct {
	name, body, alias string
	voice             *fakeprovider.Voice
}

// pieces are the begin, one chunk in the middle, and the end of the stream.
func (s benchStream) pieces() (begin, chunk, end []byte) {
	v := s.voice.Fresh()
	begin = append(v.Start(), v.Text(" word")...)
	chunk = v.Text(" word")
	if v.Dialect == "openai" {
		chunk = []byte(benchFrame)
	}
	return begin, chunk, v.End(false)
}

const benchFrame = `data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1700000000,"model":"m","system_fingerprint":"fp_44709d6fcb","choices":[{"index":0,"delta":{"content":" word"},"logprobs":null,"finish_reason":null}],"usage":null}` + "\n\n"

func (s benchStream) run(b *testing.B, perWrite int) {
	body, alias := s.body, s.alias
	up, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	go s.write(up, b.N, perWrite)

	cfg := config.Default()
	cfg.Providers = []config.Provider{{Name: "fake", Dialect: config.DialectOpenAI, BaseURL: "http://" + up.Addr().String()}}
	speaking(s.voice)(cfg)
	if alias != "" {
		cfg.Models = []config.Model{{Name: alias, Targets: []config.Target{{Provider: "fake", Model: "m", Weight: 1}}}}
	}
	srv, err := New(cfg, Options{Logger: slog.New(slog.DiscardHandler), Ledger: accounting.NewMemory(100)})
	require.NoError(b, err)
	ln, err := downstream.Listen("127.0.0.1:0")
	require.NoError(b, err)
	go func() { _ = srv.Serve(ln) }()
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		srv.Shutdown(ctx)
		_ = up.Close()
	}()

	conn, err := net.Dial("tcp", ln.Addr().String())
	require.NoError(b, err)
	defer func() { _ = conn.Close() }()
	buf := make([]byte, 64<<10)
	b.ReportAllocs()
	b.ResetTimer()
	_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", chatPath, len(body), body)
	require.NoError(b, err)
	mark := []byte("finish_reason")
	for seen := 0; seen < b.N; {
		n, err := conn.Read(buf)
		if err != nil {
			b.Fatalf("the stream ended after %d of %d chunks: %v", seen, b.N, err)
		}
		seen += bytes.Count(buf[:n], mark) // one cut in two is made up for at the end
		if bytes.Contains(buf[:n], []byte("[DONE]")) {
			break
		}
	}
	b.StopTimer()
}

// write answers one request with n chunks, perWrite of them in each write.
func (s benchStream) write(ln net.Listener, n, perWrite int) {
	conn, err := ln.Accept()
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	_, _ = conn.Read(make([]byte, 4096))
	_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\n", s.voice.ContentType())
	begin, chunk, end := s.pieces()
	_, _ = conn.Write(fakeprovider.Frame(begin))
	chunk = fakeprovider.Frame(chunk)
	all := bytes.Repeat(chunk, perWrite)
	for n > 0 {
		k := min(n, perWrite)
		if _, err := conn.Write(all[:k*len(chunk)]); err != nil {
			return
		}
		n -= k
	}
	_, _ = conn.Write(append(fakeprovider.Frame(end), "0\r\n\r\n"...))
}
