package bedrock_test

import (
	"bytes"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting/tokens"
	"github.com/sluicehq/sluice/internal/dialecttest"
	"github.com/sluicehq/sluice/modeldata"
	"github.com/sluicehq/sluice/translate"
	"github.com/sluicehq/sluice/translate/bedrock"
)

var dialect bedrock.Dialect

func TestModelsAreEscapedInThePath(t *testing.T) {
	for model, want := range map[string]string{
		"us.anthropic.claude-sonnet-5":                                               "/model/us.anthropic.claude-sonnet-5/converse",
		"anthropic.claude-3-5-sonnet-20240620-v1:0":                                  "/model/anthropic.claude-3-5-sonnet-20240620-v1%3A0/converse",
		"arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova~_x": "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Ainference-profile%2Fus.amazon.nova~_x/converse",
		"a b/../?#é": "/model/a%20b%2F..%2F%3F%23%C3%A9/converse",
	} {
		require.Equal(t, want, dialect.Path(&translate.Context{Model: model}))
		require.Equal(t, want+"-stream", dialect.Path(&translate.Context{Model: model, Stream: true}))
	}
}

func TestFramingFollowsTheContentType(t *testing.T) {
	for media, want := range map[string]translate.Framing{
		"application/vnd.amazon.eventstream": translate.FramingAWS,
		"text/event-stream":                  translate.FramingSSE,
		"application/json":                   translate.FramingNone,
	} {
		f, ok := dialect.Framing(media)
		require.True(t, ok)
		require.Equal(t, want, f)
	}
	_, ok := dialect.Framing("text/html")
	require.False(t, ok)
}

func TestModelsAreNotListed(t *testing.T) {
	require.Empty(t, dialect.Models(&translate.Context{}))
	require.Empty(t, dialect.ModelNames([]byte(`{"data":[]}`)))
}

// feed gives a decoder events of the form that AWS's SDKs write.
func feed(d translate.Decoder, to translate.Sink, events ...string) translate.Progress {
	for _, data := range events {
		if p := d.Event(to, nil, []byte(data)); p != translate.More {
			return p
		}
	}
	return d.End(to)
}

const (
	begin    = `{"messageStart":{"role":"assistant"}}`
	end      = `{"messageStop":{"stopReason":"tool_use"}}`
	metadata = `{"metadata":{"usage":{"inputTokens":1,"outputTokens":2}}}`
)

func callBlock(index, id, name string, fragments ...string) []string {
	events := []string{`{"contentBlockStart":{"contentBlockIndex":` + index + `,"start":{"toolUse":{"toolUseId":"` + id + `","name":"` + name + `"}}}}`}
	for _, f := range fragments {
		events = append(events, `{"contentBlockDelta":{"contentBlockIndex":`+index+`,"delta":{"toolUse":{"input":"`+f+`"}}}}`)
	}
	return append(events, `{"contentBlockStop":{"contentBlockIndex":`+index+`}}`)
}

func TestArgumentsOfTheAnswerToolAreTheAnswer(t *testing.T) {
	c := &translate.Context{AnswerTool: "city"}
	r := &dialecttest.Recorder{}
	events := append([]string{begin}, callBlock("0", "t", "city", "", `{\"name\":`, `\"Rome\"}`)...)
	require.Equal(t, translate.Complete, feed(dialect.Decoder(c), r, append(events, end, metadata)...))
	require.Equal(t, `{"name":"Rome"}`, r.Content)
	require.Empty(t, r.Calls)
	require.Equal(t, "stop", r.Reason)
	require.Equal(t, "tool_use", r.Native)

	r = &dialecttest.Recorder{}
	require.Equal(t, translate.Complete, dialect.Answer(c, r, []byte(`{"output":{"message":{"content":[{"toolUse":{"toolUseId":"t","name":"city","input":{"name": "Ro\"me"}}}]}},"stopReason":"tool_use"}`)))
	require.Equal(t, `{"name":"Ro\"me"}`, r.Content)
	require.Equal(t, "stop", r.Reason)
}

func TestAnAnswerToolWithoutArgumentsAnswersWithAnObject(t *testing.T) {
	c := &translate.Context{AnswerTool: "city"}
	r := &dialecttest.Recorder{}
	events := append([]string{begin}, callBlock("0", "t", "city")...)
	require.Equal(t, translate.Complete, feed(dialect.Decoder(c), r, append(events, end)...))
	require.Equal(t, "{}", r.Content)
}

