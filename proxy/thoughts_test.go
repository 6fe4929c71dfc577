package proxy

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/chatrules"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// signature is base64, as those of all providers are.
const signature = "c2lnbmF0dXJlIG9mIGEgdGhvdWdodA=="

// thoughtful is an answer whose thoughts must come back with the result of its call.
var thoughtful = fakeprovider.Said{
	Thinking: "I have to look. ", Signature: signature,
	Calls: []fakeprovider.ToolCall{{ID: "toolu_1", Name: "look", Arguments: []string{`{"at":"sea"}`}}},
}

// signers are the voices whose thoughts are signed.
func signers() []*fakeprovider.Voice {
	return []*fakeprovider.Voice{{Dialect: "anthropic"}, {Dialect: "anthropic", Enveloped: true}, {Dialect: "bedrock"}, {Dialect: "gemini"}}
}

// thinker is a model at a signer that is known to think.
func thinker(v *fakeprovider.Voice) string {
	switch {
	case v.Dialect == config.DialectBedrock || v.Enveloped:
		return "anthropic.claude-sonnet-4-20250514-v1:0"
	case v.Dialect == config.DialectGemini:
		return "gemini-2.5-flash"
	}
	return "claude-sonnet-4-20250514"
}

// thinking makes a request one for a thinker.
func thinking(model, body string) string {
	return strings.Replace(asking(model, body), `"tools":`, `"reasoning_effort":"low","tools":`, 1)
}

// turns are a conversation between its two turns.
type turns struct {
	r      *rig
	v      *fakeprovider.Voice
	stream bool
	choice *chatrules.Choice
}

// firstTurn asks, and gets a tool call.
func firstTurn(t *testing.T, r *rig, v *fakeprovider.Voice, stream bool, headers ...string) *turns {
	t.Helper()
	r.up.Handle(func(e *fakeprovider.Exchange) {
		if !wantsStream(e) {
			e.JSON(200, v.Answer(thoughtful))
			return
		}
		say(e, v, v.Fresh().Stream(thoughtful)...)
		e.EndChunks()
	})
	body := wholeWithTool
	if stream {
		body = chatWithTool
	}
	p := r.ask(thinking(thinker(v), body), headers...)
	require.Equal(t, 200, p.status, "%s", p.body)
	rules := chatrules.Options{IncludeUsage: true, Model: thinker(v)}
	var answer *chatrules.Answer
	if stream {
		answer = &chatrules.CheckStream(t, p.body, rules).Answer
	} else {
		answer = chatrules.CheckAnswer(t, p.body, rules)
	}
	require.Len(t, answer.Choices, 1)
	require.Len(t, answer.Choices[0].Calls, 1)
	require.Equal(t, thoughtful.Thinking, answer.Choices[0].Reasoning)
	return &turns{r: r, v: v, stream: stream, choice: answer.Choices[0]}
}

// secondTurn sends the result of the call, with what the client was given to carry if
// it carries it, and returns what the provider gets.
func (c *turns) secondTurn(t *testing.T, provider string, carries bool, headers ...string) string {
	t.Helper()
	call := map[string]any{
		"id": c.choice.Calls[0].ID, "type": "function",
		"function": map[string]any{"name": "look", "arguments": c.choice.Calls[0].Arguments},
	}
	message := map[string]any{"role": "assistant", "content": nil, "tool_calls": []any{call}}
	if carries {
		if extra := c.choice.Extra; extra != nil {
			message["extra_content"] = extra
		}
		if extra := c.choice.Calls[0].Extra; extra != nil {
			call["extra_content"] = extra
		}
	}
	var request map[string]any
	require.NoError(t, json.Unmarshal([]byte(thinking(provider+thinker(c.v), wholeWithTool)), &request))
	request["messages"] = append(request["messages"].([]any), message,
		map[string]any{"role": "tool", "tool_call_id": c.choice.Calls[0].ID, "content": "a ship"})
	body, err := json.Marshal(request)
	require.NoError(t, err)
	p := c.r.ask(string(body), headers...)
	require.Equal(t, 200, p.status, "%s", p.body)
	seen := c.r.up.Exchanges()
	return string(seen[len(seen)-1].Request.Body)
}

