package anthropic

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/modeldata"
	"github.com/sluicehq/sluice/translate"
)

// answerWithThought streams an answer to a request: a thought, and a call with an id.
func answerWithThought(c *translate.Context, id string) {
	_, _, event := stream(c)
	for _, data := range []string{
		signedThought,
		`{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"before ` + id + `"}}`,
		`{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"c2ln"}}`,
		`{"type":"content_block_stop","index":0}`,
		`{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"` + id + `","name":"f","input":{}}}`,
		`{"type":"message_delta","delta":{"stop_reason":"tool_use"}}`,
		`{"type":"message_stop"}`,
	} {
		event(data)
	}
}

// Two turns of an agent whose client knows nothing of thoughts.
func TestThoughtsComeBackAsLongAsWhatIsInFrontOfThemStays(t *testing.T) {
	bound := modeldata.Model{MaxOutput: 64000, Traits: []string{modeldata.TraitBoundThoughts}, Reasoning: modeldata.Reasoning{
		Style: modeldata.StyleAdaptive, On: true, Words: map[string]string{"low": "low"},
	}}
	const (
		system = `{"role":"system","content":"Be brief."},`
		first  = `{"role":"user","content":[{"type":"text","text":"Hi"}]}`
		call   = `,{"role":"assistant","tool_calls":[{"id":"t1","type":"function","function":{"name":"f","arguments":"{}"}}]}`
		result = `,{"role":"tool","tool_call_id":"t1","content":"r"}`
		second = `,{"role":"assistant","content":null,"tool_calls":[{"id":"t2","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"t2","content":"r"}`
		tools  = `"tools":[{"type":"function","function":{"name":"f"}}]`
	)
	f := func(known modeldata.Model, wants string, messages, tools string) {
		t.Helper()
		c := &translate.Context{Known: known, Carried: memory{}}
		request := func(messages, tools string) string {
			chat, failed := translate.ParseChat([]byte(`{"model":"m","messages":[` + messages + `],` + tools + `}`))
			require.Nil(t, failed)
			body, failed := Dialect{}.Request(c, chat)
			require.Nil(t, failed)
			return string(body)
		}
		const declared = `"tools":[{"type":"function","function":{"name":"f"}}]`
		request(system+first, declared)
		answerWithThought(c, "t1")
		request(system+first+call+result, declared)
		answerWithThought(c, "t2")
		body := request(messages, tools)
		var got []string
		for _, id := range []string{"t1", "t2"} {
			if strings.Contains(body, `{"type":"thinking","thinking":"before `+id+`","signature":"c2ln"},{"type":"tool_use","id":"`+id+`"`) {
				got = append(got, id)
			}
		}
		require.Equal(t, wants, strings.Join(got, " "), body)
		require.Equal(t, wants == "t1 t2", len(c.Warnings) == 0, c.Warnings)
	}
	all := system + first + call + result + second
	f(bound, "t1 t2", all, tools)
	// Marks for caching wander.
	f(bound, "t1 t2", strings.Replace(all, `"text":"Hi"`, `"text":"Hi","cache_control":{"type":"ephemeral"}`, 1), tools)
	f(bound, "", strings.Replace(all, "brief", "verbose", 1), tools)
	f(bound, "", all+`,{"role":"system","content":"And kind."}`, tools)
	f(bound, "", all, `"tools":[{"type":"function","function":{"name":"f","description":"d"}}]`)
	f(bound, "", strings.Replace(all, `"Hi"`, `"Ho"`, 1), tools)
	f(bound, "t1", strings.Replace(all, `"content":"r"`, `"content":"[cleared]"`, 1), tools)
	f(bound, "", system+`{"role":"user","content":"Summary"}`+second, tools)

	// Other models do not look.
	free := bound
	free.Traits = nil
	f(free, "t1 t2", strings.Replace(all, "brief", "verbose", 1), tools)
}
