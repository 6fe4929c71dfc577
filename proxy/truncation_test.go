package proxy

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// framings are the ways in which a body's end is told.
var framings = map[string]fakeprovider.Framing{
	"chunked": fakeprovider.Chunked, "content length": fakeprovider.ContentLength, "until close": fakeprovider.CloseDelimited,
}

// Whether a stream is whole is said by its content: by the sentinel, or by a finish
// reason for every choice. Whatever else it has, and however its body is framed, the
// client of a stream without them gets to know that it was cut.
// row B10
func TestContentDecidesWhetherAStreamIsWhole(t *testing.T) {
	t.Parallel()
	for framing, f := range framings {
		for bits := range 16 {
			o := fakeprovider.ChatOptions{
				NoFinish: bits&1 == 0, IncludeUsage: bits&2 != 0, NoDone: bits&4 == 0, Choices: 1 + bits>>3,
			}
			name := fmt.Sprintf("%s/finish=%v usage=%v done=%v choices=%d", framing, !o.NoFinish, o.IncludeUsage, !o.NoDone, o.Choices)
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				r := newRig(t, mayBillPartial)
				stream := fakeprovider.ChatStream(o)
				r.up.Handle(func(e *fakeprovider.Exchange) {
					e.Raw(fakeprovider.Response(200, "text/event-stream", f, fakeprovider.Events(stream)...))
				})
				p, rec := r.askAs("a", streamBody)
				require.Equal(t, o.IncludeUsage, rec.UsageSource == accounting.SourceReported)
				if o.NoFinish && o.NoDone {
					if o.IncludeUsage { // it waits for the end
						stream = stream[:len(stream)-1]
					}
					p.requireCut(t, "upstream_truncated", chatText(stream))
					requireEnded(t, rec, accounting.OutcomeUpstreamTruncated, accounting.PhaseStreaming, "upstream_truncated")
					require.Equal(t, accounting.MayBillPartial, rec.MayBill)
					require.False(t, rec.Delivered)
					return
				}
				if o.NoDone {
					stream = append(stream, "[DONE]") // and nothing else is invented
				}
				p.requireWhole(t)
				if o.NoFinish { // the sentinel says that the answer is whole, and clients need a reason
					require.Equal(t, o.Choices, strings.Count(string(p.body), `"finish_reason":"stop"`))
				} else {
					require.Equal(t, chatText(stream), string(p.body))
				}
				requireEnded(t, rec, accounting.OutcomeCompleted, accounting.PhaseTail, "")
				require.Equal(t, accounting.MayBillFull, rec.MayBill)
				require.True(t, rec.Delivered)
			})
		}
	}
}

// A stream in which only some choices finished is cut, and so is one that has fewer
// choices than were asked for.
// row B10
func TestEveryChoiceHasToFinish(t *testing.T) {
	t.Parallel()
	two := fakeprovider.ChatStream(fakeprovider.ChatOptions{Choices: 2, NoDone: true})
	one := fakeprovider.ChatStream(fakeprovider.ChatOptions{NoDone: true})
	const twoAsked = `{"model":"m","stream":true,"n":2,"stream_options":{"include_usage":true},"messages":[]}`
	for _, c := range []struct {
		request string
		stream  []string
		whole   bool
	}{
		{streamBody, two, true},
		{streamBody, two[:len(two)-1], false},
		{streamBody, two[:len(two)-2], false},
		{twoAsked, two, true},
		{twoAsked, one, false},
		{streamBody, one, true},
		{streamBody, nil, false},
	} {
		r := newRig(t)
		r.up.Handle(func(e *fakeprovider.Exchange) {
			e.StreamHead()
			e.Play(c.stream)
		})
		p, rec := r.askAs("a", c.request)
		if c.whole {
			p.requireWhole(t)
			require.Equal(t, accounting.OutcomeCompleted, rec.Outcome)
			continue
		}
		p.requireCut(t, "upstream_truncated", chatText(c.stream))
		require.Equal(t, accounting.OutcomeUpstreamTruncated, rec.Outcome)
	}
}

// A whole answer has no sentinel but its own syntax: one that is cut is an error, also
// where only the end of the connection tells the end of the body.
// row B9
func TestWholeAnswerThatIsCutIsAnError(t *testing.T) {
	t.Parallel()
	answer := fakeprovider.ChatAnswer(fakeprovider.ChatOptions{})
	for framing, f := range framings {
		t.Run(framing, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, mayBillPartial)
			wire := fakeprovider.Response(200, "application/json", f, []byte(answer))
			for _, missing := range []int{1, 2, 5, 8, len(answer) / 2, len(answer) - 1} {
				r.up.Handle(func(e *fakeprovider.Exchange) { e.Raw(wire[:len(wire)-missing]) })
				id := fmt.Sprint(missing)
				p, rec := r.askAs(id, wholeBody)
				p.requireError(t, 502, "upstream_truncated")
				require.Equal(t, "false", p.header.Get("X-Should-Retry"))
				requireEnded(t, rec, accounting.OutcomeUpstreamTruncated, rec.Phase, "upstream_truncated")
				requireUsage(t, rec, accounting.SourceEstimated, accounting.MayBillPartial)
			}
			r.up.Handle(func(e *fakeprovider.Exchange) { e.Raw(wire) })
			p, rec := r.askAs("whole", wholeBody)
			require.NoError(t, p.err)
			require.Equal(t, answer, string(p.body))
			require.Equal(t, accounting.OutcomeCompleted, rec.Outcome)
		})
	}
}

// Of an answer that sluice does not look into only the framing tells whether it is
// whole. One that is cut reaches the client as it is, without a word of ours in it,
// and without an end.
// row B9
func TestOpaqueAnswerIsWholeWhenItsFramingSaysSo(t *testing.T) {
	t.Parallel()
	audio := bytes.Repeat([]byte("\x00\xff\r\n\r\ndata: "), 10_000)
	for framing, f := range framings {
		for _, whole := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/whole=%v", framing, whole), func(t *testing.T) {
				t.Parallel()
				r := newRig(t)
				wire := fakeprovider.Response(200, "audio/mpeg", f, audio)
				if !whole {
					wire = wire[:len(wire)-10]
				}
				r.up.Handle(func(e *fakeprovider.Exchange) { e.Raw(wire) })
				p := r.dial().askOn("/v1/audio/speech", `{"model":"m","input":"x"}`, "X-Request-Id: a")
				rec := r.record("a")
				require.Equal(t, 200, p.status)
				require.Equal(t, "audio/mpeg", p.header.Get("Content-Type"))
				require.True(t, bytes.HasPrefix(audio, p.body))
				require.Equal(t, accounting.SourceNone, rec.UsageSource)
				if whole || f == fakeprovider.CloseDelimited { // which cannot tell
					require.NoError(t, p.err)
					require.Equal(t, accounting.OutcomeCompleted, rec.Outcome)
					return
				}
				require.ErrorIs(t, p.err, io.ErrUnexpectedEOF)
				require.Equal(t, accounting.OutcomeUpstreamTruncated, rec.Outcome)
				require.False(t, rec.Delivered)
			})
		}
	}
}
