package proxy

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// errorEvents are the ways in which a provider says in mid-stream that it failed.
var errorEvents = []struct {
	name, event, code string
}{
	{"object", `data: {"error":{"message":"a secret prompt","type":"server_error","code":"overloaded"}}` + "\n\n", "overloaded"},
	{"no code", `data: {"error":{"message":"a secret prompt","type":"server_error","code":null}}` + "\n\n", "server_error"},
	{"number", `data: {"error":{"message":"a secret prompt","code":502}}` + "\n\n", "502"},
	{"string", `data: {"error":"a secret prompt"}` + "\n\n", ""},
	{"beside choices", `data: {"id":"x","error":{"code":"c1","message":"a secret prompt"},"choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}]}` + "\n\n", "c1"},
	{"spaced", `data: { "error" : {"message":"a secret prompt","code":"c2"} }` + "\n\n", "c2"},
	{"named", "event: error\n" + `data: {"error":{"message":"a secret prompt","code":"c3"}}` + "\n\n", "c3"},
	{"named without an error member", "event: error\n" + `data: {"message":"a secret prompt","code":"c4"}` + "\n\n", "c4"},
	{"CRLF", `data: {"error":{"message":"a secret prompt","code":"c5"}}` + "\r\n\r\n", "c5"},
}

// An error inside a stream reaches the client as it is, and then the stream ends as
// failed: without the last chunk, without [DONE], and without a second error of ours.
// What the provider sends afterwards is not waited for.
// row B17
func TestErrorEventEndsTheStream(t *testing.T) {
	t.Parallel()
	all := fakeprovider.ChatStream(fakeprovider.ChatOptions{})
	positions := map[string]int{"first": 0, "middle": 3, "before the sentinel": len(all) - 1}
	for _, c := range errorEvents {
		for where, k := range positions {
			for _, request := range []string{streamBody, withoutUsage} {
				r := newRig(t, mayBillPartial)
				r.up.Handle(func(e *fakeprovider.Exchange) {
					e.StreamHead()
					e.Chunk([]byte(chatText(all[:k]) + c.event + chatText(all[k:])))
					e.Hold()
				})
				p, rec := r.askAs("a", request)
				require.Error(t, p.err, "%s, %s", c.name, where)
				require.Equal(t, chatText(all[:k])+c.event, string(p.body), "%s, %s", c.name, where)
				require.NotContains(t, string(p.body), "[DONE]")

				require.Equal(t, accounting.OutcomeUpstreamError, rec.Outcome)
				require.Equal(t, c.code, rec.Code, c.name)
				require.Equal(t, accounting.MayBillPartial, rec.MayBill)
				require.Equal(t, 200, rec.StatusDownstream)
				require.False(t, rec.Delivered)
				require.NotNil(t, rec.CloseMicros)
				requireClosed(t, r.up.WaitConn(1))
				require.NotContains(t, r.logs.String(), "secret prompt")
				require.Len(t, r.up.Exchanges(), 1)
			}
		}
	}
}

// An error event counts also when it is the last thing on the wire, without its blank
// line.
// row B17
func TestErrorEventAtTheEndOfTheBody(t *testing.T) {
	t.Parallel()
	first := fakeprovider.ChatStream(fakeprovider.ChatOptions{})[:2]
	const event = `data: {"error":{"message":"m","code":"c"}}`
	for name, tail := range map[string]string{"whole": "\n\n", "one line end": "\n", "none": ""} {
		r := newRig(t)
		r.up.Handle(func(e *fakeprovider.Exchange) {
			e.StreamHead()
			e.Chunk([]byte(chatText(first) + event + tail))
			e.EndChunks()
		})
		p, rec := r.askAs("a", streamBody)
		require.Error(t, p.err, name)
		require.Equal(t, chatText(first)+event+"\n\n", string(p.body), name)
		require.Equal(t, accounting.OutcomeUpstreamError, rec.Outcome)
		require.Equal(t, "c", rec.Code)
	}
}

