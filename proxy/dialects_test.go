package proxy

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/accounting/tokens"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// speaking makes the provider of a rig one that speaks like v.
func speaking(v *fakeprovider.Voice) func(*config.Config) {
	return func(cfg *config.Config) {
		p := &cfg.Providers[0]
		p.Dialect, p.APIKey, p.Region = v.Dialect, "secret", "eu-test-1"
		if v.Enveloped {
			p.Platform = "bedrock"
		}
	}
}

// say answers with the framed pieces of a stream and leaves it open.
func say(e *fakeprovider.Exchange, v *fakeprovider.Voice, pieces ...[]byte) {
	e.Head(200, "Content-Type: "+v.ContentType(), "Transfer-Encoding: chunked")
	for _, p := range pieces {
		if len(p) > 0 {
			e.Chunk(p)
		}
	}
}

// inEveryDialect runs a test once for each stream format.
func inEveryDialect(t *testing.T, test func(t *testing.T, v *fakeprovider.Voice)) {
	for _, v := range fakeprovider.Voices() {
		t.Run(v.String(), func(t *testing.T) {
			t.Parallel()
			test(t, v)
		})
	}
}

const chatWithTool = `{"model":"m","stream":true,"stream_options":{"include_usage":true},` +
	`"messages":[{"role":"user","content":"Say hello to the world."}],` +
	`"tools":[{"type":"function","function":{"name":"look","parameters":{"type":"object","properties":{"at":{"type":"string"}}}}}]}`

// Whatever the provider speaks, the client gets the same stream of chunks, and the
// record the provider's usage.
func TestEveryDialectReachesTheClientAsChunks(t *testing.T) {
	inEveryDialect(t, func(t *testing.T, v *fakeprovider.Voice) {
		r := newRig(t, speaking(v))
		r.up.Handle(func(e *fakeprovider.Exchange) {
			v := v.Fresh()
			say(e, v, v.Start(), v.Thinking("Hm. "), v.Text("Hello"), v.Text(" \"world\"\n"),
				v.Call("call_1", "look"), v.Arguments(`{"at":"sea"}`), v.End(true))
			e.EndChunks()
		})
		p, rec := r.askAs("all", chatWithTool)
		p.requireWhole(t)
		require.Contains(t, p.header.Get("Content-Type"), "text/event-stream")

		var text, reasoning, arguments, name, finish string
		for _, c := range chunksOf(t, p.data()[:len(p.data())-1]) {
			if v.Dialect != "openai" { // a relay only renames what sluice renamed
				require.Equal(t, "m", c.Model)
			}
			require.Equal(t, "chat.completion.chunk", c.Object)
			for _, choice := range c.Choices {
				var d struct {
					Content          string
					ReasoningContent string `json:"reasoning_content"`
					ToolCalls        []struct {
						Function struct{ Name, Arguments string }
					} `json:"tool_calls"`
				}
				require.NoError(t, json.Unmarshal(choice.Delta, &d))
				text += d.Content
				reasoning += d.ReasoningContent
				for _, call := range d.ToolCalls {
					name += call.Function.Name
					arguments += call.Function.Arguments
				}
				if choice.FinishReason != nil {
					finish += *choice.FinishReason
				}
			}
		}
		require.Equal(t, "Hello \"world\"\n", text)
		require.Equal(t, "Hm. ", reasoning)
		require.Equal(t, "look", name)
		require.JSONEq(t, `{"at":"sea"}`, arguments)
		require.Equal(t, "tool_calls", finish)

		require.Equal(t, accounting.OutcomeCompleted, rec.Outcome)
		require.Equal(t, accounting.SourceReported, rec.UsageSource)
		require.Equal(t, tokens.Known(fakeprovider.VoiceInput), rec.Usage.Input)
		require.Equal(t, tokens.Known(fakeprovider.VoiceOutput), rec.Usage.Output)
		require.NotEmpty(t, rec.RawUsage)
		require.Equal(t, v.Dialect, rec.DialectOut)
		require.Equal(t, []string{"tool_calls"}, rec.FinishReasons)
		require.Len(t, rec.ToolCalls, 1)
		require.True(t, rec.ToolCalls[0].Complete)
		require.True(t, rec.Delivered)
	})
}

// dialectMoment is a moment in which a stream of any dialect can be cut.
type dialectMoment struct {
	name   string
	phase  accounting.Phase
	pieces func(v *fakeprovider.Voice) [][]byte // nil for no head yet
	shows  string                               // what the client has seen by then
	inCall bool
}

