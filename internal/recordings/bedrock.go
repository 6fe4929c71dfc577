package recordings

import (
	"encoding/json"
	"fmt"
	"strings"
)

// converseEvent is the payload of any event of Bedrock's ConverseStream.
type converseEvent struct {
	Index int `json:"contentBlockIndex"`
	Start struct {
		ToolUse *struct{ ToolUseID, Name, Type string }
	}
	Delta struct {
		Text      string
		ToolUse   struct{ Input string }
		Reasoning struct{ Text string } `json:"reasoningContent"`
	}
	StopReason string
	Usage      struct {
		Input      *int64 `json:"inputTokens"`
		Output     *int64 `json:"outputTokens"`
		CacheRead  *int64 `json:"cacheReadInputTokens"`
		CacheWrite *int64 `json:"cacheWriteInputTokens"`
	}
}

// converse reads a ConverseStream in AWS frames.
func (r *Reading) converse(stream []byte) error {
	all, err := frames(stream)
	if err != nil {
		return err
	}
	for _, f := range all {
		if r.exception(f) {
			break
		}
		if err := r.converseEvent(f.headers[":event-type"], f.payload); err != nil {
			return err
		}
	}
	return nil
}

// converseJSON reads the same events as an event stream, each in a member with its name.
func (r *Reading) converseJSON(stream []byte) error {
	data, _ := events(stream)
	var failed error
	err := each(data, func(event map[string]json.RawMessage) bool {
		for name, payload := range event {
			if strings.HasSuffix(name, "Exception") {
				r.fail(messageIn(payload))
			} else if failed = r.converseEvent(name, payload); failed != nil {
				return false
			}
		}
		return !r.Failed
	})
	if err == nil {
		err = failed
	}
	return err
}

// exception reads a frame that says the request failed.
func (r *Reading) exception(f frame) bool {
	switch f.headers[":message-type"] {
	case "exception":
		r.fail(messageIn(f.payload))
	case "error":
		r.fail(f.headers[":error-message"])
	}
	return r.Failed
}

// converseEvent reads one event. messageStop makes the answer whole; metadata with the
// usage comes after it. The input excludes the cache.
func (r *Reading) converseEvent(name string, payload []byte) error {
	var e converseEvent
	if err := json.Unmarshal(payload, &e); err != nil {
		return fmt.Errorf("decoding %.200q: %w", payload, err)
	}
	c := r.choice(0)
	switch name {
	case "contentBlockStart":
		if use := e.Start.ToolUse; use != nil && use.Type != "server_tool_use" {
			c.open(e.Index, use.ToolUseID, use.Name)
		}
	case "contentBlockDelta":
		c.Text += e.Delta.Text
		c.Reasoning += e.Delta.Reasoning.Text
		if call := c.numbered(e.Index); call != nil {
			call.Arguments += e.Delta.ToolUse.Input
		}
	case "messageStop":
		r.Whole = true
		c.finish(e.StopReason, anthropicFinish(e.StopReason))
	case "metadata":
		u := e.Usage
		if u.Input != nil {
			n := *u.Input + orZero(u.CacheRead) + orZero(u.CacheWrite)
			r.count("prompt", &n)
		}
		r.count("completion", u.Output)
		r.count("cached", u.CacheRead)
		r.count("cache_write", u.CacheWrite)
	}
	return nil
}

// invoke reads an InvokeModel stream, whose frames hold the model's own events. Only
// Claude's are known here.
func (r *Reading) invoke(stream []byte) (claude bool, err error) {
	all, err := frames(stream)
	if err != nil {
		return true, err
	}
	a := newAnthropic(r)
	for _, f := range all {
		if r.exception(f) {
			break
		}
		var chunk struct{ Bytes []byte }
		if err := json.Unmarshal(f.payload, &chunk); err != nil {
			return true, fmt.Errorf("decoding %.200q: %w", f.payload, err)
		}
		var kind struct{ Type string }
		if json.Unmarshal(chunk.Bytes, &kind) != nil || kind.Type == "" {
			return false, nil
		}
		if err := a.event(chunk.Bytes); err != nil {
			return true, err
		}
	}
	return true, nil
}