// What only mentions an error is not one. openai-go takes an error member for a failure
// whatever its value, so one that says nothing is taken out.
// row B17
func TestEventsThatOnlyMentionAnErrorAreContent(t *testing.T) {
	t.Parallel()
	chunk := func(members, content string) string {
		return fmt.Sprintf(`{"id":"chatcmpl-fake","object":"chat.completion.chunk","created":1700000000,"model":"fake-model",%s"choices":[{"index":0,"delta":{"content":%q},"finish_reason":null}]}`, members, content)
	}
	stream := fakeprovider.ChatStream(fakeprovider.ChatOptions{IncludeUsage: true})
	events := slices.Concat(stream[:1], []string{
		chunk(`"error":null,`, "a"), chunk(`"error":false,`, "b"), chunk(`"error":"",`, "c"), chunk("", `{"error":{"message":"quoted"}}`),
		chunk(`"meta":{"error":{"message":"inner"}},`, "d"), `{"error":`, `"error"`, `["error"]`,
	}, stream[1:])
	r := newRig(t)
	r.play(events)
	p, rec := r.askAs("a", streamBody)
	p.requireWhole(t)
	want := strings.NewReplacer(`"error":null,`, "", `"error":false,`, "", `"error":"",`, "").Replace(chatText(events))
	require.Equal(t, want, string(p.body))
	require.Equal(t, accounting.OutcomeCompleted, rec.Outcome)
	require.Empty(t, rec.Code)
}

// In the Responses API the provider's failure is an event of its own, and some send
// the error first.
// row B17
func TestFailedResponseEndsTheStream(t *testing.T) {
	t.Parallel()
	const created = "event: response.created\n" + `data: {"type":"response.created","response":{"id":"r","model":"m","status":"in_progress","output":[]}}` + "\n\n"
	for _, event := range []string{
		"event: error\n" + `data: {"type":"error","code":"c","message":"m","param":null,"sequence_number":2}` + "\n\n",
		"event: error\n" + `data: {"type":"error","error":{"type":"t","code":"c","message":"m"}}` + "\n\n",
		`data: {"type":"response.failed","response":{"id":"r","model":"m","status":"failed","error":{"code":"c","message":"m"},"output":[]}}` + "\n\n",
	} {
		r := newRig(t)
		r.up.Handle(func(e *fakeprovider.Exchange) {
			e.StreamHead()
			e.Chunk([]byte(created + event))
			e.Hold()
		})
		p := r.dial().askOn("/v1/responses", `{"model":"m","stream":true,"input":"x"}`, "X-Request-Id: a")
		require.Error(t, p.err)
		require.Equal(t, created+event, string(p.body))
		rec := r.record("a")
		require.Equal(t, accounting.OutcomeUpstreamError, rec.Outcome, "%s", event)
		require.Equal(t, "c", rec.Code, "%s", event)
		requireClosed(t, r.up.WaitConn(1))
	}
}

// A provider that answers with an error under status 200 has failed, whole answers
// included; the client gets its words as they are.
// row B17
func TestErrorUnderAGoodStatusIsAnUpstreamError(t *testing.T) {
	t.Parallel()
	const body = `{"error":{"message":"a secret prompt","code":"c1"}}`
	r := newRig(t, mayBillPartial)
	r.up.Handle(func(e *fakeprovider.Exchange) { e.JSON(200, body) })
	for kind, request := range bothKinds {
		p, rec := r.askAs(kind, request)
		require.NoError(t, p.err)
		require.Equal(t, 200, p.status)
		require.Equal(t, body, string(p.body))
		require.Equal(t, accounting.OutcomeUpstreamError, rec.Outcome)
		require.Equal(t, "c1", rec.Code)
		require.Equal(t, accounting.MayBillPartial, rec.MayBill)
	}
	require.Equal(t, 1, r.up.Conns())
}

// sentinelQuoted is a chunk whose text mentions the sentinel.
func sentinelQuoted(text string) string {
	return `{"id":"chatcmpl-fake","object":"chat.completion.chunk","created":1700000000,"model":"fake-model","choices":[{"index":0,"delta":{"content":"` + text + `"},"logprobs":null,"finish_reason":null}]}`
}

// sentinels are what may stand where [DONE] is expected.
var sentinels = []struct {
	event string
	ends  bool
}{
	{"data: [DONE]\n\n", true},
	{"data:[DONE]\n\n", true},
	{"data:  [DONE] \n\n", true},
	{"data: [DONE]\r\n\r\n", true},
	{"event: done\ndata: [DONE]\n\n", true},
	{"id: 7\ndata: [DONE]\nretry: 10\n\n", true},
	{"data: [done]\n\n", false},
	{"data: [DONE\n\n", false},
	{"data: DONE\n\n", false},
	{"data: \"[DONE]\"\n\n", false},
	{"data: " + sentinelQuoted("data: [DONE]") + "\n\n", false},
	{"data: " + sentinelQuoted(`[DONE]\n\n`) + "\n\n", false},
	{": [DONE]\n\n", false},
	{"event: [DONE]\n\n", false},
	{"[DONE]\n\n", false},
	{"data: [DONE]x\n\n", false},
	{"data: [DONE]\ndata: [DONE]\n\n", false},
}

