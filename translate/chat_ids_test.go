package translate

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A call with the ids a and b is "a+b", its result "<a". Other words are roles.
func conversation(words string) string {
	var all []string
	for word := range strings.FieldsSeq(words) {
		result, isResult := strings.CutPrefix(word, "<")
		switch {
		case isResult:
			all = append(all, `{"role":"tool","tool_call_id":"`+result+`","content":"r"}`)
		case word == "user" || word == "assistant":
			all = append(all, `{"role":"`+word+`","content":"t"}`)
		default:
			var calls []string
			for id := range strings.SplitSeq(word, "+") {
				calls = append(calls, `{"id":"`+id+`","type":"function","function":{"name":"f","arguments":"{}"}}`)
			}
			all = append(all, `{"role":"assistant","tool_calls":[`+strings.Join(calls, ",")+`]}`)
		}
	}
	return `{"model":"m","messages":[` + strings.Join(all, ",") + `]}`
}

// words writes a conversation as it was read, with short names for ids that were made.
func words(chat *Chat, short map[string]string) string {
	var all []string
	name := func(id string) string {
		if s, ok := short[id]; ok {
			return s
		}
		return id
	}
	for _, m := range chat.Messages {
		switch {
		case m.Role == RoleTool:
			all = append(all, "<"+name(m.CallID))
		case len(m.Calls) > 0:
			var ids []string
			for _, call := range m.Calls {
				ids = append(ids, name(call.ID))
			}
			all = append(all, strings.Join(ids, "+"))
		default:
			all = append(all, string(m.Role))
		}
	}
	return strings.Join(all, " ")
}

func TestCallsAndTheirResultsHaveIdsOfTheirOwn(t *testing.T) {
	short := map[string]string{
		MintCallID("a", 1, 0): "a2", MintCallID("a", 2, 0): "a3", MintCallID("b", 1, 0): "b2",
	}
	f := func(sent, want string, repeated bool) {
		t.Helper()
		chat, failed := ParseChat([]byte(conversation(sent)))
		require.Nil(t, failed)
		require.Equal(t, want, words(chat, short))
		require.Equal(t, repeated, chat.repeated != "")
	}
	same := func(sent string) { t.Helper(); f(sent, sent, false) }
	same("user")
	same("user a <a assistant user b <b")
	same("user a+b <b user <a")
	same("user <orphan assistant <orphan2")

	// A server that counts anew in each answer.
	f("user a <a a <a assistant user a <a", "user a <a a2 <a2 assistant user a3 <a3", false)
	f("user a+b <b <a a+b <a <b", "user a+b <b <a a2+b2 <a2 <b2", false)
	// One that gives all calls of an answer the same id, at once or in messages of their own.
	f("user a+a <a <a assistant", "user a+a2 <a <a2 assistant", false)
	f("user a a <a <a assistant", "user a a2 <a <a2 assistant", false)

	// A second result replaces the first as long as the conversation has not gone on.
	f("user a+b <a <b <a assistant", "user a+b <a <b assistant", true)
	f("user a <a <a <a a <a", "user a <a a2 <a2", true)
	f("user a <a assistant user <a", "user a <a assistant user", true)
}

func TestTheLastResultOfACallCounts(t *testing.T) {
	chat, failed := ParseChat([]byte(`{"model":"m","messages":[` +
		`{"role":"assistant","tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"}},{"id":"b","function":{"name":"f","arguments":"{}"}}]},` +
		`{"role":"tool","tool_call_id":"a","content":"first"},{"role":"tool","tool_call_id":"b","content":"b"},` +
		`{"role":"tool","tool_call_id":"a","content":"last"},{"role":"assistant","content":"x"},{"role":"tool","tool_call_id":"a","content":"late"}]}`))
	require.Nil(t, failed)
	require.Len(t, chat.Messages, 4)
	require.Equal(t, `"last"`, chat.Messages[1].Parts[0].Text.Raw)
	require.Equal(t, `"b"`, chat.Messages[2].Parts[0].Text.Raw)

	c := &Context{}
	require.Nil(t, Rules{"messages": Translated}.Apply(c, chat))
	require.Equal(t, []string{"'messages.5' was dropped: its call has another result."}, c.Warnings)
}

func TestFunctionsThatAreCalledAgainHaveNoIdsToTellThemApart(t *testing.T) {
	chat, failed := ParseChat([]byte(`{"model":"m","messages":[{"role":"assistant","function_call":{"name":"f","arguments":"1"}},` +
		`{"role":"function","name":"f","content":"1"},{"role":"assistant","function_call":{"name":"f","arguments":"2"}},{"role":"function","name":"f","content":"2"}]}`))
	require.Nil(t, failed)
	require.Equal(t, "f", chat.Messages[0].Calls[0].ID)
	require.Equal(t, "f", chat.Messages[1].CallID)
	second := chat.Messages[2].Calls[0].ID
	require.NotEqual(t, "f", second)
	require.Equal(t, second, chat.Messages[3].CallID)
	require.Equal(t, "f", chat.Messages[2].Calls[0].Name)
}
