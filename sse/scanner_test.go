package sse_test

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/sse"
)

// block is an Event that outlives its scanner; nil and empty stay apart.
type block struct {
	name, data *string
	raw        string
	overflow   bool
}

func copied(b []byte) *string {
	if b == nil {
		return nil
	}
	s := string(b)
	return &s
}

// scan feeds the pieces and returns all blocks, the unterminated last one included.
func scan(t testing.TB, maxEvent int, pieces ...[]byte) []block {
	t.Helper()
	s := sse.Scanner{MaxEvent: maxEvent}
	var blocks []block
	var ev sse.Event
	keep := func() {
		blocks = append(blocks, block{copied(ev.Name), copied(ev.Data), string(ev.Raw), ev.Overflow})
	}
	for _, p := range pieces {
		s.Feed(p)
		last := 0
		for s.Next(&ev) {
			require.Greater(t, ev.End, last-1)
			require.LessOrEqual(t, ev.End, len(p))
			last = ev.End
			keep()
		}
		if s.AtBoundary() {
			require.Nil(t, s.Pending())
			require.LessOrEqual(t, s.Held(), 4<<10)
		}
	}
	if s.Flush(&ev) {
		keep()
	}
	require.True(t, s.AtBoundary())
	return blocks
}

func str(s string) *string { return &s }

func TestScannerReadsBlocks(t *testing.T) {
	f := func(name, stream string, want ...block) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			require.Equal(t, want, scan(t, 0, []byte(stream)))
		})
	}
	data := func(raw, d string) block { return block{data: str(d), raw: raw} }

	f("lf", "data: a\n\n", data("data: a\n\n", "a"))
	f("crlf", "data: a\r\n\r\n", data("data: a\r\n\r\n", "a"))
	f("cr", "data: a\r\rdata: b\r\r", data("data: a\r\r", "a"), data("data: b\r\r", "b"))
	f("mixed line ends", "data: a\r\ndata: b\rdata: c\n\r\n", data("data: a\r\ndata: b\rdata: c\n\r\n", "a\nb\nc"))
	f("lf then crlf", "data: a\n\r\ndata: b\n\n", data("data: a\n\r\n", "a"), data("data: b\n\n", "b"))
	f("no space after the colon", "data:a\n\n", data("data:a\n\n", "a"))
	f("only one space is dropped", "data:  a\n\n", data("data:  a\n\n", " a"))
	f("no colon", "data\n\n", data("data\n\n", ""))
	f("empty data", "data:\n\n", data("data:\n\n", ""))
	f("several data lines", "data: a\ndata\ndata:b\n\n", data("data: a\ndata\ndata:b\n\n", "a\n\nb"))
	f("event name", "event: x\ndata: a\n\n", block{str("x"), str("a"), "event: x\ndata: a\n\n", false})
	f("last event name wins", "event: x\ndata: a\nevent:y\n\n", block{str("y"), str("a"), "event: x\ndata: a\nevent:y\n\n", false})
	f("id and retry are nothing", "id: 1\nretry: 5\ndata: a\n\n", data("id: 1\nretry: 5\ndata: a\n\n", "a"))
	f("prefix of another field", "dataset: a\neventual: b\n\n", block{raw: "dataset: a\neventual: b\n\n"})
	f("field names are case sensitive", "Data: a\n\n", block{raw: "Data: a\n\n"})
	f("comment block", ": ping\n\n", block{raw: ": ping\n\n"})
	f("lone blank line", "\n", block{raw: "\n"})
	f("blank lines between", "data: a\n\n\n\ndata: b\n\n",
		data("data: a\n\n", "a"), block{raw: "\n"}, block{raw: "\n"}, data("data: b\n\n", "b"))
	f("byte order mark", "\xEF\xBB\xBFdata: a\n\n", data("\xEF\xBB\xBFdata: a\n\n", "a"))
	f("only one byte order mark", "\xEF\xBB\xBF\xEF\xBB\xBFdata: a\n\n", block{raw: "\xEF\xBB\xBF\xEF\xBB\xBFdata: a\n\n"})
	f("byte order mark later is text", "data: a\n\n\xEF\xBB\xBFdata: b\n\n",
		data("data: a\n\n", "a"), block{raw: "\xEF\xBB\xBFdata: b\n\n"})
	f("unterminated last block", "data: a\n\ndata: [DONE]", data("data: a\n\n", "a"), data("data: [DONE]", "[DONE]"))
	f("unterminated last line end", "data: a\n", data("data: a\n", "a"))
	f("nul and invalid utf-8", "data: \x00\xff\n\n", data("data: \x00\xff\n\n", "\x00\xff"))
	f("nothing", "")
}

