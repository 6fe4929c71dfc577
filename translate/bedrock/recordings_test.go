package bedrock_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting/tokens"
	"github.com/sluicehq/sluice/internal/dialecttest"
	"github.com/sluicehq/sluice/translate"
)

const captures = "../../../shared/captures"

// converseEvent is any event of a ConverseStream.
type converseEvent struct {
	Start struct {
		ToolUse *struct{ ToolUseID, Name string }
	}
	Delta struct {
		Text      string
		ToolUse   struct{ Input string }
		Reasoning struct{ Text string } `json:"reasoningContent"`
	}
	StopReason string
	Usage      *struct{ InputTokens, OutputTokens, CacheReadInputTokens, CacheWriteInputTokens *int64 }
}

// reading reads a recording with AWS's own decoder and encoding/json.
type reading struct{ dialecttest.Expectation }

func (r *reading) event(t *testing.T, payload []byte) {
	var e converseEvent
	require.NoError(t, json.Unmarshal(payload, &e))
	if use := e.Start.ToolUse; use != nil {
		r.Calls = append(r.Calls, dialecttest.Call{ID: use.ToolUseID, Name: use.Name})
	}
	r.Content += e.Delta.Text
	r.Thoughts += e.Delta.Reasoning.Text
	if input := e.Delta.ToolUse.Input; input != "" {
		r.Calls[len(r.Calls)-1].Arguments += input
	}
	if e.StopReason != "" {
		r.Native = e.StopReason
		r.Reason = map[string]string{
			"end_turn": "stop", "stop_sequence": "stop", "tool_use": "tool_calls", "max_tokens": "length",
			"guardrail_intervened": "content_filter", "content_filtered": "content_filter",
		}[e.StopReason]
	}
	if u := e.Usage; u != nil {
		input := *u.InputTokens
		for _, n := range []*int64{u.CacheReadInputTokens, u.CacheWriteInputTokens} {
			if n != nil {
				input += *n
			}
		}
		r.Input, r.Output = tokens.Known(input), tokens.Known(*u.OutputTokens)
		if u.CacheReadInputTokens != nil {
			r.Cached = tokens.Known(*u.CacheReadInputTokens)
		}
	}
}

func TestRecordedStreams(t *testing.T) {
	dialecttest.EachRecording(t, captures, "bedrock-converse", func(t *testing.T, rec dialecttest.Recording) {
		if rec.Status != 200 {
			e := dialect.Error(rec.Status, rec.Media, rec.Body)
			var body struct{ Message string }
			require.NoError(t, json.Unmarshal(rec.Body, &body))
			require.Equal(t, body.Message, e.Message)
			require.Equal(t, rec.Status, e.Status)
			return
		}
		var want reading
		in, decoder := bytes.NewReader(rec.Body), eventstream.NewDecoder()
		for {
			m, err := decoder.Decode(in, nil)
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
			want.event(t, m.Payload)
		}
		requireRead(t, want, translate.FramingAWS, rec.Body)
	})
}

func TestRecordedEventsWithoutFrames(t *testing.T) {
	dialecttest.EachRecording(t, captures, "bedrock-converse-json", func(t *testing.T, rec dialecttest.Recording) {
		var want reading
		for line := range strings.Lines(string(rec.Body)) {
			data, ok := strings.CutPrefix(line, "data: ")
			if !ok {
				continue
			}
			var event map[string]json.RawMessage
			require.NoError(t, json.Unmarshal([]byte(data), &event))
			for _, payload := range event {
				want.event(t, payload)
			}
		}
		requireRead(t, want, translate.FramingSSE, rec.Body)
	})
}

func requireRead(t *testing.T, want reading, f translate.Framing, body []byte) {
	t.Helper()
	for _, size := range []int{1, 13, 1 + rand.IntN(200), len(body)} {
		r := &dialecttest.Recorder{}
		progress := dialecttest.Stream(dialect, r, f, body, size)
		want.Check(t, r, progress)
	}
	dialecttest.Chunked(t, dialect, f, body)
}

// A recorded stream that is cut anywhere must not look whole, unless it lacks nothing
// but its metadata.
func TestRecordedStreamsThatAreCutAreNotWhole(t *testing.T) {
	dialecttest.EachRecording(t, captures, "bedrock-converse", func(t *testing.T, rec dialecttest.Recording) {
		if rec.Status != 200 {
			t.Skip("an error")
		}
		for range 50 {
			r := &dialecttest.Recorder{}
			cut := rec.Body[:rand.IntN(len(rec.Body))]
			progress := dialecttest.Stream(dialect, r, translate.FramingAWS, cut, 1000)
			require.Equal(t, r.Reason != "", progress == translate.Complete)
		}
	})
}
