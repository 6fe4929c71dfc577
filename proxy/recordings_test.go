package proxy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/chatrules"
	"github.com/sluicehq/sluice/internal/fakeprovider"
	"github.com/sluicehq/sluice/internal/recordings"
)

const captures = "../../shared/captures"

// recordedPath is where clients ask for answers of a recording's format.
func recordedPath(c fakeprovider.Capture) string {
	switch c.Meta.API {
	case "openai-responses":
		return "/v1/responses"
	case "openai-completions":
		return "/v1/completions"
	default:
		return chatPath
	}
}

// requestFor is a request for the kind of answer that was recorded.
func requestFor(c fakeprovider.Capture, model string, usage bool) string {
	options := ""
	if usage && c.Meta.API != "openai-responses" {
		options = `,"stream_options":{"include_usage":true}`
	}
	prompt := map[string]string{
		"openai-chat": `"messages":[{"role":"user","content":"x"}]`, "openai-completions": `"prompt":"x"`, "openai-responses": `"input":"x"`,
	}[c.Meta.API]
	return fmt.Sprintf(`{"model":%q,"stream":true%s,%s}`, model, options, prompt)
}

// streams are the recorded streams of the formats that sluice relays, without those
// chat streams that strict clients trip over: these are mended.
func streams(t *testing.T) []fakeprovider.Capture {
	var out []fakeprovider.Capture
	for _, c := range fakeprovider.Captures(t, captures, "openai-chat", "openai-completions", "openai-responses") {
		if c.Meta.Status != 200 || c.Meta.Container != "sse" {
			continue
		}
		if c.Meta.API == "openai-chat" {
			_, violations := chatrules.ReadStream(c.Response, chatrules.Options{IncludeUsage: true, UsageUnstated: true, Unknown: true})
			if len(violations) > 0 || bytes.Contains(c.Response, []byte(`"choices":[{`)) && !bytes.Contains(c.Response, []byte(`"finish_reason":null`)) {
				continue
			}
		}
		out = append(out, c)
	}
	return out
}

// replay lets the fake upstream answer with a recording, cut into chunks and writes at
// random places, and returns what came of it.
func (r *rig) replay(t testing.TB, c fakeprovider.Capture, seed int64, request string) (reply, *accounting.Record) {
	t.Helper()
	r.up.Handle(func(e *fakeprovider.Exchange) {
		rng := rand.New(rand.NewPCG(uint64(seed), 1))
		wire := fakeprovider.Response(200, "text/event-stream", fakeprovider.Chunked, recordings.Chunks(rng, c.Response)...)
		for _, piece := range recordings.Chunks(rng, wire) {
			e.Raw(piece)
		}
		e.KeepAlive()
	})
	id := fmt.Sprintf("%s.%s.%d", c.Provider, c.Name[:min(len(c.Name), 80)], seed)
	p := r.dial().askOn(recordedPath(c), request, "X-Request-Id: "+id)
	return p, r.record(id)
}

// inTurn runs a test for every recorded stream, one after the other on one sluice,
// with a seed of its own.
func inTurn(t *testing.T, change func(*config.Config), run func(t *testing.T, r *rig, c fakeprovider.Capture, seed int64)) {
	t.Helper()
	t.Parallel()
	all := streams(t)
	r := newRig(t, change)
	for i, c := range all {
		t.Run(c.Provider+"/"+c.Name, func(t *testing.T) { run(t, r, c, int64(i)) })
	}
}

// What a client that asks for usage itself gets is what the provider sent, byte for
// byte, wherever the network cuts it; the record says what the recording says.
// rows B24 to B28
func TestRecordedStreamsPassByteForByte(t *testing.T) {
	inTurn(t, mayBillPartial, func(t *testing.T, r *rig, c fakeprovider.Capture, seed int64) {
		want := readRecording(t, c)
		p, rec := r.replay(t, c, seed, requestFor(c, "m", true))
		requireSame(t, want.text(), p.body)
		want.requireEnding(t, p, rec)
		want.requireAccounts(t, rec)
		require.EqualValues(t, len(p.body), rec.BytesDelivered)
	})
}

