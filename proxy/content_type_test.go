package proxy

import (
	"bytes"
	"compress/gzip"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/accounting/tokens"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// The declared content type decides what an answer is, whatever was asked for.
// row B14
func TestContentTypeDecidesWhatAnAnswerIs(t *testing.T) {
	t.Parallel()
	stream := fakeprovider.ChatStream(fakeprovider.ChatOptions{IncludeUsage: true})
	answer := fakeprovider.ChatAnswer(fakeprovider.ChatOptions{})
	for _, c := range []struct {
		contentType, answerKind string
	}{
		{"text/event-stream", "stream"},
		{"text/event-stream; charset=utf-8", "stream"},
		{"text/event-stream;charset=UTF-8", "stream"},
		{"Text/Event-Stream ; x=y", "stream"},
		{"application/json", "whole"},
		{"application/json; charset=utf-8", "whole"},
		{"APPLICATION/JSON;charset=UTF-8", "whole"},
		{"application/problem+json", "whole"},
		{"", "refused"},
		{"text/html", "refused"},
		{"text/html; charset=utf-8", "refused"},
		{"text/plain", "refused"},
		{"application/octet-stream", "refused"},
		{"application/x-ndjson", "refused"},
		{"text/event-streams", "refused"},
		{"application/jsonp", "refused"},
		{"text/event-stream, text/html", "refused"},
	} {
		t.Run(c.contentType, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, mayBillPartial)
			body := answer
			if c.answerKind == "stream" {
				body = chatText(stream)
			}
			head := []string{"Transfer-Encoding: chunked"}
			if c.contentType != "" {
				head = append(head, "Content-Type: "+c.contentType)
			}
			r.up.Handle(func(e *fakeprovider.Exchange) {
				e.Head(200, head...)
				e.Chunk([]byte(body))
				e.EndChunks()
			})
			for asked, request := range bothKinds {
				p, rec := r.askAs(asked, request)
				if c.answerKind == "refused" {
					requireRefusedAnswer(t, p, rec, "upstream_bad_content_type")
					require.Equal(t, accounting.PhaseAwaitToken, rec.Phase)
					require.Equal(t, 200, rec.StatusUpstream)
					require.NotContains(t, string(p.body), "fake-model")
					requireClosed(t, r.up.WaitConn(1))
					continue
				}
				require.NoError(t, p.err)
				require.Equal(t, body, string(p.body))
				require.Equal(t, c.contentType, p.header.Get("Content-Type"))
				require.Equal(t, accounting.OutcomeCompleted, rec.Outcome)
				require.Equal(t, accounting.SourceReported, rec.UsageSource)
				require.Equal(t, tokens.Known(10), rec.Usage.Input)
				require.Equal(t, asked == "stream", rec.Stream)
				require.Equal(t, []string{"stop"}, rec.FinishReasons)
			}
		})
	}
}

// The Responses API answers with events or JSON too, so a page of its provider is no
// answer, while other endpoints may have answers of any kind.
// row B14
func TestOnlyUnknownEndpointsMayAnswerWithAnything(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.up.Handle(func(e *fakeprovider.Exchange) {
		e.Whole(200, "text/html", []byte("<html>maintenance</html>"))
	})
	for path, request := range map[string]string{
		"/v1/responses": `{"model":"m","input":"x"}`, "/v1/completions": `{"model":"m","prompt":"x"}`,
		"/v1/embeddings": `{"model":"m","input":"x"}`,
	} {
		p := r.dial().askOn(path, request)
		p.requireError(t, 502, "upstream_bad_content_type")
	}
	p := r.dial().askOn("/v1/audio/speech", `{"model":"m","input":"x"}`)
	require.NoError(t, p.err)
	require.Equal(t, "<html>maintenance</html>", string(p.body))
}

// gzipped packs each piece and flushes behind it, as servers that stream do.
func gzipped(t testing.TB, pieces ...[]byte) [][]byte {
	t.Helper()
	var out [][]byte
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	for _, p := range pieces {
		_, err := z.Write(p)
		require.NoError(t, err)
		require.NoError(t, z.Flush())
		out = append(out, bytes.Clone(buf.Bytes()))
		buf.Reset()
	}
	require.NoError(t, z.Close())
	return append(out, bytes.Clone(buf.Bytes()))
}