// requireThoughts asserts that a provider got its thoughts back, or that it did not.
func requireThoughts(t *testing.T, v *fakeprovider.Voice, request string, back bool) {
	t.Helper()
	require.Contains(t, request, "a ship")
	require.Contains(t, request, `"sea"`)
	require.Equal(t, back, strings.Contains(request, signature), request)
	if v.Dialect != config.DialectGemini { // which wants nothing but the signature
		require.Equal(t, back, strings.Contains(request, thoughtful.Thinking), request)
	}
	require.NotContains(t, request, "extra_content")
	require.NotContains(t, request, "reasoning_content")
}

// Thoughts return to the provider that they came from: because the client carries them,
// or because sluice remembers them.
func TestThoughtsReturnToTheirProvider(t *testing.T) {
	t.Parallel()
	for _, v := range signers() {
		for _, c := range []struct {
			name             string
			memory           config.Size
			extensions       bool
			carries, returns bool
		}{
			{"remembered", 1 << 20, true, false, true},
			{"carried", 0, true, true, true},
			{"both", 1 << 20, true, true, true},
			{"forgotten", 0, true, false, false},
			{"strict", 1 << 20, false, true, true},
			{"strict and forgotten", 0, false, true, false},
			{"no room", 512, true, false, false},
		} {
			t.Run(v.String()+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				r := newRig(t, speaking(v), func(cfg *config.Config) { cfg.ThoughtMemory, cfg.Extensions = c.memory, c.extensions })
				for _, stream := range []bool{true, false} {
					first := firstTurn(t, r, v, stream)
					given := first.choice.Extra != nil || first.choice.Calls[0].Extra != nil
					require.Equal(t, c.extensions, given)
					requireThoughts(t, v, first.secondTurn(t, "", c.carries), c.returns)
				}
			})
		}
	}
}

// What was remembered for one client is not found for another, whoever knows the id of
// the call, nor at another provider.
func TestThoughtsBelongToTheirClientAndProvider(t *testing.T) {
	t.Parallel()
	const anna, bert = "Authorization: Bearer sk-anna", "Authorization: Bearer sk-bert"
	for _, v := range signers() {
		for name, keys := range map[string]func(*config.Config){"keys": sealed, "no keys": func(*config.Config) {}} {
			t.Run(fmt.Sprint(v, "/", name), func(t *testing.T) {
				t.Parallel()
				r := newRig(t, speaking(v), keys, func(c *config.Config) {
					other := c.Providers[0]
					other.Name = "other"
					c.Providers = append(c.Providers, other)
				})
				first := firstTurn(t, r, v, true, anna)
				requireThoughts(t, v, first.secondTurn(t, "fake/", false, bert), false)
				requireThoughts(t, v, first.secondTurn(t, "other/", false, anna), false)
				requireThoughts(t, v, first.secondTurn(t, "fake/", false, "X-Api-Key: sk-anna"), true)
				require.NotContains(t, r.logs.String(), signature)
			})
		}
	}
}

// Thoughts that come from another provider are left out: it would refuse them.
func TestThoughtsOfAnotherVendorAreLeftOut(t *testing.T) {
	t.Parallel()
	for _, from := range signers() {
		r := newRig(t, speaking(from))
		first := firstTurn(t, r, from, true)
		for _, to := range signers() {
			if to.Dialect == from.Dialect {
				continue
			}
			next := newRig(t, speaking(to))
			next.up.Handle(func(e *fakeprovider.Exchange) { e.JSON(200, to.Answer(thoughtful)) })
			request := (&turns{r: next, v: to, choice: first.choice}).secondTurn(t, "", true)
			require.Contains(t, request, "a ship")
			require.NotContains(t, request, signature, "from %s to %s", from, to)
		}
	}
}