var dialectMoments = []dialectMoment{
	{name: "await_headers", phase: accounting.PhaseAwaitHeaders},
	{name: "await_token", phase: accounting.PhaseAwaitToken, pieces: func(v *fakeprovider.Voice) [][]byte {
		return [][]byte{v.Start()}
	}},
	{name: "text", phase: accounting.PhaseStreaming, shows: `"content":"one "`, pieces: func(v *fakeprovider.Voice) [][]byte {
		return [][]byte{v.Start(), v.Text("one ")}
	}},
	{name: "thinking", phase: accounting.PhaseStreaming, shows: `"reasoning_content":"hm "`, pieces: func(v *fakeprovider.Voice) [][]byte {
		return [][]byte{v.Start(), v.Thinking("hm ")}
	}},
	{name: "arguments", phase: accounting.PhaseStreaming, shows: `"arguments":"{\"at\":`, inCall: true, pieces: func(v *fakeprovider.Voice) [][]byte {
		arguments := `{"at":"se`
		if !v.InPieces() {
			arguments = `{"at":"sea"}`
		}
		return [][]byte{v.Start(), v.Text("one "), v.Call("call_1", "look"), v.Arguments(arguments)}
	}},
}

// reach makes a request and brings it to a moment. What the client has read by then is
// lost to later readers.
func (m dialectMoment) reach(t *testing.T, r *rig, v *fakeprovider.Voice, id string) *client {
	t.Helper()
	r.up.Handle(func(e *fakeprovider.Exchange) {
		if m.pieces != nil {
			v := v.Fresh()
			say(e, v, m.pieces(v)...)
		}
		e.Hold()
	})
	c := r.dial()
	c.send(http.MethodPost, chatPath, chatWithTool, "X-Request-Id: "+id)
	if m.shows != "" {
		awaitBytes(t, c.r, m.shows)
	}
	x := r.inPhase(m.phase)
	if v.Dialect == "anthropic" && m.pieces != nil { // its first event states the input
		r.until("the first event has not been read", func() bool { return x.last().live.input.get() != nil })
	}
	r.up.WaitExchange(1)
	return c
}

// awaitBytes reads until a text has come.
func awaitBytes(t *testing.T, r *bufio.Reader, text string) {
	t.Helper()
	var seen strings.Builder
	for !strings.Contains(seen.String(), text) {
		line, err := r.ReadString('\n')
		require.NoError(t, err, "%s", seen.String())
		seen.WriteString(line)
	}
}

// In each dialect and at each moment a client that leaves closes the upstream, and
// leaves one record with the best numbers there are.
func TestClientGoneInEveryDialect(t *testing.T) {
	inEveryDialect(t, func(t *testing.T, v *fakeprovider.Voice) {
		for _, m := range dialectMoments {
			for _, d := range departures {
				r := newRig(t, speaking(v))
				c := m.reach(t, r, v, "gone")
				if m.shows == "" || !d.fin {
					d.leave(c)
				} else {
					require.NoError(t, c.Close())
				}
				requireClosed(t, r.up.WaitExchange(1).Conn)
				rec := r.record("gone")
				require.Equal(t, accounting.OutcomeClientGone, rec.Outcome, m.name)
				require.Equal(t, m.phase, rec.Phase, m.name)
				require.NotNil(t, rec.CloseMicros)
				requireCutUsage(t, v, m, rec)
				require.Len(t, r.allEnded(), 1)
			}
		}
	})
}

// requireCutUsage asserts where the numbers of a cut stream come from.
func requireCutUsage(t *testing.T, v *fakeprovider.Voice, m dialectMoment, rec *accounting.Record) {
	t.Helper()
	stated := v.Dialect == "anthropic" && m.pieces != nil || v.Dialect == "gemini" && m.shows != ""
	if !stated {
		require.Equal(t, accounting.SourceEstimated, rec.UsageSource, m.name)
		require.True(t, rec.Usage.Input.Known)
		return
	}
	require.Equal(t, accounting.SourceRunning, rec.UsageSource, m.name)
	require.Equal(t, tokens.Known(fakeprovider.VoiceInput), rec.Usage.Input)
	if m.shows == "" {
		return
	}
	require.True(t, rec.Usage.Output.Known)
	require.Positive(t, rec.Usage.Output.N)
	require.Equal(t, v.Dialect == "anthropic", rec.OutputEstimated, "Claude states the output at the end")
}