func TestScannerCompletesAnEventAtTheLastCR(t *testing.T) {
	var s sse.Scanner
	var ev sse.Event
	s.Feed([]byte("data: a\r\n\r"))
	require.True(t, s.Next(&ev), "the event must not wait for the LF")
	require.Equal(t, "a", string(ev.Data))
	require.False(t, s.Next(&ev))
	require.True(t, s.AtBoundary())

	s.Feed([]byte("\n"))
	require.False(t, s.Next(&ev))
	require.True(t, s.AtBoundary(), "the LF belongs to the line end before it")
	require.Nil(t, s.Pending())

	s.Feed([]byte("data: b\n\n"))
	require.True(t, s.Next(&ev))
	require.Equal(t, "b", string(ev.Data))
	require.Equal(t, "\ndata: b\n\n", string(ev.Raw))
}

func TestScannerHoldsOnlyACutBlock(t *testing.T) {
	var s sse.Scanner
	var ev sse.Event
	require.True(t, s.AtBoundary())
	s.Feed([]byte("data: a\n\ndata: "))
	require.True(t, s.Next(&ev))
	require.Equal(t, 9, ev.End)
	require.False(t, s.AtBoundary())
	require.False(t, s.Next(&ev))
	require.False(t, s.AtBoundary())
	require.Equal(t, "data: ", string(s.Pending()))
	s.Feed([]byte("b\n\nrest"))
	require.True(t, s.Next(&ev))
	require.Equal(t, "data: b\n\n", string(ev.Raw))
	require.Equal(t, 3, ev.End)
	require.False(t, s.Next(&ev))
	require.Equal(t, "rest", string(s.Pending()))
}

func TestScannerSkipsABlockLargerThanItsBound(t *testing.T) {
	big := "data: " + strings.Repeat("x", 200) + "\n\n"
	stream := []byte("data: a\n\n" + big + "data: b\n\n")
	want := []block{
		{data: str("a"), raw: "data: a\n\n"},
		{overflow: true},
		{data: str("b"), raw: "data: b\n\n"},
	}
	for size := 1; size <= len(stream); size++ {
		require.Equal(t, want, scan(t, 100, pieces(stream, size)...), "pieces of %d", size)
	}
}

func TestScannerLetsGoOfLargeBuffers(t *testing.T) {
	var s sse.Scanner
	var ev sse.Event
	big := []byte("data: " + strings.Repeat("x", 1<<19) + "\ndata: y\n\n")
	s.Feed(big[:1<<18])
	require.False(t, s.Next(&ev))
	s.Feed(big[1<<18:])
	require.True(t, s.Next(&ev))
	require.Len(t, ev.Data, 1<<19+2)
	require.False(t, s.Next(&ev))
	require.LessOrEqual(t, s.Held(), 4<<10)
}

func TestScannerMemoryIsBoundedOnAnEndlessLine(t *testing.T) {
	var s sse.Scanner
	var ev sse.Event
	piece := bytes.Repeat([]byte("x"), 64<<10)
	for range 1600 {
		s.Feed(piece)
		require.False(t, s.Next(&ev))
		require.LessOrEqual(t, s.Held(), 4<<20)
	}
	s.Feed([]byte("\n\ndata: a\n\n"))
	require.True(t, s.Next(&ev))
	require.True(t, ev.Overflow)
	require.True(t, s.Next(&ev))
	require.Equal(t, "a", string(ev.Data))
}

