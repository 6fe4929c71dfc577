package proxy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/accounting/tokens"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/chatrules"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// quirkyStream has, beside events that pass as they are, what strict clients trip over:
// in events with other fields and comments around their data, in data of several lines,
// and in members that come with every event.
func quirkyStream(eol string) []byte {
	chunk := func(id, delta, finish, more string) string {
		return `{"id":"` + id + `","object":"chat.completion.chunk","created":1700000000,"model":"m","choices":[{"index":0,"delta":` + delta + `,"finish_reason":` + finish + `}]` + more + `}`
	}
	return []byte(strings.ReplaceAll(": héllo\n\n"+
		"data: "+chunk("a", `{"role":"assistant","content":""}`, "null", "")+"\n\n"+
		"id: 7\nevent: x\nretry: 10\ndata: "+chunk("b", `{"role":"assistant","content":"h\u00e9"}`, `""`, "")+"\n\n"+
		"data:"+chunk("a", `{"content":" one"}`, "null", `,"error":null`)+"\n\n"+
		"data: "+chunk("a", `{"content":" two"}`, "null", "")+"\n\n"+
		": between\ndata: "+strings.Replace(chunk("a", `{"role":"assistant","content":" three"}`, "null", ""), `,"created"`, ",\ndata: \"created\"", 1)+"\n\n"+
		"data: "+chunk("a", `{"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{\"a\":"}}]}`, "null", "")+"\nid: 8\n\n"+
		"data: "+chunk("a", `{"tool_calls":[{"function":{"arguments":"1}"}}]}`, "null", "")+"\n\n\n"+
		"data: "+chunk("a", `{"content":""}`, `"stop"`, `,"usage":{"prompt_tokens":3,"completion_tokens":5}`)+"\n\n"+
		"data: "+chunk("a", `{}`, `"stop"`, "")+"\n\n"+
		"data: [DONE]\n\n", "\n", eol))
}

// onlyData is a stream without what its provider wrote around its data.
func onlyData(body []byte) []byte {
	text := strings.ReplaceAll(strings.ReplaceAll(string(body), "\r\n", "\n"), "\r", "\n")
	var out strings.Builder
	for line := range strings.Lines(text) {
		if data, ok := strings.CutPrefix(line, "data:"); ok {
			out.WriteString("data: " + strings.TrimLeft(data, " ") + "\n")
		}
	}
	return []byte(out.String())
}

// Wherever a stream that has to be mended is cut on its way, its client gets the same
// bytes, strict SDKs accept them, and the record has the same totals.
// rows B28, B31
func TestEverySplitIsMendedTheSame(t *testing.T) {
	t.Parallel()
	for name, eol := range map[string]string{"LF": "\n", "CRLF": "\r\n", "CR": "\r"} {
		for asked, request := range map[string]string{"asked": streamBody, "unasked": withoutUsage} {
			t.Run(name+"/"+asked, func(t *testing.T) {
				t.Parallel()
				r := newRig(t)
				stream := quirkyStream(eol)
				c := r.dial()
				r.asChunks(stream)
				first := read(c.post(request))
				require.NoError(t, first.err)
				rules := chatrules.Options{Unknown: true, IncludeUsage: asked == "asked", UsageUnstated: asked != "asked"}
				got := chatrules.CheckStream(t, onlyData(first.body), rules)
				require.Equal(t, "hé one two three", got.Choices[0].Text)
				require.Equal(t, "tool_calls", got.Choices[0].Finish)
				require.Equal(t, []chatrules.Call{{ID: "c", Name: "f", Arguments: `{"a":1}`}}, got.Choices[0].Calls)
				require.True(t, strings.HasPrefix(string(first.body), ": héllo"+eol+eol))
				require.Contains(t, string(first.body), "id: 7"+eol+"event: x"+eol+"retry: 10"+eol+"data: ")

				for cut := range len(stream) {
					if cut%4 > 0 && !strings.ContainsRune(":\r\n", rune(stream[cut])) && !strings.ContainsRune(":\r\n", rune(stream[cut-1])) {
						continue
					}
					r.asReads(stream[:cut], stream[cut:])
					p := read(c.post(request))
					require.NoError(t, p.err, "cut at %d", cut)
					require.Equal(t, string(first.body), string(p.body), "cut at %d", cut)
				}
				pieces := make([][]byte, len(stream))
				for i := range stream {
					pieces[i] = stream[i : i+1]
				}
				r.asReads(pieces...)
				require.Equal(t, string(first.body), string(read(c.post(request)).body))
				packed := gzipped(t, stream[:100], stream[100:300], stream[300:])
				r.up.Handle(func(e *fakeprovider.Exchange) {
					e.StreamHead("Content-Encoding: gzip")
					for _, p := range packed {
						e.Chunk(p)
					}
					e.EndChunks()
				})
				require.Equal(t, string(first.body), string(read(c.post(request)).body))
				for _, rec := range r.allEnded() {
					require.Equal(t, accounting.OutcomeCompleted, rec.Outcome)
					require.Equal(t, tokens.Known(3), rec.Usage.Input)
					require.Equal(t, tokens.Known(5), rec.Usage.Output)
					require.Equal(t, []accounting.ToolCallSummary{{Name: "f", ArgumentBytes: 7, Complete: true}}, rec.ToolCalls)
				}
			})
		}
	}
}

