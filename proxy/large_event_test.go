package proxy

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/accounting/tokens"
	"github.com/sluicehq/sluice/internal/fakeprovider"
	"github.com/sluicehq/sluice/internal/recordings"
)

// live is the memory in use after a collection.
func live() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

// An event of 100 MB passes as it comes, in bounded memory, and what comes behind it
// still counts. This test is not parallel: it measures.
// row B24
func TestHugeEventPassesInBoundedMemory(t *testing.T) {
	const times, step = 1600, 10_000_000
	filler := bytes.Repeat([]byte("0123456789abcdef"), 4<<10)
	framed := fakeprovider.Frame(filler) // once: the upstream is not to make garbage either
	head, end := []byte(`data: {"choices":[{"index":0,"delta":{"content":"`), []byte(`"}}]}`+"\n\n")
	tail := chatText(fakeprovider.ChatStream(fakeprovider.ChatOptions{IncludeUsage: true}))
	for _, request := range []string{streamBody, withoutUsage} {
		r := newRig(t)
		r.up.Handle(func(e *fakeprovider.Exchange) {
			e.Chunk(head)
			for range times {
				e.Raw(framed)
			}
			e.Chunk(append(bytes.Clone(end), tail...))
			e.EndChunks()
		})
		sent := sha256.New()
		sent.Write(head)
		for range times {
			sent.Write(filler)
		}
		sent.Write(end)

		got := sha256.New()
		before := live()
		resp := r.dial().post(request, "X-Request-Id: a")
		most := before
		for left := int64(len(head) + times*len(filler) + len(end)); left > 0; left -= step {
			_, err := io.CopyN(got, resp.Body, min(left, step))
			require.NoError(t, err)
			most = max(most, live())
		}
		require.Less(t, most-before, uint64(4<<20))
		p := read(resp)
		require.NoError(t, p.err)
		require.Equal(t, sent.Sum(nil), got.Sum(nil))
		want := tail
		if request == withoutUsage {
			want = chatText(fakeprovider.ChatStream(fakeprovider.ChatOptions{}))
		}
		require.Equal(t, want, string(p.body))

		rec := r.record("a")
		require.Equal(t, accounting.OutcomeCompleted, rec.Outcome)
		require.True(t, rec.AccountingDegraded)
		require.Equal(t, accounting.SourceReported, rec.UsageSource)
		require.Equal(t, tokens.Known(4), rec.Usage.Output)
	}
}

// blockOfUpstream is what one read may bring: it decides early whether an event is too
// large.
const blockOfUpstream = 32 << 10

// Around the size up to which events are held, and in whatever pieces they come, all
// bytes pass.
// row B24
func TestEventsAroundTheHeldSizePass(t *testing.T) {
	t.Parallel()
	tail := chatText(fakeprovider.ChatStream(fakeprovider.ChatOptions{IncludeUsage: true}))
	hidden := chatText(fakeprovider.ChatStream(fakeprovider.ChatOptions{}))
	for _, fragment := range []int{1, 97, 64 << 10} {
		for _, over := range []int{-40_000, -200, 0, 200, 40_000, 3 << 20} {
			size := maxHeld + over
			if fragment == 1 && over != 200 {
				continue // the same as 97, only slower
			}
			t.Run(fmt.Sprintf("%d in %d", size, fragment), func(t *testing.T) {
				t.Parallel()
				big := `data: {"choices":[{"index":0,"delta":{"content":"` + strings.Repeat("x", size) + `"}}]}` + "\n\n"
				r := newRig(t)
				wire := inChunks([]byte(big+tail), fragment)
				r.up.Handle(func(e *fakeprovider.Exchange) {
					e.StreamHead()
					e.Raw(wire)
					e.EndChunks()
				})
				p, rec := r.askAs("a", streamBody)
				p.requireWhole(t)
				requireSame(t, big+tail, p.body)
				if over > 0 || over < -blockOfUpstream {
					require.Equal(t, over > 0, rec.AccountingDegraded)
				}
				require.Equal(t, accounting.SourceReported, rec.UsageSource)

				p = r.ask(withoutUsage)
				requireSame(t, big+hidden, p.body)
			})
		}
	}
}

// inChunks frames p as chunks of at most size bytes, without the last chunk.
func inChunks(p []byte, size int) (wire []byte) {
	for len(p) > 0 {
		n := min(size, len(p))
		wire = append(strconv.AppendInt(wire, int64(n), 16), "\r\n"...)
		wire = append(append(wire, p[:n]...), "\r\n"...)
		p = p[n:]
	}
	return wire
}

// A stream that is cut inside an event that was too large to be held gets its error on
// a line of its own, so that no reader takes it for a part of the event.
// rows B8, B24
func TestCutInsideAHugeEvent(t *testing.T) {
	t.Parallel()
	big := `data: {"choices":[{"index":0,"delta":{"content":"` + strings.Repeat("x", 2*maxHeld)
	finished := chatText(fakeprovider.ChatStream(fakeprovider.ChatOptions{NoDone: true}))

	r := newRig(t)
	r.asChunks([]byte(big))
	p, rec := r.askAs("a", streamBody)
	p.requireCut(t, "upstream_truncated", big+"\n\n")
	require.Equal(t, accounting.OutcomeUpstreamTruncated, rec.Outcome)

	r = newRig(t)
	r.asChunks([]byte(finished + big))
	p, rec = r.askAs("a", streamBody)
	p.requireWhole(t)
	requireSame(t, finished+big+"\n\ndata: [DONE]\n\n", p.body)
	require.Equal(t, accounting.OutcomeCompleted, rec.Outcome)
}

// The last event of a response repeats the whole answer, so that it may be larger than
// any other; it ends the stream all the same.
// row B24
func TestHugeLastEventOfAResponseEndsIt(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"completed", "incomplete"} {
		for name, behind := range map[string]string{"nothing behind": "", "a sentinel behind": "data: [DONE]\n\n"} {
			r := newRig(t)
			stream := fmt.Sprintf("event: response.%s\ndata: {\"type\":\"response.%s\",\"response\":{\"status\":%q,\"model\":\"theirs\",\"output\":[{\"type\":\"image_generation_call\",\"result\":%q}]}}\n\n%s",
				kind, kind, kind, strings.Repeat("A", 2*maxHeld), behind)
			r.asChunks(recordings.Chunks(rand.New(rand.NewPCG(1, 2)), []byte(stream))...)
			p := r.dial().askOn("/v1/responses", responsesBody, "X-Request-Id: a")
			require.NoError(t, p.err, name)
			requireSame(t, stream, p.body)
			rec := r.record("a")
			require.Equal(t, accounting.OutcomeCompleted, rec.Outcome)
			require.True(t, rec.AccountingDegraded)
		}
	}
}