func pieces(stream []byte, size int) [][]byte {
	var out [][]byte
	for ; len(stream) > size; stream = stream[size:] {
		out = append(out, bytes.Clone(stream[:size]))
	}
	return append(out, bytes.Clone(stream))
}

// requireSameForAnyDivision compares a divided reading with the whole one. A
// line feed may move from the end of one Raw to the start of the next.
func requireSameForAnyDivision(t *testing.T, maxEvent int, stream []byte, divided [][]byte) {
	t.Helper()
	whole := scan(t, maxEvent, stream)
	parts := scan(t, maxEvent, divided...)
	require.Equal(t, meanings(whole), meanings(parts))
	requireRawIsTheStream(t, stream, whole)
	requireRawIsTheStream(t, stream, parts)
}

func meanings(blocks []block) []block {
	out := make([]block, len(blocks))
	for i, b := range blocks {
		out[i] = block{name: b.name, data: b.data, overflow: b.overflow}
	}
	return out
}

func requireRawIsTheStream(t *testing.T, stream []byte, blocks []block) {
	t.Helper()
	var joined strings.Builder
	for _, b := range blocks {
		if b.overflow {
			return
		}
		joined.WriteString(b.raw)
	}
	rest, ok := strings.CutPrefix(string(stream), joined.String())
	require.True(t, ok, "blocks %q are no prefix of %q", joined.String(), stream)
	require.Contains(t, []string{"", "\n"}, rest, "only the LF of a last CRLF may be left")
}

var awkward = "\xEF\xBB\xBFdata: a\r\n\r\n: c\r\rdata:b\ndata\n\nevent: e\r\ndata: \U0001F600\r\n\r\n\n\r\rdata: [DONE]"

func TestScannerReadsTheSameForEveryDivision(t *testing.T) {
	stream := []byte(awkward)
	for size := 1; size < 8; size++ {
		requireSameForAnyDivision(t, 0, stream, pieces(stream, size))
	}
	for i := range stream {
		for j := i; j <= len(stream); j++ {
			requireSameForAnyDivision(t, 0, stream, [][]byte{stream[:i], stream[i:j], stream[j:]})
		}
	}
}

func FuzzScannerDivision(f *testing.F) {
	for i, seed := range []string{awkward, "\r\n\r\n\r\n", "\r\r\n\n", "\xEF\xBB", "data", "data: x\n\rdata:y\r\n\n", ":\n\n:"} {
		f.Add([]byte(seed), uint64(i), uint8(i%3*7))
	}
	f.Fuzz(func(t *testing.T, stream []byte, seed uint64, maxEvent uint8) {
		r := rand.New(rand.NewPCG(seed, 1))
		var divided [][]byte
		for rest := stream; len(rest) > 0; {
			n := min(r.IntN(9), len(rest))
			divided = append(divided, bytes.Clone(rest[:n]))
			rest = rest[n:]
		}
		requireSameForAnyDivision(t, int(maxEvent), stream, divided)
	})
}

// A relay that forwards blocks from its own buffer has to know of every byte that is
// held, the LF of a CRLF cut in two included.
func TestHoldsTheLineFeedOfACutLineEnd(t *testing.T) {
	var s sse.Scanner
	var ev sse.Event
	s.Feed([]byte("data: x\r\n\r"))
	require.True(t, s.Next(&ev))
	require.False(t, s.Next(&ev))
	require.False(t, s.Holds())

	s.Feed([]byte("\n"))
	require.False(t, s.Next(&ev))
	require.True(t, s.Holds())

	s.Feed([]byte("\r"))
	require.True(t, s.Next(&ev))
	require.Equal(t, "\n\r", string(ev.Raw))
	require.False(t, s.Holds())
}
