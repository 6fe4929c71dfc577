package recordings

import (
	"encoding/json"
	"fmt"
)

// anthropicEvent is an event of a Messages stream.
type anthropicEvent struct {
	Type    string
	Index   int
	Message anthropicMessage
	Block   anthropicBlock `json:"content_block"`
	Delta   struct {
		Type, Text, Thinking string
		Partial              string `json:"partial_json"`
		anthropicStop
	}
	Error json.RawMessage

	anthropicMessage // of a whole answer in the place of a stream
}

type anthropicMessage struct {
	ID      string
	Model   string
	Content []anthropicBlock
	anthropicStop
}

type anthropicStop struct {
	Reason  loose                       `json:"stop_reason"`
	Details struct{ Explanation loose } `json:"stop_details"`
}

type anthropicBlock struct {
	Type, Text, Thinking string
	ID, Name             string
	Input                json.RawMessage
	To                   struct{ Model string } // of a fallback
}

type anthropicUsage struct {
	Input      *int64 `json:"input_tokens"`
	CacheWrite *int64 `json:"cache_creation_input_tokens"`
	CacheRead  *int64 `json:"cache_read_input_tokens"`
	Output     *int64 `json:"output_tokens"`
	Details    struct {
		Thinking *int64 `json:"thinking_tokens"`
	} `json:"output_tokens_details"`
}

// anthropic is a Messages stream that is being read.
type anthropic struct {
	*Reading
	begun string             // id of the message
	calls map[int]*openCall  // by index of the block
	input map[*openCall]bool // whose arguments came in fragments
	usage anthropicUsage     // totals, of which later ones replace earlier ones
}

func newAnthropic(r *Reading) *anthropic {
	return &anthropic{Reading: r, calls: map[int]*openCall{}, input: map[*openCall]bool{}}
}

func (r *Reading) anthropicSSE(stream []byte) error {
	a := newAnthropic(r)
	data, _ := events(stream)
	for _, raw := range data {
		if err := a.event([]byte(raw)); err != nil || r.Failed {
			return err
		}
	}
	return nil
}

// event reads an event. A whole message in the place of one is taken for what it is.
func (a *anthropic) event(raw []byte) error {
	var usage struct {
		Usage   *anthropicUsage
		Message struct{ Usage *anthropicUsage }
	}
	var e anthropicEvent
	if err := json.Unmarshal(raw, &usage); err != nil {
		return fmt.Errorf("decoding %.200q: %w", raw, err)
	}
	if err := json.Unmarshal(raw, &e); err != nil {
		return fmt.Errorf("decoding %.200q: %w", raw, err)
	}
	if begin := usage.Message.Usage; begin != nil {
		begin.Output = nil // a few tokens, before there is any output
		a.addUsage(begin)
	}
	a.addUsage(usage.Usage)
	switch e.Type {
	case "message_start":
		a.message(e.Message)
	case "message":
		a.message(e.anthropicMessage)
	case "content_block_start":
		a.block(e.Index, e.Block)
	case "content_block_delta":
		a.delta(&e)
	case "message_delta":
		a.stopped(e.Delta.anthropicStop)
	case "error":
		a.fail(messageIn(e.Error))
	}
	return nil
}

// message begins the answer. A second one with another id was spliced in upstream.
func (a *anthropic) message(m anthropicMessage) {
	if a.begun != "" {
		if m.ID != a.begun {
			a.fail("")
		}
		return
	}
	a.begun = m.ID
	a.head(m.ID, m.Model)
	a.choice(0)
	for i, block := range m.Content {
		a.block(-1-i, block) // blocks that no delta can reach
	}
	a.stopped(m.anthropicStop)
}

// block begins a block; what the provider runs itself is no tool call of the client's.
func (a *anthropic) block(index int, b anthropicBlock) {
	c := a.choice(0)
	switch b.Type {
	case "text":
		c.Text += b.Text
	case "thinking":
		c.Reasoning += b.Thinking
	case "tool_use":
		call := c.open(index, b.ID, b.Name)
		if isObject(b.Input) && Canonical(string(b.Input)) != "{}" {
			call.Arguments = string(b.Input)
		}
		a.calls[index] = call
	case "fallback":
		a.head("", b.To.Model)
	}
}

// delta adds to the block with the delta's index. Fragments replace what the block
// began with.
func (a *anthropic) delta(e *anthropicEvent) {
	c := a.choice(0)
	switch e.Delta.Type {
	case "text_delta":
		c.Text += e.Delta.Text
	case "thinking_delta":
		c.Reasoning += e.Delta.Thinking
	case "input_json_delta":
		call := a.calls[e.Index]
		if call == nil || e.Delta.Partial == "" {
			return
		}
		if !a.input[call] {
			a.input[call], call.Arguments = true, ""
		}
		call.Arguments += e.Delta.Partial
	}
}

// stopped notes the stop reason. It makes the answer whole, and message_stop does not.
// The explanation of a refusal is its text.
func (a *anthropic) stopped(s anthropicStop) {
	c, reason := a.choice(0), string(s.Reason)
	if reason == "" {
		return
	}
	a.Whole = true
	if !c.HasFinish && reason == "refusal" {
		c.Refusal = string(s.Details.Explanation)
	}
	c.finish(reason, anthropicFinish(reason))
}

// anthropicFinish serves Bedrock too.
func anthropicFinish(reason string) string {
	switch reason {
	case "max_tokens", "model_context_window_exceeded":
		return length
	case "tool_use":
		return toolCalls
	case "refusal", "guardrail_intervened", "content_filtered":
		return contentFilter
	}
	return stop
}

// addUsage takes totals, and states them: the input includes what was read from and
// written to the cache, which Anthropic counts beside it.
func (a *anthropic) addUsage(u *anthropicUsage) {
	if u == nil {
		return
	}
	for to, from := range map[**int64]*int64{
		&a.usage.Input: u.Input, &a.usage.CacheWrite: u.CacheWrite, &a.usage.CacheRead: u.CacheRead,
		&a.usage.Output: u.Output, &a.usage.Details.Thinking: u.Details.Thinking,
	} {
		if from != nil {
			*to = from
		}
	}
	if a.usage.Input != nil {
		prompt := *a.usage.Input + orZero(a.usage.CacheWrite) + orZero(a.usage.CacheRead)
		a.count("prompt", &prompt)
	}
	a.count("cached", a.usage.CacheRead)
	a.count("cache_write", a.usage.CacheWrite)
	a.count("completion", a.usage.Output)
	a.count("reasoning", a.usage.Details.Thinking)
}

func orZero(n *int64) int64 {
	if n == nil {
		return 0
	}
	return *n
}
