package proxy

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/accounting/tokens"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/chatrules"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// allSaid is an answer with some of everything that all dialects have.
var allSaid = fakeprovider.Said{
	Thinking: "Hm. ", Texts: []string{"Hello", " \"wörld\"\n"},
	Calls: []fakeprovider.ToolCall{{ID: "call_1", Name: "look", Arguments: []string{`{"at":`, `"sea"}`}}},
}

// wholeWithTool is chatWithTool for an answer in one piece.
var wholeWithTool = strings.Replace(chatWithTool, `"stream":true,"stream_options":{"include_usage":true},`, "", 1)

// rulesFor are the rules for what a client gets from a provider that speaks like v.
func rulesFor(v *fakeprovider.Voice) chatrules.Options {
	if v.Dialect == config.DialectOpenAI {
		return chatrules.Options{IncludeUsage: true, Unknown: true}
	}
	return chatrules.Options{IncludeUsage: true, Model: "m"}
}

// requireAllSaid asserts that a client got allSaid.
func requireAllSaid(t testing.TB, a *chatrules.Answer) {
	t.Helper()
	require.Len(t, a.Choices, 1)
	c := a.Choices[0]
	require.Equal(t, allSaid.Thinking, c.Reasoning)
	require.Equal(t, strings.Join(allSaid.Texts, ""), c.Text)
	require.Len(t, c.Calls, 1)
	require.NotEmpty(t, c.Calls[0].ID)
	require.Equal(t, "look", c.Calls[0].Name)
	require.JSONEq(t, `{"at":"sea"}`, c.Calls[0].Arguments)
	require.Equal(t, "tool_calls", c.Finish)
	require.EqualValues(t, fakeprovider.VoiceInput, a.Usage["prompt"])
	require.EqualValues(t, fakeprovider.VoiceOutput, a.Usage["completion"])
}

// requireStreamSaid asserts that a client got allSaid in chunks, and that the record
// knows it.
func requireStreamSaid(t testing.TB, v *fakeprovider.Voice, p reply, rec *accounting.Record) {
	t.Helper()
	p.requireWhole(t)
	requireAllSaid(t, &chatrules.CheckStream(t, p.body, rulesFor(v)).Answer)
	requireCompleted(t, rec)
	require.EqualValues(t, len(p.data()), rec.Chunks)
}

// requireWholeSaid is requireStreamSaid for an answer in one piece.
func requireWholeSaid(t testing.TB, v *fakeprovider.Voice, p reply, rec *accounting.Record) {
	t.Helper()
	require.NoError(t, p.err)
	require.Equal(t, 200, p.status, "%s", p.body)
	require.Equal(t, "application/json", p.header.Get("Content-Type"))
	requireAllSaid(t, chatrules.CheckAnswer(t, p.body, rulesFor(v)))
	requireCompleted(t, rec)
	require.EqualValues(t, 1, rec.Chunks)
}

// requireCompleted asserts the record of allSaid.
func requireCompleted(t testing.TB, rec *accounting.Record) {
	t.Helper()
	requireEnded(t, rec, accounting.OutcomeCompleted, accounting.PhaseTail, "")
	requireUsage(t, rec, accounting.SourceReported, accounting.MayBillFull)
	require.Equal(t, tokens.Known(fakeprovider.VoiceInput), rec.Usage.Input)
	require.Equal(t, tokens.Known(fakeprovider.VoiceOutput), rec.Usage.Output)
	require.NotEmpty(t, rec.RawUsage)
	require.Equal(t, []string{"tool_calls"}, rec.FinishReasons)
	require.Len(t, rec.ToolCalls, 1)
	require.Equal(t, "look", rec.ToolCalls[0].Name)
	require.True(t, rec.ToolCalls[0].Complete)
	require.True(t, rec.Delivered)
	require.Zero(t, rec.BadEvents)
	require.False(t, rec.AccountingDegraded)
}

// saying answers requests with allSaid, in whatever way they ask for it.
func saying(v *fakeprovider.Voice) func(*fakeprovider.Exchange) {
	return func(e *fakeprovider.Exchange) {
		if wantsStream(e) {
			say(e, v, v.Fresh().Stream(allSaid)...)
			e.EndChunks()
			return
		}
		e.JSON(200, v.Answer(allSaid))
	}
}

// wantsStream tells whether a request of any dialect asks for a stream.
func wantsStream(e *fakeprovider.Exchange) bool {
	return e.Asked().Stream || strings.Contains(e.Request.Target, "stream")
}

// wireOf is a whole HTTP answer with the stream of allSaid, and body the content of it.
func wireOf(v *fakeprovider.Voice, framing fakeprovider.Framing) (wire, body []byte) {
	pieces := v.Fresh().Stream(allSaid)
	for _, p := range pieces {
		body = append(body, p...)
	}
	return fakeprovider.Response(200, v.ContentType(), framing, pieces...), body
}

// keptAlive leaves the connection open after an answer whose framing says where it ends.
func keptAlive(e *fakeprovider.Exchange, f fakeprovider.Framing) {
	if f != fakeprovider.CloseDelimited {
		e.KeepAlive()
	}
}

// oneOfEach skips the voices that differ from others only in what a test is not about:
// OpenAI's dialect is relayed, as other tests have it, and envelopes hold the same
// events.
func oneOfEach(t *testing.T, v *fakeprovider.Voice) {
	t.Helper()
	if v.Dialect == config.DialectOpenAI || v.Enveloped {
		t.Skip("the same as in another dialect")
	}
}