// A mended stream is whole exactly when its content says so, wherever it is cut.
// rows B8, B10
func TestMendedStreamCutAtManyBytes(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	stream := string(quirkyStream("\n"))
	whole := strings.Index(stream, `"finish_reason":"stop"`)
	whole += strings.IndexByte(stream[whole:], '\n')
	for cut := 0; cut < len(stream); cut += 3 {
		r.up.Handle(func(e *fakeprovider.Exchange) {
			e.Head(200, "Content-Type: text/event-stream")
			e.Body([]byte(stream[:cut]))
		})
		p, rec := r.askAs(fmt.Sprint("a", cut), streamBody)
		if cut < whole {
			require.Equal(t, accounting.OutcomeUpstreamTruncated, rec.Outcome, "cut at %d: %s", cut, p.body)
			require.NotContains(t, string(p.body), "[DONE]")
			require.NotContains(t, string(p.body), `"finish_reason":"`)
			continue
		}
		require.Equal(t, accounting.OutcomeCompleted, rec.Outcome, "cut at %d: %s", cut, p.body)
		p.requireWhole(t)
		got := chatrules.CheckStream(t, onlyData(p.body), chatrules.Options{Unknown: true, IncludeUsage: true})
		require.Equal(t, "tool_calls", got.Choices[0].Finish)
	}
}

// The same at an endpoint where only the model's name and the usage are edited.
// rows B28, B30
func TestEverySplitOfACompletionIsEditedTheSame(t *testing.T) {
	t.Parallel()
	const chunk = `{"id":"a","object":"text_completion","created":1,"model":"x","choices":[{"index":0,"text":"one","finish_reason":null}],"usage":null}`
	text := "data: " + chunk + "\n\n: between\nid: 7\ndata:" + chunk + "\n\ndata: " + strings.Replace(chunk, `,"created"`, ",\ndata: \"created\"", 1) + "\n\n" +
		"data: " + strings.Replace(chunk, `"finish_reason":null`, `"finish_reason":"stop"`, 1) + "\n\n" +
		`data: {"id":"a","object":"text_completion","created":1,"model":"x","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":5}}` + "\n\ndata: [DONE]\n\n"
	for name, eol := range map[string]string{"LF": "\n", "CRLF": "\r\n", "CR": "\r"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, toTarget, func(c *config.Config) { c.Keys = nil })
			stream := []byte(strings.ReplaceAll(text, "\n", eol))
			c := r.dial()
			ask := func() string {
				p := c.askOn("/v1/completions", `{"model":"fast","stream":true,"prompt":"x"}`)
				require.NoError(t, p.err)
				return string(p.body)
			}
			r.asChunks(stream)
			first := ask()
			require.Equal(t, 4, strings.Count(first, `"model":"fast"`), first)
			require.NotContains(t, first, "usage")
			for cut := range len(stream) {
				r.asReads(stream[:cut], stream[cut:])
				require.Equal(t, first, ask(), "cut at %d", cut)
			}
		})
	}
}
