package translate_test

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/sse"
	"github.com/sluicehq/sluice/translate"
	"github.com/sluicehq/sluice/translate/anthropic"
	"github.com/sluicehq/sluice/translate/bedrock"
	"github.com/sluicehq/sluice/translate/cohere"
	"github.com/sluicehq/sluice/translate/framing"
	"github.com/sluicehq/sluice/translate/gemini"
	"github.com/sluicehq/sluice/translate/ollama"
	"github.com/sluicehq/sluice/translate/openai"
)

// subject is a dialect in one of its framings.
type subject struct {
	name     string
	dialect  translate.Dialect
	framing  translate.Framing
	platform string
}

var subjects = []subject{
	{"anthropic", anthropic.Dialect{}, translate.FramingSSE, ""},
	{"anthropic", anthropic.Dialect{}, translate.FramingAWS, translate.PlatformBedrock},
	{"bedrock", bedrock.Dialect{}, translate.FramingAWS, ""},
	{"cohere", cohere.Dialect{}, translate.FramingSSE, ""},
	{"gemini", gemini.Dialect{}, translate.FramingSSE, ""},
	{"gemini", gemini.Dialect{}, translate.FramingArray, ""},
	{"ollama", ollama.Dialect{}, translate.FramingLines, ""},
}

func (s subject) String() string { return fmt.Sprintf("%s in framing %d", s.name, s.framing) }

func (s subject) context() *translate.Context {
	c := &translate.Context{Stream: true, N: 1, Carried: kept{}}
	c.Platform.Platform = s.platform
	return c
}

type kept map[string]string

func (k kept) Keep(id, raw string)   { k[id] = strings.Clone(raw) }
func (k kept) Find(id string) string { return k[id] }

// event is one event of a provider.
type event struct{ name, data string }

// recorded are the streams of a dialect's golden files.
func recorded(t testing.TB, dialect string) (streams [][]event) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dialect, "testdata", "stream", "*.txtar"))
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for _, path := range paths {
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		var events []event
		name := ""
		for line := range strings.Lines(string(content)) {
			line = strings.TrimRight(line, "\n")
			if rest, ok := strings.CutPrefix(line, "event: "); ok {
				name = rest
				continue
			}
			for _, lead := range []string{"data: ", "data:", "chunk\t"} {
				line = strings.TrimPrefix(line, lead)
			}
			if json.Valid([]byte(line)) && strings.ContainsAny(line[:1], "{[") {
				events = append(events, event{name, line})
			}
			name = ""
		}
		if len(events) > 0 {
			streams = append(streams, events)
		}
	}
	return streams
}

// body frames events as the provider would.
func (s subject) body(events []event) []byte {
	var out []byte
	for i, e := range events {
		switch s.framing {
		case translate.FramingSSE:
			out = sse.AppendEvent(out, []byte(e.name), []byte(e.data))
		case translate.FramingLines:
			out = append(append(out, strings.ReplaceAll(e.data, "\n", " ")...), '\n')
		case translate.FramingArray:
			out = append(append(out, ",["[min(1, max(0, 1-i))]), e.data...)
		case translate.FramingAWS:
			name, data := e.name, e.data
			if s.platform != "" {
				name, data = "chunk", `{"bytes":"`+base64.StdEncoding.EncodeToString([]byte(data))+`"}`
			}
			out = appendFrame(out, name, data)
		}
	}
	if s.framing == translate.FramingArray {
		out = append(out, ']')
	}
	return out
}

// appendFrame appends a frame of application/vnd.amazon.eventstream.
func appendFrame(dst []byte, name, payload string) []byte {
	header := func(name, value string) []byte {
		h := append([]byte{byte(len(name))}, name...)
		h = binary.BigEndian.AppendUint16(append(h, 7), uint16(len(value)))
		return append(h, value...)
	}
	var headers []byte
	if kind, failed := strings.CutPrefix(name, "exception "); failed {
		headers = slices.Concat(header(":message-type", "exception"), header(":exception-type", kind))
	} else {
		headers = slices.Concat(header(":message-type", "event"), header(":event-type", name))
	}
	var frame []byte
	frame = binary.BigEndian.AppendUint32(frame, uint32(len(headers)+len(payload)+16))
	frame = binary.BigEndian.AppendUint32(frame, uint32(len(headers)))
	frame = binary.BigEndian.AppendUint32(frame, crc32.ChecksumIEEE(frame))
	frame = append(append(frame, headers...), payload...)
	return append(dst, binary.BigEndian.AppendUint32(frame, crc32.ChecksumIEEE(frame))...)
}