// row B23
func TestStreamThatIsGzippedAllTheSameIsDecodedAsItComes(t *testing.T) {
	t.Parallel()
	for _, coding := range []string{"gzip", "x-gzip", "GZIP"} {
		for _, asked := range []string{streamBody, withoutUsage} {
			r := newRig(t)
			stream := fakeprovider.ChatStream(fakeprovider.ChatOptions{IncludeUsage: true})
			packed := gzipped(t, fakeprovider.Events(stream)...)
			seen := make(chan struct{})
			r.up.Handle(func(e *fakeprovider.Exchange) {
				e.StreamHead("Content-Encoding: " + coding)
				for i := range stream {
					e.Chunk(packed[i])
					if i < 5 { // each event reaches the client before the next is sent
						<-seen
					}
				}
				e.Chunk(packed[len(stream)])
				e.EndChunks()
			})
			resp := r.dial().post(asked, "X-Request-Id: a")
			require.Empty(t, resp.Header.Get("Content-Encoding"))
			want := stream
			if asked == withoutUsage {
				want = fakeprovider.ChatStream(fakeprovider.ChatOptions{})
			}
			var got bytes.Buffer
			for i := range 5 {
				_, err := io.CopyN(&got, resp.Body, int64(len("data: "+want[i]+"\n\n")))
				require.NoError(t, err)
				seen <- struct{}{}
			}
			_, err := io.Copy(&got, resp.Body)
			require.NoError(t, err)
			require.Equal(t, chatText(want), got.String())
			rec := r.record("a")
			require.Equal(t, accounting.OutcomeCompleted, rec.Outcome)
			require.Equal(t, tokens.Known(4), rec.Usage.Output)
			require.Equal(t, "identity", r.up.WaitExchange(1).Request.Get("Accept-Encoding"))
		}
	}
}

// row B23
func TestWholeAnswerThatIsGzippedAllTheSameIsDecoded(t *testing.T) {
	t.Parallel()
	answer := fakeprovider.ChatAnswer(fakeprovider.ChatOptions{})
	refusal := fakeprovider.ErrorBody("no", "invalid_request_error", "nope")
	for status, body := range map[int]string{200: answer, 400: refusal} {
		r := newRig(t)
		packed := bytes.Join(gzipped(t, []byte(body)), nil)
		r.up.Handle(func(e *fakeprovider.Exchange) {
			e.Whole(status, "application/json", packed, "Content-Encoding: gzip")
		})
		p, rec := r.askAs("a", wholeBody)
		require.NoError(t, p.err)
		require.Equal(t, status, p.status)
		require.Equal(t, body, string(p.body))
		require.Empty(t, p.header.Get("Content-Encoding"))
		require.Equal(t, status == 200, rec.UsageSource == accounting.SourceReported)
	}
}

// Packed bytes that make no sense are a fault of the encoding, and a packed stream
// that stops is a cut one.
// row B23
func TestBrokenGzipIsNotAnAnswer(t *testing.T) {
	t.Parallel()
	events := fakeprovider.Events(fakeprovider.ChatStream(fakeprovider.ChatOptions{}))
	good := gzipped(t, events[0], events[1])
	spoiled := bytes.Clone(good[1])
	for i := range spoiled {
		spoiled[i] = 0xff
	}
	for name, c := range map[string]struct {
		pieces [][]byte
		code   string
		before string
	}{
		"no gzip at all":  {[][]byte{[]byte("plain text, not gzip")}, "upstream_bad_encoding", ""},
		"spoiled":         {[][]byte{good[0], spoiled}, "upstream_bad_encoding", string(events[0])},
		"stops":           {[][]byte{good[0]}, "upstream_truncated", string(events[0])},
		"stops in a head": {[][]byte{good[0][:5]}, "upstream_truncated", ""},
		"empty":           {nil, "upstream_truncated", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.up.Handle(func(e *fakeprovider.Exchange) {
				e.StreamHead("Content-Encoding: gzip")
				for _, p := range c.pieces {
					e.Chunk(p)
				}
				e.EndChunks()
			})
			p, rec := r.askAs("a", streamBody)
			p.requireCut(t, c.code, c.before)
			require.Equal(t, c.code, rec.Code)
		})
	}
}

// row B23
func TestGzipBombIsStopped(t *testing.T) {
	t.Parallel()
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, err := io.Copy(z, io.LimitReader(zeros{}, 8<<20))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	for name, c := range map[string]struct {
		contentType string
		status      int
	}{"stream": {"text/event-stream", 200}, "whole": {"application/json", 502}} {
		r := newRig(t)
		r.up.Handle(func(e *fakeprovider.Exchange) {
			e.Whole(200, c.contentType, packed.Bytes(), "Content-Encoding: gzip")
		})
		p, rec := r.askAs("a", bothKinds[name])
		require.Equal(t, c.status, p.status)
		require.Contains(t, string(p.body[max(0, len(p.body)-512):]), "upstream_bad_encoding")
		require.NotContains(t, string(p.body), "[DONE]")
		require.Less(t, len(p.body), 4<<20)
		require.Equal(t, accounting.OutcomeUpstreamError, rec.Outcome)
		require.Equal(t, "upstream_bad_encoding", rec.Code)
		r.up.WaitConn(1).WaitGone(patience)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '0'
	}
	return len(p), nil
}

// row B23
func TestOtherEncodingsAreRefused(t *testing.T) {
	t.Parallel()
	for _, coding := range []string{"br", "zstd", "deflate", "gzip, gzip", "gzip, br", "nonsense"} {
		r := newRig(t)
		r.up.Handle(func(e *fakeprovider.Exchange) {
			e.StreamHead("Content-Encoding: " + coding)
			e.Chunk([]byte(strings.Repeat("x", 100)))
			e.Hold()
		})
		p, rec := r.askAs("a", streamBody)
		requireRefusedAnswer(t, p, rec, "upstream_bad_encoding")
		requireClosed(t, r.up.WaitConn(1))
	}
}
