package wire

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/modeldata"
	"github.com/sluicehq/sluice/translate"
)

func messageOf(t *testing.T, message string) *translate.Message {
	t.Helper()
	return &chatOf(t, message).Messages[0]
}

func chatOf(t *testing.T, messages string) *translate.Chat {
	t.Helper()
	chat, failed := translate.ParseChat([]byte(`{"model":"m","messages":[` + messages + `]}`))
	require.Nil(t, failed)
	return chat
}

// replayed writes the steps of a message and what is left of it.
func replayed(steps []Step, rest *translate.Message) string {
	var all []string
	for _, s := range steps {
		switch s.Kind {
		case StepCall:
			all = append(all, "call "+s.Call.ID)
		case StepText:
			all = append(all, "text "+s.Text.Raw)
		case StepRedacted:
			all = append(all, "redacted "+s.Text.Raw)
		case StepThought:
			all = append(all, "thought "+s.Text.Raw+s.Signature.Raw)
		}
	}
	all = append(all, "rest")
	for _, p := range rest.Parts {
		all = append(all, p.Text.Raw+p.CacheControl.Raw)
	}
	for _, c := range rest.Calls {
		all = append(all, c.ID)
	}
	return strings.Join(all, " ")
}

func TestReplay(t *testing.T) {
	f := func(message, blocks, want string) {
		t.Helper()
		m := messageOf(t, message)
		steps, rest := Replay(m, view(`{"thinking_blocks":[`+blocks+`]}`))
		require.Equal(t, want, replayed(steps, rest))
		if len(steps) == 0 {
			require.Same(t, m, rest)
		}
	}
	const (
		both = `{"role":"assistant","content":"One \"two\" drei: ü.","tool_calls":[{"id":"a","function":{"name":"f"}},{"id":"b","function":{"name":"f"}}]}`
		a    = `{"type":"thinking","thinking":"a","signature":"YQ=="}`
		b    = `,{"type":"redacted_thinking","data":"Yg=="}`
		call = `,{"type":"tool_use"}`
	)
	text := func(n string) string { return `,{"type":"text","bytes":` + n + `}` }
	f(both, ``, `rest "One \"two\" drei: ü." a b`)
	f(both, a, `thought "a""YQ==" rest "One \"two\" drei: ü." a b`)
	f(both, a+text("4")+b, `thought "a""YQ==" text "One " redacted "Yg==" rest "\"two\" drei: ü." a b`)
	f(both, a+text("4")+call+b+text("6")+call+b, `thought "a""YQ==" text "One " call a redacted "Yg==" text "\"two\" " call b redacted "Yg==" rest "drei: ü."`)
	f(both, a+text("19")+b, `thought "a""YQ==" text "One \"two\" drei: ü." redacted "Yg==" rest a b`)
	// What stands behind the last thought is the rest.
	f(both, a+text("4")+call, `thought "a""YQ==" rest "One \"two\" drei: ü." a b`)

	// Where the message is another than it was, thoughts end.
	f(both, a+text("20")+b, `thought "a""YQ==" rest "One \"two\" drei: ü." a b`)
	f(both, a+text("17")+b, `thought "a""YQ==" rest "One \"two\" drei: ü." a b`) // in the middle of a character
	f(both, a+text("0")+b, `thought "a""YQ==" rest "One \"two\" drei: ü." a b`)
	f(both, a+call+call+call+b, `thought "a""YQ==" rest "One \"two\" drei: ü." a b`)
	f(both, a+`,{"type":"thinking","thinking":"unsigned"}`+b, `thought "a""YQ==" rest "One \"two\" drei: ü." a b`)
	f(both, `{"type":"thinking","thinking":"a","signature":"skip_thought_signature_validator"}`, `rest "One \"two\" drei: ü." a b`)
	f(both, `{"type":"redacted_thinking","data":"é"}`, `rest "One \"two\" drei: ü." a b`)
	f(`{"role":"assistant","content":null}`, a+text("1")+b, `thought "a""YQ==" rest`)

	// Texts in parts are one text; a refusal is none of the answer's, and marks go to the end.
	const parts = `{"role":"assistant","content":[{"type":"text","text":"ab","cache_control":{}},{"type":"text","text":"cd"},{"type":"refusal","refusal":"r"}]}`
	f(parts, a+text("3")+b, `thought "a""YQ==" text "abc" redacted "Yg==" rest "d"{} "r"`)
	f(parts, a+text("4")+b, `thought "a""YQ==" text "abcd" redacted "Yg==" rest "r"`)
}

func TestTheLoopThatAConversationEndsIn(t *testing.T) {
	f := func(want string, roles string) {
		t.Helper()
		var messages []string
		for _, word := range strings.Fields(roles) {
			role := map[byte]string{'s': "system", 'u': "user", 'a': "assistant", 't': "tool"}[word[0]]
			messages = append(messages, `{"role":"`+role+`","tool_call_id":"x","content":"`+word+`"}`)
		}
		got := ""
		if start := LoopStart(chatOf(t, strings.Join(messages, ","))); start != nil {
			got = start.Parts[0].Text.Text()
		}
		require.Equal(t, want, got, roles)
	}
	f("", "u")
	f("", "u a")
	f("", "u a u")
	f("", "u a t a")
	f("", "u a t a u")
	f("a1", "u a1 t")
	f("a1", "u a1 t u")
	f("a1", "u a1 t a2 t t")
	f("a1", "s u a1 t s a2 t s")
	f("a1", "u a1 a2 t")
	f("a2", "u a1 u a2 t")
	f("a2", "u a1 t a u a2 t a3 u t")
	f("a1", "a1 t")
	f("", "t")
}