// relay decodes a body that arrives in random pieces, and returns the events that the
// client gets and what they are meant to say.
func relay(t *testing.T, s subject, body []byte, random *rand.Rand) (out []byte, meant []string) {
	t.Helper()
	w := translate.NewChunkWriter(translate.Head{ID: "id\n", Model: "m\r"}, translate.WriterOptions{Extensions: true, IncludeUsage: random.IntN(2) == 0})
	w.Lend(nil)
	c := s.context()
	progress := decode(s, c, w, body, random)
	out = w.Take()
	for data := range w.Events(out, 0) {
		meant = append(meant, string(data))
	}
	switch {
	case progress == translate.Complete:
		out = w.AppendTail(out)
	case w.Failure() != nil:
		e := w.Failure().InOpenAIsWords()
		require.NotEmpty(t, e.Message, "%s: %q", s, body)
		out = translate.AppendErrorEvent(out, e, false)
		meant = append(meant, string(e.AppendJSON(nil)))
	}
	requireWarnings(t, c)
	return out, meant
}

func decode(s subject, c *translate.Context, to translate.Sink, body []byte, random *rand.Rand) translate.Progress {
	decoder := s.dialect.Decoder(c)
	split := framing.New(s.framing, 0)
	var ev sse.Event
	for len(body) > 0 {
		n := random.IntN(min(len(body), 1+random.IntN(200))) + 1
		split.Feed(slices.Clone(body[:n]))
		body = body[n:]
		for split.Next(&ev) {
			if ev.Data == nil || ev.Overflow {
				continue
			}
			if p := decoder.Event(to, ev.Name, ev.Data); p != translate.More {
				return p
			}
		}
	}
	for split.Flush(&ev) {
		if ev.Data != nil {
			if p := decoder.Event(to, ev.Name, ev.Data); p != translate.More {
				return p
			}
		}
	}
	return decoder.End(to)
}

// requireEvents checks that a stream is exactly these events, each on one line, and behind
// them at most the usage and [DONE].
func requireEvents(t *testing.T, out []byte, meant []string, random *rand.Rand) {
	t.Helper()
	var scanner sse.Scanner
	var ev sse.Event
	var got []string
	for rest := out; len(rest) > 0; {
		n := random.IntN(len(rest)) + 1
		scanner.Feed(rest[:n])
		rest = rest[n:]
		for scanner.Next(&ev) {
			require.Empty(t, ev.Name)
			require.Equal(t, "data: "+string(ev.Data)+"\n\n", string(ev.Raw), "one line, and no other field")
			require.NotContains(t, string(ev.Data), "\r")
			require.NotContains(t, string(ev.Data), "\x00")
			require.True(t, json.Valid(ev.Data) || sse.IsDone(ev.Data), "%q", ev.Data)
			got = append(got, string(ev.Data))
		}
	}
	require.False(t, scanner.Flush(&ev), "nothing is left behind the last event")
	require.GreaterOrEqual(t, len(got), len(meant))
	require.Equal(t, meant, got[:len(meant):len(meant)])
	tail := got[len(meant):]
	require.LessOrEqual(t, len(tail), 2)
	for i, data := range tail {
		require.Equal(t, i == len(tail)-1, data == "[DONE]")
	}
}

func requireWarnings(t *testing.T, c *translate.Context) {
	t.Helper()
	for _, warning := range c.Warnings {
		for i := range len(warning) {
			require.True(t, warning[i] >= ' ' && warning[i] <= '~', "%q", warning)
		}
	}
}

