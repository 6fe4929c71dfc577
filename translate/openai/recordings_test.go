package openai_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/internal/fakeprovider"
	"github.com/sluicehq/sluice/translate/openai"
)

const recordings = "../../../shared/captures"

// plain is a lenient reading of a provider's stream with encoding/json.
type plain struct {
	choices map[int]*plainChoice
	order   []int
	usage   map[string]any
	done    bool
	failed  bool
}

type plainChoice struct {
	text, reasoning, finish string
	calls                   []plainCall
}

type plainCall struct {
	index               any
	id, name, arguments string
}

type plainDelta struct {
	Content          any
	Reasoning        string
	ReasoningContent string `json:"reasoning_content"`
	ToolCalls        []struct {
		Index    any
		ID       string
		Function struct {
			Name      string
			Arguments any
		}
	} `json:"tool_calls"`
}

func readPlainly(t *testing.T, stream []byte) *plain {
	t.Helper()
	p := &plain{choices: map[int]*plainChoice{}}
	for _, data := range payloads(stream) {
		if data == "[DONE]" {
			p.done = true
			return p
		}
		if isFailure([]byte(data)) {
			p.failed = true
			return p
		}
		var chunk struct {
			Choices []struct {
				Index  int
				Delta  plainDelta
				Finish *string `json:"finish_reason"`
				Usage  map[string]any
			}
			Usage map[string]any
			Groq  struct{ Usage map[string]any } `json:"x_groq"`
		}
		require.NoError(t, json.Unmarshal([]byte(data), &chunk))
		for _, c := range chunk.Choices {
			known := p.choices[c.Index]
			if known == nil {
				known = &plainChoice{}
				p.choices[c.Index] = known
				p.order = append(p.order, c.Index)
			}
			if known.finish != "" {
				continue
			}
			known.add(t, c.Delta)
			if c.Finish != nil {
				known.finish = *c.Finish
			}
		}
		for _, usage := range []map[string]any{chunk.Groq.Usage, chunk.Usage} {
			if usage["completion_tokens"] != nil {
				p.usage = usage
			}
		}
	}
	return p
}

func (c *plainChoice) add(t *testing.T, d plainDelta) {
	switch content := d.Content.(type) {
	case string:
		c.text += content
	case []any:
		for _, part := range content {
			part := part.(map[string]any)
			text, _ := part["text"].(string)
			c.text += text
			thoughts, _ := part["thinking"].([]any)
			for _, thought := range thoughts {
				c.reasoning += thought.(map[string]any)["text"].(string)
			}
		}
	}
	c.reasoning += d.ReasoningContent
	if d.Reasoning != d.ReasoningContent {
		c.reasoning += d.Reasoning
	}
	for _, call := range d.ToolCalls {
		at := slices.IndexFunc(c.calls, func(k plainCall) bool {
			return k.index == call.Index && (call.ID == "" || call.ID == k.id)
		})
		if call.Index == nil && call.ID == "" && len(c.calls) > 0 {
			at = len(c.calls) - 1
		}
		if at < 0 {
			at = len(c.calls)
			c.calls = append(c.calls, plainCall{index: call.Index, id: call.ID, name: call.Function.Name})
		}
		switch arguments := call.Function.Arguments.(type) {
		case string:
			c.calls[at].arguments += arguments
		case map[string]any:
			text, err := json.Marshal(arguments)
			require.NoError(t, err)
			c.calls[at].arguments += string(text)
		}
	}
}

// corrected is the usage of a provider that leaves reasoning out of the completion.
func corrected(u map[string]any) map[string]any {
	details, _ := u["completion_tokens_details"].(map[string]any)
	reasoning, _ := details["reasoning_tokens"].(float64)
	prompt, _ := u["prompt_tokens"].(float64)
	completion, _ := u["completion_tokens"].(float64)
	if reasoning > 0 && u["total_tokens"] == prompt+completion+reasoning {
		u["completion_tokens"] = completion + reasoning
	}
	return u
}

// requireSame compares what a strict client got with what the provider said.
func (p *plain) requireSame(t *testing.T, s *strict, hidden bool) {
	t.Helper()
	require.Len(t, s.choices, len(p.choices))
	for index, want := range p.choices {
		got := s.choices[index]
		require.Equal(t, want.text, got.text)
		reasoning := got.reasoning
		if reasoning == "" {
			reasoning = got.thoughts
		}
		require.Equal(t, want.reasoning, reasoning)
		require.Len(t, got.calls, len(want.calls))
		for i, call := range want.calls {
			require.Equal(t, call.name, got.calls[i].name)
			if call.id != "" {
				require.Equal(t, call.id, got.calls[i].id)
			}
			if strings.TrimSpace(call.arguments) == "" && got.finish == "tool_calls" {
				call.arguments = "{}"
			}
			require.Equal(t, call.arguments, got.calls[i].arguments)
		}
		finish := want.finish
		if finish == "" && !p.failed || finish == "stop" {
			finish = "stop"
			if len(want.calls) > 0 {
				finish = "tool_calls"
			}
		}
		require.Equal(t, finish, got.finish)
	}
	if hidden || p.failed {
		return
	}
	if p.usage == nil {
		require.Nil(t, s.usage)
		return
	}
	require.Equal(t, corrected(p.usage), s.usage)
}

func chatStreams(t *testing.T) (streams []fakeprovider.Capture) {
	t.Helper()
	for _, c := range fakeprovider.Captures(t, recordings, "openai-chat") {
		if c.Meta.Status == 200 && c.Meta.Container == "sse" {
			streams = append(streams, c)
		}
	}
	return streams
}

var standIn = openai.Options{ChatID: "chatcmpl-standin", Created: 1_700_000_000, Asked: "asked"}

func TestRecordedStreamsBecomeWhatStrictClientsAccept(t *testing.T) {
	untouched, events, touched := 0, 0, 0
	var mended []string
	streams := chatStreams(t)
	for i, c := range streams {
		t.Run(c.Provider+"/"+c.Name, func(t *testing.T) {
			want := readPlainly(t, c.Response)
			for _, hidden := range []bool{false, true} {
				o := standIn
				o.HideUsage = hidden
				got := relay(t, o, c.Response, uint64(i))
				require.Equal(t, !want.failed, got.endedWell)
				want.requireSame(t, accept(t, got.out, hidden), hidden)
				requireSteady(t, o, got.out)
				if hidden {
					continue
				}
				events += got.events
				touched += got.touched
				if got.touched > 0 {
					mended = append(mended, c.Provider+"/"+c.Name)
					continue
				}
				untouched++
				require.True(t, strings.HasPrefix(string(got.out), strings.TrimRight(string(c.Response), "\r\n")))
			}
		})
	}
	t.Logf("%d of %d streams pass untouched; %d of %d events are mended", untouched, len(streams), touched, events)
	t.Logf("mended: %s", strings.Join(mended, "\n"))
}

// requireSteady requires that a mended stream needs no mending.
func requireSteady(t *testing.T, o openai.Options, stream []byte) {
	t.Helper()
	again := relay(t, o, stream, 7)
	require.Zero(t, again.touched)
	require.Equal(t, string(stream), string(again.out))
}

func TestRecordedStreamsUnderAPublicName(t *testing.T) {
	for i, c := range chatStreams(t) {
		t.Run(c.Provider+"/"+c.Name, func(t *testing.T) {
			o := standIn
			o.Model = `public "name"`
			got := relay(t, o, c.Response, uint64(i))
			s := accept(t, got.out, false)
			readPlainly(t, c.Response).requireSame(t, s, false)
			if s.headed {
				require.Equal(t, o.Model, s.model)
			}
		})
	}
}