// With usage that only sluice asked for, a client gets the recording without exactly
// what the asking caused: chunks of nothing but usage, and usage that is null.
// row B30
func TestRecordedStreamsLoseOnlyWhatSluiceAskedFor(t *testing.T) {
	inTurn(t, mayBillPartial, func(t *testing.T, r *rig, c fakeprovider.Capture, seed int64) {
		want := readRecording(t, c)
		p, rec := r.replay(t, c, seed, requestFor(c, "m", false))
		if c.Meta.API != "openai-responses" {
			want.blocks = withoutAskedUsage(t, want.blocks)
		}
		requireSame(t, want.text(), p.body)
		want.requireEnding(t, p, rec)
		want.requireAccounts(t, rec)
	})
}

// A client that knows a model by a public name sees that name in every event, and
// nothing else changes.
func TestRecordedStreamsShowThePublicName(t *testing.T) {
	models := func(c *config.Config) {
		c.Models = []config.Model{{Name: "public", Targets: []config.Target{{Provider: "fake", Model: "theirs", Weight: 1}}}}
	}
	inTurn(t, models, func(t *testing.T, r *rig, c fakeprovider.Capture, seed int64) {
		if len(c.Response) > 60_000 {
			t.Skip("long recordings have nothing here that the others do not have")
		}
		want := readRecording(t, c)
		p, rec := r.replay(t, c, seed, requestFor(c, "public", true))
		want.blocks = withModel(t, c, want.blocks, "public")
		requireSame(t, want.text(), p.body)
		want.requireEnding(t, p, rec)
		want.requireAccounts(t, rec)
	})
}

// requireSame is require.Equal with a readable message for long streams.
func requireSame(t testing.TB, want string, got []byte) {
	t.Helper()
	if want == string(got) {
		return
	}
	at := 0
	for at < min(len(want), len(got)) && want[at] == got[at] {
		at++
	}
	from := max(0, at-100)
	require.Failf(t, "the streams differ", "at byte %d of %d and %d: want …%q, got …%q", at, len(want), len(got),
		want[from:min(len(want), at+300)], got[from:min(len(got), at+300)])
}

// withoutAskedUsage drops what include_usage alone brings about.
func withoutAskedUsage(t testing.TB, blocks []string) []string {
	var out []string
	for _, b := range blocks {
		var chunk struct {
			Choices *[]any
			Usage   json.RawMessage
		}
		data := recordings.Data(b)
		if json.Unmarshal([]byte(data), &chunk) != nil {
			out = append(out, b)
			continue
		}
		switch {
		case string(chunk.Usage) == "null":
			out = append(out, edited(t, b, nullUsage, "", func(v map[string]any) { delete(v, "usage") }))
		case len(chunk.Usage) > 0 && chunk.Choices != nil && len(*chunk.Choices) == 0 && !strings.Contains(data, `"error"`):
		default:
			out = append(out, b)
		}
	}
	return out
}

// withModel puts another model name in the place of the provider's.
func withModel(t testing.TB, c fakeprovider.Capture, blocks []string, name string) []string {
	var out []string
	for _, b := range blocks {
		v := map[string]any{}
		if json.Unmarshal([]byte(recordings.Data(b)), &v) != nil || v["error"] != nil && v["error"] != "" || strings.HasPrefix(b, "event: error") {
			out = append(out, b)
			continue
		}
		inside := func(v map[string]any) map[string]any {
			if c.Meta.API == "openai-responses" {
				v, _ = v["response"].(map[string]any)
			}
			return v
		}
		if model, ok := inside(v)["model"].(string); !ok || model == "" || v["type"] == "response.failed" {
			out = append(out, b)
			continue
		}
		out = append(out, edited(t, b, modelName, "${1}"+`"`+name+`"`, func(v map[string]any) { inside(v)["model"] = name }))
	}
	return out
}