func TestPrefixIsOfWhatStandsInFront(t *testing.T) {
	unknown := &translate.Context{Model: "eu.anthropic.Claude-9"}
	digest := func(messages string) string {
		chat := chatOf(t, messages)
		p := NewPrefix(unknown, chat, chat.Tools)
		for i := range chat.Messages {
			p.Add(&chat.Messages[i])
		}
		return p.Text()
	}
	base := digest(`{"role":"system","content":"s"},{"role":"user","content":"u"}`)
	require.Len(t, base, 22)
	require.Equal(t, base, digest(`{"role":"user","content":"u"},{"role":"system","content":"s"}`), "system messages stand on top")
	require.Equal(t, base, digest(`{"role":"system","content":"s","cache_control":{}},{"role":"user","content":[{"type":"text","text":"u","cache_control":{}}]}`))
	seen := map[string]bool{base: true}
	for _, other := range []string{
		`{"role":"system","content":"su"},{"role":"user","content":""}`,
		`{"role":"user","content":"s"},{"role":"user","content":"u"}`,
		`{"role":"system","content":"s"},{"role":"assistant","content":"u"}`,
		`{"role":"system","content":"s"},{"role":"user","content":"u"},{"role":"user","content":"u"}`,
		`{"role":"system","content":"s"},{"role":"user","content":[{"type":"image_url","image_url":{"url":"u"}}]}`,
		`{"role":"system","content":"s"},{"role":"user","content":"u"},{"role":"assistant","tool_calls":[{"id":"a","function":{"name":"f"}}]}`,
		`{"role":"system","content":"s"},{"role":"user","content":"u"},{"role":"assistant","tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"}}]}`,
	} {
		require.False(t, seen[digest(other)], other)
		seen[digest(other)] = true
	}
	p := NewPrefix(unknown, chatOf(t, `{"role":"user"}`), nil)
	at := p.Text()
	require.True(t, p.Fits(view(`{"prefix":"`+at+`"}`)))
	require.True(t, p.Fits(view(`{}`)))
	p.Thoughts([]Step{{Kind: StepThought, Text: view(`"a"`), Signature: view(`"b"`)}})
	require.NotEqual(t, at, p.Text())
	require.False(t, p.Fits(view(`{"prefix":"`+at+`"}`)))
	require.False(t, p.Fits(view(`{"prefix":"`+p.Text()+`"}`)), "no later one fits")

	chat := chatOf(t, `{"role":"user"}`)
	require.Nil(t, NewPrefix(&translate.Context{Model: "llama"}, chat, nil))
	require.Nil(t, NewPrefix(&translate.Context{Model: "claude", Known: modeldata.Model{Context: 1}}, chat, nil))
	require.NotNil(t, NewPrefix(&translate.Context{Known: modeldata.Model{Traits: []string{modeldata.TraitBoundThoughts}}}, chat, nil))
	var nothing *Prefix
	nothing.Add(&translate.Message{})
	nothing.Thoughts(nil)
	require.Empty(t, nothing.Text())
	require.True(t, nothing.Fits(view(`{"prefix":"x"}`)))
}

// Whatever a client sends back as thoughts, nothing of the answer itself is lost or moved.
func FuzzReplay(f *testing.F) {
	f.Add("One \"two\" drei: ü.", 2, `{"type":"thinking","thinking":"a","signature":"YQ=="},{"type":"text","bytes":4},{"type":"tool_use"},{"type":"redacted_thinking","data":"Yg=="}`)
	f.Add("", 0, `{"type":"redacted_thinking","data":"Yg=="}`)
	f.Add("é", 1, `{"type":"text","bytes":1},{"type":"redacted_thinking","data":"Yg=="}`)
	f.Fuzz(func(t *testing.T, text string, calls int, blocks string) {
		carried, ok := jsonview.Parse([]byte(`{"thinking_blocks":[` + blocks + `]}`))
		if !ok || calls < 0 || calls > 9 {
			return
		}
		m := &translate.Message{Role: translate.RoleAssistant, Calls: make([]translate.AssistantCall, calls)}
		if text = strings.ToValidUTF8(text, ""); text != "" {
			m.Parts = []translate.Part{{Text: quoted(text)}}
		}
		steps, rest := Replay(m, carried)
		var said string
		called := len(rest.Calls)
		for _, s := range steps {
			switch s.Kind {
			case StepText:
				said += s.Text.Text()
			case StepCall:
				require.Same(t, &m.Calls[called-len(rest.Calls)], s.Call)
				called++
			}
		}
		require.Equal(t, text, said+textOf(rest))
		require.Equal(t, calls, called)
	})
}