func TestBesideTheAnswerToolTheModelMayCallOthers(t *testing.T) {
	c := &translate.Context{AnswerTool: "city"}
	r := &dialecttest.Recorder{}
	events := append([]string{begin}, callBlock("0", "t", "get_weather", "{}")...)
	require.Equal(t, translate.Complete, feed(dialect.Decoder(c), r, append(events, end)...))
	require.Empty(t, r.Content)
	require.Equal(t, []dialecttest.Call{{ID: "t", Name: "get_weather", Arguments: "{}"}}, r.Calls)
	require.Equal(t, "tool_calls", r.Reason)
}

func TestAnAnswerThatIsGivenTwiceCountsOnce(t *testing.T) {
	c := &translate.Context{AnswerTool: "city"}
	r := &dialecttest.Recorder{}
	events := append([]string{begin}, callBlock("0", "t", "city", `{\"a\":1}`)...)
	events = append(events, callBlock("1", "u", "city", `{\"a\":2}`)...)
	require.Equal(t, translate.Complete, feed(dialect.Decoder(c), r, append(events, end)...))
	require.Equal(t, `{"a":1}`, r.Content)
	require.Equal(t, "stop", r.Reason)

	r = &dialecttest.Recorder{}
	require.Equal(t, translate.Complete, dialect.Answer(c, r, []byte(`{"output":{"message":{"content":[{"toolUse":{"name":"city","input":{"a":1}}},{"toolUse":{"name":"city","input":{"a":2}}}]}},"stopReason":"tool_use"}`)))
	require.Equal(t, `{"a":1}`, r.Content)
}

func TestTheEndEndsWhatIsOpenAndComesOnce(t *testing.T) {
	r := &dialecttest.Recorder{}
	d := dialect.Decoder(&translate.Context{AnswerTool: "city", Carried: kept{}})
	events := []string{
		begin,
		`{"contentBlockDelta":{"contentBlockIndex":0,"delta":{"reasoningContent":{"text":"a"}}}}`,
		`{"contentBlockDelta":{"contentBlockIndex":0,"delta":{"reasoningContent":{"signature":"c2ln"}}}}`,
		callBlock("1", "t", "city")[0],
		end, end, metadata,
	}
	require.Equal(t, translate.Complete, feed(d, r, events...))
	require.Equal(t, "{}", r.Content)
	require.Equal(t, 1, strings.Count(strings.Join(r.Lines, "\n"), "finish"))
	require.Equal(t, 1, strings.Count(strings.Join(r.Lines, "\n"), `carry bedrock {"thinking_blocks":[{"type":"thinking","thinking":"a","signature":"c2ln"}]}`))
}

func TestThoughtsAreCarriedWithTheirPlaces(t *testing.T) {
	const want = `{"thinking_blocks":[{"type":"thinking","thinking":"a","signature":"YQ=="},{"type":"text","bytes":5},{"type":"tool_use"},{"type":"redacted_thinking","data":"Yg=="}]}`
	memory := kept{}
	events := []string{
		begin,
		`{"contentBlockDelta":{"contentBlockIndex":0,"delta":{"reasoningContent":{"text":"a"}}}}`,
		`{"contentBlockDelta":{"contentBlockIndex":0,"delta":{"reasoningContent":{"signature":"YQ=="}}}}`,
		`{"contentBlockDelta":{"contentBlockIndex":1,"delta":{"text":"\u00e9 "}}}`, `{"contentBlockDelta":{"contentBlockIndex":1,"delta":{"text":"é"}}}`,
	}
	events = append(events, callBlock("2", "t1", "f")...)
	events = append(events,
		`{"contentBlockDelta":{"contentBlockIndex":3,"delta":{"reasoningContent":{"redactedContent":"Yg=="}}}}`,
		`{"contentBlockStart":{"contentBlockIndex":4,"start":{"toolUse":{"toolUseId":"s","name":"nova_grounding","type":"server_tool_use"}}}}`,
		`{"contentBlockDelta":{"contentBlockIndex":5,"delta":{"reasoningContent":{"redactedContent":"behind what is not sent back"}}}}`)
	require.Equal(t, translate.Complete, feed(dialect.Decoder(&translate.Context{Carried: memory}), &dialecttest.Recorder{}, append(events, end)...))
	require.Equal(t, kept{"t1": want}, memory)

	memory = kept{}
	require.Equal(t, translate.Complete, dialect.Answer(&translate.Context{Carried: memory}, &dialecttest.Recorder{}, []byte(`{"output":{"message":{"content":[`+
		`{"reasoningContent":{"reasoningText":{"text":"a","signature":"YQ=="}}},{"text":"\u00e9 é"},{"toolUse":{"toolUseId":"t1","name":"f","input":{}}},`+
		`{"reasoningContent":{"redactedContent":"Yg=="}},{"image":{}},{"reasoningContent":{"redactedContent":"late"}}]}},"stopReason":"tool_use"}`)))
	require.Equal(t, kept{"t1": want}, memory)
}

