package translate

import (
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// requestOfSize is a chat request of about size bytes in messages of a few hundred.
func requestOfSize(size int) []byte {
	var body strings.Builder
	body.WriteString(`{"temperature":0.7,"messages":[{"role":"system","content":"You are helpful."}`)
	message := `,{"role":"user","content":"` + strings.Repeat(`What is a \"proxy\" in one line?\n`, 8) + `"}`
	for body.Len() < size {
		body.WriteString(message)
	}
	body.WriteString(`],"stream":true,"model":"fast","max_tokens":512}`)
	return []byte(body.String())
}

// requestOfOneString is a request of size bytes that are nearly all one string, as a
// picture in base64 is.
func requestOfOneString(size int) []byte {
	return []byte(`{"model":"fast","stream":true,"messages":[{"role":"user","content":"` + strings.Repeat("iVBORw0KGgo", size/11) + `"}]}`)
}

func BenchmarkRequest(b *testing.B) {
	f := func(name string, body []byte) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			dst := make([]byte, 0, len(body)+1024)
			for b.Loop() {
				r, failed := ParseRequest(ChatCompletions, body)
				if failed != nil {
					b.Fatal(failed)
				}
				r.Prepare(dst, body, "gpt-4o-mini", Ask{IncludeUsage: true})
			}
		})
	}
	f("2KB", requestOfSize(2<<10))
	f("8MiB", requestOfSize(8<<20))
	f("8MiB-one-string", requestOfOneString(8<<20))
}

func BenchmarkRewriteAnswer(b *testing.B) {
	body := []byte(`{"object":"list","data":[{"embedding":[` + strings.TrimSuffix(strings.Repeat("0.0123456,", 1536), ",") + `]}],"model":"text-embedding-3-small"}`)
	dst := make([]byte, 0, len(body)+64)
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		RewriteAnswer(dst, body, "embed")
	}
}

func BenchmarkErrorEvent(b *testing.B) {
	e := NewError(CodeUpstreamTimeout)
	dst := make([]byte, 0, 512)
	b.ReportAllocs()
	for b.Loop() {
		AppendErrorEvent(dst, e, false)
	}
}

func TestWorkOnBigBodiesDoesNotCopyThem(t *testing.T) {
	body := requestOfSize(4 << 20)
	dst := make([]byte, 0, len(body)+1024)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r, failed := ParseRequest(ChatCompletions, body)
	require.Nil(t, failed)
	r.Prepare(dst, body, "gpt-4o-mini", Ask{IncludeUsage: true})
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20))
}
