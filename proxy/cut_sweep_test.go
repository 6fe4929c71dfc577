package proxy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// fixture is a small stream, short on purpose: every byte of it is a test.
type fixture struct {
	name, path, request string
	pieces              [][]byte
	ends                func(data string, state map[int]bool) bool
	sentinel            string // that sluice adds where it is missing
}

const (
	responsesBody = `{"model":"m","stream":true,"input":"x"}`
	done          = "data: [DONE]\n\n"
)

var fixtures = []fixture{
	{
		name: "text", path: chatPath, request: streamBody, ends: chatEnds, sentinel: done,
		pieces: fakeprovider.Events([]string{
			`{"choices":[{"index":0,"delta":{"content":"h\u00e9é"}}]}`, `{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`, "[DONE]",
		}),
	},
	{
		name: "two choices, no sentinel", path: chatPath, request: streamBody, ends: chatEnds, sentinel: done,
		pieces: fakeprovider.Events([]string{
			`{"choices":[{"index":0,"delta":{"content":"a"}},{"index":1,"delta":{"content":"b"}}]}`,
			`{"choices":[{"index":1,"delta":{},"finish_reason":"length"}]}`, `{"choices":[{"delta":{},"finish_reason":"stop"}]}`,
			`{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}`,
		}),
	},
	{
		name: "a tool call, CRLF, a comment", path: chatPath, request: withoutUsage, ends: chatEnds, sentinel: done,
		pieces: [][]byte{
			[]byte(": hi\r\n\r\n"),
			[]byte("event: x\r\ndata: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"c\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]}}]}\r\n\r\n"),
			[]byte("data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\r\n\r\n"), []byte("data: [DONE]\r\n\r\n"),
		},
	},
	{
		name: "a response", path: "/v1/responses", request: responsesBody, ends: responseEnds,
		pieces: [][]byte{
			[]byte("event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"a\"}\n\n"),
			[]byte("event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"status\":\"completed\",\"output\":[]}}\n\n"),
		},
	},
}

// chatEnds reads the data of one event with encoding/json and tells whether the stream
// is whole with it: state holds the choices seen, and whether each has finished.
func chatEnds(data string, state map[int]bool) bool {
	if data == "[DONE]" {
		return true
	}
	var chunk struct {
		Choices []struct {
			Index  int
			Finish *string `json:"finish_reason"`
		}
	}
	if json.Unmarshal([]byte(data), &chunk) != nil {
		return false
	}
	for _, c := range chunk.Choices {
		state[c.Index] = state[c.Index] || c.Finish != nil
	}
	return false
}

func responseEnds(data string, _ map[int]bool) bool {
	var event struct{ Type string }
	return json.Unmarshal([]byte(data), &event) == nil && event.Type == "response.completed"
}

// expected is what has to come of a stream whose content ends after content: what the
// client gets of it, and whether it counts as whole.
func (f fixture) expected(content []byte) (forwarded string, whole bool) {
	state := map[int]bool{}
	for len(content) > 0 {
		end := blockEnd(content)
		block := content
		if end > 0 {
			block = content[:end]
		}
		data, found := dataOf(block)
		if end == 0 { // cut inside: it counts if only line ends are missing
			if !found || data != "[DONE]" && !json.Valid([]byte(data)) {
				break
			}
			block = append(bytes.TrimRight(block, "\r\n"), "\n\n"...)
			end = len(content)
		}
		forwarded += string(block)
		if found && f.ends(data, state) {
			if bytes.HasSuffix(block, []byte("\r\n\r")) {
				forwarded += "\n"
			}
			return forwarded, true
		}
		content = content[end:]
	}
	for _, finished := range state {
		if !finished {
			return forwarded, false
		}
	}
	if len(state) == 0 {
		return forwarded, false
	}
	return forwarded + f.sentinel, true
}

// blockEnd is the size of the first block of b with its blank line, 0 if it has none.
// All fixtures use one kind of line end throughout; a CR at the very end ends a line.
func blockEnd(b []byte) int {
	for _, blank := range []string{"\n\n", "\r\n\r\n"} {
		if i := bytes.Index(b, []byte(blank)); i >= 0 {
			return i + len(blank)
		}
	}
	if bytes.HasSuffix(b, []byte("\r\n\r")) {
		return len(b)
	}
	return 0
}

