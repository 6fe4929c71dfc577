package translate

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/internal/jsonview"
)

func TestQuirksLeaveOtherEndpointsAlone(t *testing.T) {
	for _, endpoint := range []Endpoint{Completions, Embeddings, Responses, "other"} {
		body := []byte(`{"model":"m","max_completion_tokens":5,"messages":[{"role":"developer","tool_call_id":"call_1"}]}`)
		r, failed := ParseRequest(endpoint, body)
		require.Nil(t, failed)
		out := r.Prepare(nil, body, "", Ask{Quirks: ShortCallIDs | NoDeveloperRole | OnlyMaxTokens | DropReasoning})
		require.Same(t, &body[0], &out[0])
	}
}

func TestParseQuirks(t *testing.T) {
	f := func(want Quirks, names ...string) {
		t.Helper()
		got, err := ParseQuirks(names)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	f(0)
	f(ShortCallIDs, "short_call_ids")
	f(NoDeveloperRole|OnlyMaxTokens, "max_tokens", "no_developer_role", "max_tokens")
	f(OnlyMaxCompletionTokens, "max_completion_tokens")
	f(DropReasoning, "drop_reasoning")

	_, err := ParseQuirks([]string{"short_ids"})
	require.ErrorContains(t, err, `unknown quirk "short_ids"`)
	require.ErrorContains(t, err, "short_call_ids, no_developer_role")
	_, err = ParseQuirks([]string{"max_tokens", "max_completion_tokens"})
	require.ErrorContains(t, err, "exclude each other")
}

func TestShortCallIDs(t *testing.T) {
	seen := map[string]bool{}
	for _, id := range []string{"a", "abcdefgh", "abcdefghij", "call_1234", "abcdéfgh", "functions.x:0", strings.Repeat("x", 500)} {
		body := []byte(`{"model":"m","messages":[{"tool_calls":[{"id":` + string(AppendQuoted(nil, id)) + `}]},{"tool_call_id":` + string(AppendQuoted(nil, id)) + `}]}`)
		r, failed := ParseRequest(ChatCompletions, body)
		require.Nil(t, failed)
		var got struct {
			Messages []struct {
				Calls []struct{ ID string } `json:"tool_calls"`
				ID    string                `json:"tool_call_id"`
			}
		}
		require.NoError(t, json.Unmarshal(r.Prepare(nil, body, "", Ask{Quirks: ShortCallIDs}), &got))
		short := got.Messages[0].Calls[0].ID
		require.Regexp(t, `^[a-zA-Z0-9]{9}$`, short)
		require.Equal(t, short, got.Messages[1].ID)
		require.False(t, seen[short])
		seen[short] = true
	}
}

// quirked is what quirks make of a request, by way of encoding/json.
func quirked(body map[string]any, q Quirks) {
	rename := func(from, to string, newer bool) {
		value, there := body[from]
		if !there {
			return
		}
		delete(body, from)
		if known, both := body[to]; !both || value != nil && (newer || known == nil) {
			body[to] = value
		}
	}
	if q&OnlyMaxTokens != 0 {
		rename("max_completion_tokens", "max_tokens", true)
	} else if q&OnlyMaxCompletionTokens != 0 {
		rename("max_tokens", "max_completion_tokens", false)
	}
	messages, _ := body["messages"].([]any)
	for _, m := range messages {
		message, ok := m.(map[string]any)
		if !ok {
			continue
		}
		if q&NoDeveloperRole != 0 && message["role"] == "developer" {
			message["role"] = "system"
		}
		if q&DropReasoning != 0 && message["role"] == "assistant" {
			for _, name := range []string{"reasoning_content", "reasoning", "reasoning_details"} {
				delete(message, name)
			}
		}
		if q&DropExtras == 0 {
			continue
		}
		if message["role"] == "assistant" {
			delete(message, "extra_content")
		}
		calls, _ := message["tool_calls"].([]any)
		for _, c := range calls {
			if call, ok := c.(map[string]any); ok {
				delete(call, "extra_content")
			}
		}
	}
}

// What an earlier answer carried for its provider does not reach another.
func TestExtrasOfAnotherProviderAreTakenOut(t *testing.T) {
	const body = `{"model":"m","messages":[{"role":"assistant","extra_content":{"anthropic":{}},"content":null,` +
		`"tool_calls":[{"id":"a","extra_content":{"google":{}}},{"extra_content":1}]},{"role":"user","content":"extra_content"}]}`
	r, failed := ParseRequest(ChatCompletions, []byte(body))
	require.Nil(t, failed)
	got := string(r.Prepare(nil, []byte(body), "", Ask{Quirks: DropExtras}))
	require.Equal(t, `{"model":"m","messages":[{"role":"assistant","content":null,`+
		`"tool_calls":[{"id":"a"},{}]},{"role":"user","content":"extra_content"}]}`, got)
}

func FuzzQuirks(f *testing.F) {
	f.Add([]byte(`{"model":"m","max_tokens":1,"max_completion_tokens":2,"messages":[{"role":"developer"},{"role":"assistant","reasoning":"x"}]}`), byte(30))
	f.Add([]byte(` { "messages" : [ { "reasoning" : 1 , "role" : "assistant" , "reasoning_content" : null } , 5 ] , "model" : "m" , "max_tokens" : null } `), byte(26))
	f.Add([]byte(`{"model":"m","messages":[{"role":"assistant","extra_content":{},"tool_calls":[{"extra_content":1}]}]}`), byte(32))
	f.Add([]byte(`{"model":"m","stream":true,"max_tokens":1,"max_completion_tokens":2}`), byte(8))
	f.Fuzz(func(t *testing.T, body []byte, quirks byte) {
		r, failed := ParseRequest(ChatCompletions, body)
		if failed != nil || hasDuplicates(body) {
			return
		}
		q := Quirks(quirks) &^ ShortCallIDs
		before := string(body)
		out := r.Prepare(nil, body, "", Ask{IncludeUsage: quirks > 63, Quirks: q})
		require.Equal(t, before, string(body))

		want, got := numbersKept(t, body), numbersKept(t, out)
		quirked(want, q)
		delete(want, "stream_options")
		delete(got, "stream_options")
		require.Equal(t, want, got)

		again, failed := ParseRequest(ChatCompletions, out)
		require.Nil(t, failed)
		require.Equal(t, string(out), string(again.Prepare(nil, out, "", Ask{IncludeUsage: quirks > 63, Quirks: q})))
	})
}

func numbersKept(t *testing.T, body []byte) (object map[string]any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	require.NoError(t, d.Decode(&object))
	return object
}

// hasDuplicates tells whether an object anywhere in a body has a name twice: then parsers
// do not agree on what it means.
func hasDuplicates(body []byte) bool {
	var object func(v jsonview.Value) bool
	object = func(v jsonview.Value) bool {
		seen := map[string]bool{}
		for name, m := range v.Members {
			if seen[name] || object(m) {
				return true
			}
			seen[name] = true
		}
		for _, element := range v.Elements {
			if object(element) {
				return true
			}
		}
		return false
	}
	root, ok := jsonview.Parse(body)
	return !ok || object(root)
}