var (
	nullUsage = regexp.MustCompile(`(,\s*"usage"\s*:\s*null)|("usage"\s*:\s*null\s*,)`)
	modelName = regexp.MustCompile(`("model"\s*:\s*)"[^"]*"`)
)

// edited makes the one textual change to a block that changes its JSON value in the
// wanted way and no other.
func edited(t testing.TB, block string, re *regexp.Regexp, replacement string, change func(map[string]any)) string {
	t.Helper()
	value := func(b string) map[string]any {
		d := json.NewDecoder(strings.NewReader(recordings.Data(b)))
		d.UseNumber()
		v := map[string]any{}
		require.NoError(t, d.Decode(&v), "%s", b)
		return v
	}
	want := value(block)
	change(want)
	for _, at := range re.FindAllStringIndex(block, -1) {
		try := block[:at[0]] + re.ReplaceAllString(block[at[0]:at[1]], replacement) + block[at[1]:]
		if json.Valid([]byte(recordings.Data(try))) && fmt.Sprint(want) == fmt.Sprint(value(try)) {
			return try
		}
	}
	require.Failf(t, "no such change", "%s", block)
	return ""
}

// Recorded error answers reach the client with their status, the headers that concern
// it and the provider's words.
// row B15
func TestRecordedErrorsArePassedOn(t *testing.T) {
	t.Parallel()
	seen := 0
	for _, c := range fakeprovider.Captures(t, captures, "openai-chat", "openai-completions", "openai-responses") {
		if c.Meta.Status < 400 {
			continue
		}
		seen++
		t.Run(c.Provider+"/"+c.Name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, mayBillPartial)
			r.up.Handle(func(e *fakeprovider.Exchange) {
				var fields []string
				for name, value := range c.Meta.Headers {
					fields = append(fields, name+": "+value)
				}
				e.Head(c.Meta.Status, append(fields, fmt.Sprint("Content-Length: ", len(c.Response)))...)
				e.Body(c.Response)
			})
			p := r.dial().askOn(recordedPath(c), requestFor(c, "m", true), "X-Request-Id: a")
			require.NoError(t, p.err)
			require.Equal(t, c.Meta.Status, p.status)
			for name, value := range c.Meta.Headers {
				if strings.HasPrefix(name, "x-ratelimit-") || strings.HasPrefix(name, "retry-after") {
					require.Equal(t, value, p.header.Get(name))
				}
			}
			requireProvidersWords(t, c.Response, p.body)
			rec := r.record("a")
			require.Equal(t, accounting.OutcomeUpstreamError, rec.Outcome)
			require.Equal(t, c.Meta.Status, rec.StatusUpstream)
			requireUsage(t, rec, accounting.SourceNone, accounting.MayBillNone)
		})
	}
	require.Positive(t, seen)
}

// requireProvidersWords asserts an error body of OpenAI's shape that is the provider's
// own, or has its message in it.
func requireProvidersWords(t testing.TB, sent, got []byte) {
	t.Helper()
	type shape struct{ Error struct{ Message string } }
	var theirs, ours shape
	require.NoError(t, json.Unmarshal(got, &ours), "%s", got)
	require.NotEmpty(t, ours.Error.Message)
	if json.Unmarshal(sent, &theirs) == nil && theirs.Error.Message != "" {
		require.Equal(t, string(sent), string(got))
		return
	}
	var words map[string]any
	require.NoError(t, json.Unmarshal(sent, &words))
	var texts []string
	for _, name := range []string{"message", "detail", "error"} {
		if s, ok := words[name].(string); ok {
			texts = append(texts, s)
		}
	}
	if len(texts) > 0 {
		require.Contains(t, texts, ours.Error.Message, "%s", sent)
	} else {
		require.True(t, bytes.Contains(sent, []byte(ours.Error.Message)), "%s became %s", sent, got)
	}
}