// In each dialect and at each moment a cancelled stream ends well, unless a tool call
// is open: nothing may execute half a call.
func TestCancelInEveryDialect(t *testing.T) {
	inEveryDialect(t, func(t *testing.T, v *fakeprovider.Voice) {
		for _, m := range dialectMoments {
			r := newRig(t, speaking(v))
			c := m.reach(t, r, v, "cut")
			answer := r.dial().askOn("/v1/requests/cut/cancel", "")
			require.Equal(t, 200, answer.status)
			requireClosed(t, r.up.WaitExchange(1).Conn)

			rest := readRest(t, c, m)
			require.Equal(t, 1, strings.Count(rest, "data: [DONE]"), rest)
			if m.inCall {
				require.Contains(t, rest, `"code":"cancelled"`)
				require.NotContains(t, rest, `"finish_reason":"`)
			} else {
				require.Equal(t, 1, strings.Count(rest, `"finish_reason":"stop"`), rest)
				require.Contains(t, rest, `"sluice":{"outcome":"cancelled"`)
				require.Contains(t, rest, `"choices":[],"usage":{`)
			}
			rec := r.record("cut")
			require.Equal(t, accounting.OutcomeCancelled, rec.Outcome, m.name)
			require.Equal(t, m.phase, rec.Phase, m.name)
			requireCutUsage(t, v, m, rec)
			require.Len(t, r.allEnded(), 1)
			for _, call := range rec.ToolCalls {
				require.False(t, call.Complete)
			}
		}
	})
}

// readRest reads what is left of a chunked response, whose head has been read or not.
func readRest(t *testing.T, c *client, m dialectMoment) string {
	t.Helper()
	var all strings.Builder
	for {
		line, err := c.r.ReadString('\n')
		all.WriteString(line)
		if line == "0\r\n" || err != nil {
			require.NoError(t, err, "%s: %s", m.name, all.String())
			return all.String()
		}
	}
}

// A stream without the end that its format has is cut, and no finish is invented.
func TestTruncationInEveryDialect(t *testing.T) {
	inEveryDialect(t, func(t *testing.T, v *fakeprovider.Voice) {
		for i, clean := range []bool{true, false} {
			r := newRig(t, speaking(v))
			r.up.Handle(func(e *fakeprovider.Exchange) {
				v := v.Fresh()
				say(e, v, v.Start(), v.Text("one "))
				if clean {
					e.EndChunks()
				} else {
					e.Cut()
				}
			})
			p, rec := r.askAs(fmt.Sprintf("cut%d", i), streamBody)
			require.Error(t, p.err)
			require.Contains(t, string(p.body), `"content":"one "`)
			require.Contains(t, string(p.body), `"code":"upstream_truncated"`)
			require.NotContains(t, string(p.body), `"finish_reason":"`)
			require.NotContains(t, string(p.body), `[DONE]`)
			require.Equal(t, accounting.OutcomeUpstreamTruncated, rec.Outcome)
		}
	})
}

// An error that a provider reports in its stream reaches the client in OpenAI's form,
// and its words reach nothing else.
func TestErrorInTheStreamOfEveryDialect(t *testing.T) {
	inEveryDialect(t, func(t *testing.T, v *fakeprovider.Voice) {
		r := newRig(t, speaking(v))
		r.up.Handle(func(e *fakeprovider.Exchange) {
			v := v.Fresh()
			say(e, v, v.Start(), v.Text("one "), v.Failure("too much going on"))
			e.EndChunks()
		})
		p, rec := r.askAs("bad", streamBody)
		require.Error(t, p.err)
		data := p.data()
		var last struct {
			Error struct{ Message, Type string }
		}
		require.NoError(t, json.Unmarshal([]byte(data[len(data)-1]), &last))
		require.Equal(t, "too much going on", last.Error.Message)
		require.NotEmpty(t, last.Error.Type)
		require.NotContains(t, string(p.body), "[DONE]")
		require.Equal(t, accounting.OutcomeUpstreamError, rec.Outcome)
		require.NotContains(t, r.logs.String(), "too much going on")
	})
}

// An event that cannot be read may have been any part of the answer, so the answer
// ends there.
func TestUnreadableEventEndsATranslatedStream(t *testing.T) {
	inEveryDialect(t, func(t *testing.T, v *fakeprovider.Voice) {
		if v.Dialect == "openai" {
			t.Skip("a relay forwards what it cannot read")
		}
		r := newRig(t, speaking(v))
		r.up.Handle(func(e *fakeprovider.Exchange) {
			v := v.Fresh()
			say(e, v, v.Start(), v.Text("one "))
			switch v.ContentType() {
			case "text/event-stream":
				e.Chunk([]byte("data: {\"broken\n\n"))
			default:
				e.Chunk([]byte("{\"broken and then some more to fill a frame\n"))
			}
			e.Hold()
		})
		p, rec := r.askAs("bad", streamBody)
		require.Error(t, p.err)
		require.Contains(t, string(p.body), `"code":"upstream_bad_response"`)
		require.NotContains(t, string(p.body), `"finish_reason":"`)
		require.Equal(t, accounting.OutcomeUpstreamError, rec.Outcome)
		require.EqualValues(t, 1, rec.BadEvents)
	})
}