// The first exact sentinel ends the stream, whatever comes behind it and whether or
// not the upstream ever ends its body; nothing else does.
// row B29
func TestOnlyTheSentinelEndsAStream(t *testing.T) {
	t.Parallel()
	for _, c := range sentinels {
		content := fakeprovider.ChatStream(fakeprovider.ChatOptions{NoFinish: !c.ends, NoDone: true})
		before := chatText(content) + c.event
		for _, request := range []string{streamBody, withoutUsage} {
			t.Run(fmt.Sprintf("%q", c.event), func(t *testing.T) {
				t.Parallel()
				if !c.ends {
					requireNoEnd(t, request, before)
					return
				}
				requireEnd(t, request, before, chatText(content))
			})
		}
	}
}

// row B29
func TestWhatComesBehindTheSentinelIsDropped(t *testing.T) {
	t.Parallel()
	stream := chatText(fakeprovider.ChatStream(fakeprovider.ChatOptions{}))
	for name, after := range map[string]string{
		"nothing": "", "the sentinel again": "data: [DONE]\n\n", "an error": "data: {\"error\":{\"message\":\"m\"}}\n\n", "half an event": "data: {",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			requireEnd(t, streamBody, stream, after)
			requireEnd(t, withoutUsage, stream, after)
		})
	}
}

// requireNoEnd asserts that a body that ends after this stream was cut.
func requireNoEnd(t *testing.T, request, stream string) {
	t.Helper()
	r := newRig(t)
	r.up.Handle(func(e *fakeprovider.Exchange) {
		e.Chunk([]byte(stream))
		e.EndChunks()
	})
	p, rec := r.askAs("a", request)
	p.requireCut(t, "upstream_truncated", stream)
	require.Equal(t, accounting.OutcomeUpstreamTruncated, rec.Outcome)
}

// requireEnd asserts that this stream is whole, though more comes behind it and the
// body does not end.
func requireEnd(t *testing.T, request, stream, after string) {
	t.Helper()
	r := newRig(t)
	r.up.Handle(func(e *fakeprovider.Exchange) {
		e.Chunk([]byte(stream + after))
		e.Hold()
	})
	p, rec := r.askAs("a", request)
	require.NoError(t, p.err)
	require.Equal(t, stream, string(p.body))
	require.Equal(t, accounting.OutcomeCompleted, rec.Outcome)
	require.Equal(t, accounting.PhaseTail, rec.Phase)
	require.True(t, rec.Delivered)
	requireClosed(t, r.up.WaitConn(1))
}

// A stream whose body ends where it says it does leaves a connection that serves on;
// one that has more to say, or does not say that it is over, does not.
// row B29
func TestConnectionIsKeptOnlyAfterACleanEnd(t *testing.T) {
	t.Parallel()
	body := chatText(fakeprovider.ChatStream(fakeprovider.ChatOptions{}))
	for name, c := range map[string]struct {
		raw  string
		kept bool
	}{
		"end at once":      {string(fakeprovider.Frame([]byte(body))) + "0\r\n\r\n", true},
		"with a trailer":   {string(fakeprovider.Frame([]byte(body))) + "0\r\nX-Sum: 1\r\n\r\n", true},
		"data in between":  {string(fakeprovider.Frame([]byte(body+"data: x\n\n"))) + "0\r\n\r\n", true},
		"a chunk between":  {string(fakeprovider.Frame([]byte(body))) + "1\r\n\n\r\n0\r\n\r\n", true},
		"no end":           {string(fakeprovider.Frame([]byte(body))), false},
		"half an end":      {string(fakeprovider.Frame([]byte(body))) + "0\r\n", false},
		"more than an end": {string(fakeprovider.Frame([]byte(body))) + "0\r\n\r\nHTTP/1.1", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.up.Handle(func(e *fakeprovider.Exchange) {
				e.Raw([]byte("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n" + c.raw))
				if c.kept {
					e.KeepAlive()
				} else {
					e.Hold()
				}
			})
			for i := range 2 {
				p := r.ask(streamBody)
				require.Equal(t, body, string(p.body))
				p.requireWhole(t)
				require.Len(t, r.allEnded(), i+1) // by then its connection is kept or closed
			}
			require.Equal(t, map[bool]int{true: 1, false: 2}[c.kept], r.up.Conns(), strings.ToValidUTF8(c.raw, ""))
		})
	}
}