// kept is a memory for one conversation.
type kept map[string]string

func (k kept) Keep(id, raw string)   { k[strings.Clone(id)] = strings.Clone(raw) }
func (k kept) Find(id string) string { return k[id] }

func TestThoughtsAreRememberedByTheFirstCallAndRestored(t *testing.T) {
	memory := kept{}
	c := &translate.Context{Carried: memory}
	r := &dialecttest.Recorder{}
	events := []string{
		begin,
		`{"contentBlockDelta":{"contentBlockIndex":0,"delta":{"reasoningContent":{"text":"First \"a\""}}}}`,
		`{"contentBlockDelta":{"contentBlockIndex":0,"delta":{"reasoningContent":{"signature":"c2"}}}}`,
		`{"contentBlockDelta":{"contentBlockIndex":0,"delta":{"reasoningContent":{"signature":"ln"}}}}`,
		`{"contentBlockDelta":{"contentBlockIndex":1,"delta":{"reasoningContent":{"redactedContent":"cmVk"}}}}`,
	}
	events = append(events, callBlock("2", "t1", "f", "{}")...)
	events = append(events, callBlock("3", "t2", "f", "{}")...)
	require.Equal(t, translate.Complete, feed(dialect.Decoder(c), r, append(events, end, metadata)...))
	require.Equal(t, kept{"t1": `{"thinking_blocks":[{"type":"thinking","thinking":"First \"a\"","signature":"c2ln"},{"type":"redacted_thinking","data":"cmVk"}]}`}, memory)

	chat, failed := translate.ParseChat([]byte(`{"model":"m","messages":[{"role":"user","content":"Hi"},` +
		`{"role":"assistant","tool_calls":[{"id":"t1","type":"function","function":{"name":"f","arguments":"{}"}},{"id":"t2","type":"function","function":{"name":"f","arguments":"{}"}}]},` +
		`{"role":"tool","tool_call_id":"t1","content":"1"},{"role":"tool","tool_call_id":"t2","content":"2"}]}`))
	require.Nil(t, failed)
	body, failed := dialect.Request(c, chat)
	require.Nil(t, failed)
	require.Contains(t, string(body), `{"role":"assistant","content":[{"reasoningContent":{"reasoningText":{"text":"First \"a\"","signature":"c2ln"}}},`+
		`{"reasoningContent":{"redactedContent":"cmVk"}},{"toolUse":{"toolUseId":"t1",`)
}

func TestThoughtsOfAWholeAnswerAreRemembered(t *testing.T) {
	memory := kept{}
	r := &dialecttest.Recorder{}
	require.Equal(t, translate.Complete, dialect.Answer(&translate.Context{Carried: memory}, r, []byte(`{"output":{"message":{"content":[`+
		`{"reasoningContent":{"reasoningText":{"text":"hm","signature":"c2ln"}}},{"toolUse":{"toolUseId":"t1","name":"f","input":{}}}]}},"stopReason":"tool_use"}`)))
	require.Equal(t, kept{"t1": `{"thinking_blocks":[{"type":"thinking","thinking":"hm","signature":"c2ln"}]}`}, memory)
}