func dataOf(block []byte) (string, bool) {
	for line := range bytes.Lines(block) {
		if d, ok := bytes.CutPrefix(line, []byte("data: ")); ok {
			return string(bytes.TrimRight(d, "\r\n")), true
		}
	}
	return "", false
}

// wire is the answer with this fixture as its body, and for every byte of the content
// its place in it.
func (f fixture) wire(framing fakeprovider.Framing) (wire []byte, places []int) {
	wire = fakeprovider.Response(200, "text/event-stream", framing, f.pieces...)
	at := bytes.Index(wire, []byte("\r\n\r\n")) + 4
	for _, piece := range f.pieces {
		at += bytes.Index(wire[at:], piece)
		for range piece {
			places = append(places, at)
			at++
		}
	}
	return wire, places
}

// A stream that ends after any of its bytes, whatever its framing, is whole exactly
// when its content says so. Before that no reader can take it for whole.
// rows B8, B9, B10
func TestStreamCutAtEveryByte(t *testing.T) {
	t.Parallel()
	for _, f := range fixtures {
		for name, framing := range framings {
			t.Run(f.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				r := newRig(t)
				wire, places := f.wire(framing)
				r.up.Handle(func(e *fakeprovider.Exchange) {
					cut, err := strconv.Atoi(e.Request.Get("X-Cut"))
					require.NoError(t, err)
					e.Raw(wire[:cut])
				})
				content := bytes.Join(f.pieces, nil)
				head := bytes.Index(wire, []byte("\r\n\r\n")) + 4
				arrived := 0
				for cut := range len(wire) + 1 {
					for arrived < len(places) && places[arrived] < cut {
						arrived++
					}
					f.requireCutAt(t, r, cut, cut >= head, content[:arrived])
				}
			})
		}
	}
}

func (f fixture) requireCutAt(t *testing.T, r *rig, cut int, headed bool, content []byte) {
	t.Helper()
	id := fmt.Sprint("cut-", cut)
	p := r.dial().askOn(f.path, f.request, "X-Request-Id: "+id, fmt.Sprint("X-Cut: ", cut))
	rec := r.record(id)
	if !headed {
		p.requireError(t, 502, "upstream_closed")
		requireEnded(t, rec, accounting.OutcomeUpstreamError, accounting.PhaseAwaitHeaders, "upstream_closed")
		return
	}
	want, whole := f.expected(bytes.Clone(content))
	if !whole {
		require.Equal(t, accounting.OutcomeUpstreamTruncated, rec.Outcome, "cut at %d", cut)
		p.requireCut(t, "upstream_truncated", want)
		require.False(t, rec.Delivered)
		return
	}
	require.NoError(t, p.err, "cut at %d", cut)
	require.Equal(t, want, string(p.body), "cut at %d", cut)
	require.Equal(t, accounting.OutcomeCompleted, rec.Outcome, "cut at %d", cut)
	require.True(t, rec.Delivered)
}

// A reset may swallow what was sent before it, so only one direction is certain: no
// stream is whole before its content says so.
// rows B7, B8
func TestStreamResetAtManyBytesIsNeverTakenForWhole(t *testing.T) {
	t.Parallel()
	for _, f := range fixtures {
		r := newRig(t)
		wire, places := f.wire(fakeprovider.Chunked)
		content := bytes.Join(f.pieces, nil)
		for cut := 0; cut < len(wire); cut += 3 {
			r.up.Handle(func(e *fakeprovider.Exchange) {
				e.Raw(wire[:cut])
				e.Reset()
			})
			arrived := 0
			for arrived < len(places) && places[arrived] < cut {
				arrived++
			}
			id := fmt.Sprint("cut-", cut)
			p := r.dial().askOn(f.path, f.request, "X-Request-Id: "+id)
			rec := r.record(id)
			if _, whole := f.expected(bytes.Clone(content[:arrived])); whole && rec.Outcome == accounting.OutcomeCompleted {
				continue
			}
			require.Contains(t, []accounting.Outcome{accounting.OutcomeUpstreamError, accounting.OutcomeUpstreamTruncated}, rec.Outcome, "cut at %d", cut)
			require.NotContains(t, string(p.body), "[DONE]")
			require.True(t, p.status == 502 || errors.Is(p.err, io.ErrUnexpectedEOF), "cut at %d", cut)
		}
	}
}
