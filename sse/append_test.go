package sse_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/sse"
)

func TestAppendEvent(t *testing.T) {
	f := func(name, data, want string) {
		t.Helper()
		require.Equal(t, want, string(sse.AppendEvent(nil, []byte(name), []byte(data))))
	}
	f("", `{"a":1}`, "data: {\"a\":1}\n\n")
	f("error", `{}`, "event: error\ndata: {}\n\n")
	f("", "", "data: \n\n")
	f("", "a\nb", "data: a\ndata: b\n\n")
	f("", "a\n\nevent: x\r\rb\r\n", "data: a\ndata: \ndata: event: x\ndata: \ndata: b\ndata: \n\n")
	f("x\ndata: injected", "a", "event: x\ndata: a\n\n")
}

func TestAppendCommentStaysOneLine(t *testing.T) {
	require.Equal(t, ": keep-alive\n\n", string(sse.AppendComment(nil, []byte("keep-alive"))))
	require.Equal(t, ": a  data: b\n\n", string(sse.AppendComment(nil, []byte("a\r\ndata: b"))))
}

func TestIsDone(t *testing.T) {
	for _, data := range []string{"[DONE]", " [DONE]", "[DONE]  ", "\t[DONE] "} {
		require.True(t, sse.IsDone([]byte(data)), "%q", data)
	}
	for _, data := range []string{"", "[DONE", "[DONE]x", "[done]", `"[DONE]"`, `{"a":"[DONE]"}`, "[DONE]\n"} {
		require.False(t, sse.IsDone([]byte(data)), "%q", data)
	}
}

func FuzzAppendEventReadsBack(f *testing.F) {
	f.Add([]byte("delta"), []byte(`{"a":1}`))
	f.Add([]byte(""), []byte("a\r\nb\rc\n"))
	f.Fuzz(func(t *testing.T, name, data []byte) {
		out := sse.AppendEvent(nil, name, data)
		out = sse.AppendComment(out, data)
		blocks := scan(t, 1<<20, out)
		require.Len(t, blocks, 2)
		require.NotNil(t, blocks[0].data)
		require.Nil(t, blocks[1].data)
	})
}