// checkHostile poisons a stream and checks what becomes of it.
func checkHostile(t *testing.T, s subject, events []event, text string, seed uint64) {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 1))
	events = slices.Clone(events)
	for range random.IntN(3) + 1 {
		e := &events[random.IntN(len(events))]
		way := random.IntN(5)
		e.data = poison(e.data, spell(text, way), random.IntN(1000), random.IntN(2) == 0)
		if random.IntN(8) == 0 {
			e.name = strings.Map(func(r rune) rune {
				if r == '\n' || r == '\r' || r == utf8.RuneError {
					return '?'
				}
				return r
			}, e.name+text)
			e.name = e.name[:min(len(e.name), 200)]
		}
		if random.IntN(4) == 0 {
			e.data = spread(e.data, []string{"\n", "\r", "\r\n", " \n\t", "\n\n"}[random.IntN(5)])
		}
	}
	out, meant := relay(t, s, s.body(events), random)
	requireEvents(t, out, meant, random)
}

// row C18
func TestNothingThatAProviderWritesBreaksTheFraming(t *testing.T) {
	for _, s := range subjects {
		streams := recorded(t, s.name)
		for i, text := range hostile {
			for j, events := range streams {
				for k := range uint64(2) {
					checkHostile(t, s, events, text, uint64(i*1000+j)<<8+k)
				}
			}
		}
	}
}

// row C18: the strings arrive, whole and as text, where they belong.
func TestHostileTextReachesTheClientAsText(t *testing.T) {
	for _, text := range hostile {
		want := strings.ToValidUTF8(string([]rune(text)), "\ufffd")
		inside := spell(text, 0)
		s := subjects[6]
		body := s.body([]event{
			{"", `{"model":"` + inside + `","message":{"content":"a` + inside + `"},"done":false}`},
			{"", `{"message":{"tool_calls":[{"function":{"name":"f` + inside + `","arguments":{"k":"` + inside + `"}}}]},"done":true,"done_reason":"` + inside + `"}`},
		})
		out, meant := relay(t, s, body, rand.New(rand.NewPCG(1, 1)))
		requireEvents(t, out, meant, rand.New(rand.NewPCG(1, 2)))
		var content, name, arguments, native string
		for _, data := range meant {
			var chunk struct {
				Model   string
				Choices []struct {
					Delta struct {
						Content   string
						ToolCalls []struct {
							Function struct{ Name, Arguments string }
						} `json:"tool_calls"`
					}
				}
				Sluice struct {
					Native string `json:"native_finish_reason"`
				}
			}
			require.NoError(t, json.Unmarshal([]byte(data), &chunk))
			if text != "" {
				require.Equal(t, want, chunk.Model)
			}
			content += chunk.Choices[0].Delta.Content
			for _, call := range chunk.Choices[0].Delta.ToolCalls {
				name += call.Function.Name
				arguments += call.Function.Arguments
			}
			native += chunk.Sluice.Native
		}
		require.Equal(t, "a"+want, content)
		require.Equal(t, "f"+want, name)
		require.Equal(t, want, native)
		var decoded map[string]string
		require.NoError(t, json.Unmarshal([]byte(arguments), &decoded), "%q", arguments)
		require.Equal(t, want, decoded["k"])
	}
}

// row C18: an event that is mended is on one line as well, however the provider's was
// spread over several.
func TestMendedEventsAreOnOneLine(t *testing.T) {
	for _, events := range recorded(t, "openai") {
		for i := range uint64(64) {
			random := rand.New(rand.NewPCG(i, 3))
			var repair openai.Repair
			repair.Reset(openai.Options{
				HideUsage: i&1 != 0, HideBeside: i&2 != 0, RunningUsage: i&4 != 0, ThinkTags: i&8 != 0, Extensions: i&16 != 0, Model: "m\r\n", ChatID: "c\n", N: 1,
			})
			var out []byte
			for _, e := range events {
				data := spread(e.data, []string{"\n", "\r", "\r\n", " "}[random.IntN(4)])
				if random.IntN(3) == 0 {
					data = poison(data, spell(hostile[random.IntN(len(hostile))], random.IntN(4)), random.IntN(1000), random.IntN(2) == 0)
				}
				var verdict openai.Verdict
				before := len(out)
				out, verdict = repair.Event(out, []byte(data))
				if verdict == openai.Untouched {
					require.Len(t, out, before)
				}
			}
			out = repair.Done(out)
			var meant []string
			for event := range strings.SplitAfterSeq(string(out), "\n\n") {
				if data := strings.TrimSuffix(strings.TrimPrefix(event, "data: "), "\n\n"); data != "" {
					meant = append(meant, data)
				}
			}
			requireEvents(t, out, meant, random)
		}
	}
}