func TestThoughtsThatAreTooLargeAreNotCarried(t *testing.T) {
	memory := kept{}
	r := &dialecttest.Recorder{}
	d := dialect.Decoder(&translate.Context{Carried: memory})
	delta := []byte(`{"contentBlockIndex":0,"delta":{"reasoningContent":{"text":"` + strings.Repeat("x", 1000) + `"}}}`)
	for range 400 {
		require.Equal(t, translate.More, d.Event(r, []byte("contentBlockDelta"), delta))
	}
	require.Len(t, r.Thoughts, 400_000)
	events := append([]string{`{"contentBlockDelta":{"contentBlockIndex":0,"delta":{"reasoningContent":{"signature":"c2ln"}}}}`},
		callBlock("1", "t1", "f")...)
	require.Equal(t, translate.Complete, feed(d, r, append(events, end)...))
	require.Empty(t, memory)
	require.NotContains(t, strings.Join(r.Lines, "\n"), "carry")
}

func TestCallsThatNeverEndAreBounded(t *testing.T) {
	d := dialect.Decoder(&translate.Context{})
	r := &dialecttest.Recorder{}
	start := func(block int) translate.Progress {
		return d.Event(r, []byte("contentBlockStart"),
			[]byte(`{"contentBlockIndex":`+strconv.Itoa(block)+`,"start":{"toolUse":{"toolUseId":"t","name":"f"}}}`))
	}
	for range 1000 { // a block that begins again replaces itself
		require.Equal(t, translate.More, start(0))
	}
	progress := translate.More
	for block := 1; block < 1000 && progress == translate.More; block++ {
		progress = start(block)
	}
	require.Equal(t, translate.Malformed, progress)
}

func TestUsageIncludesTheCache(t *testing.T) {
	r := &dialecttest.Recorder{}
	const usage = `{"inputTokens":11,"outputTokens":236,"totalTokens":1280,"cacheReadInputTokens":5,"cacheWriteInputTokens":1028}`
	feed(dialect.Decoder(&translate.Context{}), r, `{"metadata":{"usage":`+usage+`}}`)
	require.Equal(t, tokens.Usage{
		Input: tokens.Known(1044), InputCached: tokens.Known(5), InputCacheWrite: tokens.Known(1028), Output: tokens.Known(236),
	}, r.Counts)
	require.Equal(t, usage, r.RawUsage)
}

func TestErrorsOutliveWhatTheyWereReadFrom(t *testing.T) {
	for _, data := range []string{`{"message":"Slow down"}`, `{"error":{"message":"Slow down"}}`} {
		name, body := []byte("exception throttlingException"), []byte(data)
		r := &dialecttest.Recorder{}
		require.Equal(t, translate.Failed, dialect.Decoder(&translate.Context{}).Event(r, name, body))
		clear(name)
		clear(body)
		require.Equal(t, "Slow down", r.Failure.Message)
		require.Equal(t, "throttlingException", r.Failure.Code)
	}
	body := []byte(`{"__type":"x#ValidationException","message":"No"}`)
	e := dialect.Error(400, "application/json", body)
	clear(body)
	require.Equal(t, "ValidationException", e.Code)
	require.Equal(t, "No", e.Message)
}

func TestRequestsAreTheSameEachTimeAndInNewMemory(t *testing.T) {
	body := []byte(`{"model":"m","messages":[{"role":"user","content":"Hi"}],"top_k":5,"guardrailConfig":{"a":1},"temperature":0.5}`)
	chat, failed := translate.ParseChat(body)
	require.Nil(t, failed)
	first, failed := dialect.Request(&translate.Context{}, chat)
	require.Nil(t, failed)
	for range 20 {
		again, _ := dialect.Request(&translate.Context{}, chat)
		require.Equal(t, string(first), string(again))
	}
	copied := bytes.Clone(first)
	clear(body)
	require.Equal(t, string(copied), string(first))
}

func TestThinkingUnaskedDoesNotHinderAToolThatMustBeCalled(t *testing.T) {
	chat, failed := translate.ParseChat([]byte(`{"model":"m","messages":[{"role":"user","content":"Hi"}],"reasoning_effort":"high",` +
		`"tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":"required"}`))
	require.Nil(t, failed)
	c := &translate.Context{Known: modeldata.Model{Reasoning: modeldata.Reasoning{
		Style: modeldata.StyleAdaptive, Words: map[string]string{"high": "high"}, On: true,
	}}}
	body, failed := dialect.Request(c, chat)
	require.Nil(t, failed)
	require.Contains(t, string(body), `"thinking":{"type":"adaptive","display":"summarized"}`)
	require.Empty(t, c.Warnings)
}
