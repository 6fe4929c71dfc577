package proxy

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/accounting/tokens"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// chunkWith is a chunk of one choice with further members behind it.
func chunkWith(content, finish, members string) string {
	if finish != "null" {
		finish = `"` + finish + `"`
	}
	delta := `{}`
	if content != "" {
		delta = `{"role":"assistant","content":"` + content + `"}`
	}
	return `{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":` + delta + `,"finish_reason":` + finish + `}]` + members + `}`
}

// usageOnly is a chunk of nothing but usage.
func usageOnly(usage string) string {
	return `{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[],"usage":` + usage + `}`
}

// Usage counts where it stands, and the last valid number wins; what cannot be true is
// ignored and flagged; what nobody says is not zero.
// row B30
func TestUsageWhereverItStands(t *testing.T) {
	t.Parallel()
	const u1, u2 = `{"prompt_tokens":10,"completion_tokens":4,"total_tokens":14}`, `{"prompt_tokens":11,"completion_tokens":9,"total_tokens":20}`
	text, end := chunkWith("hi", "null", ""), chunkWith("", "stop", "")
	for _, c := range []struct {
		name     string
		events   []string
		source   accounting.Source
		input    tokens.Count
		output   tokens.Count
		degraded bool
	}{
		{"none", []string{text, end}, accounting.SourceEstimated, tokens.Count{}, tokens.Count{}, false},
		{"null", []string{text, chunkWith("", "stop", `,"usage":null`)}, accounting.SourceEstimated, tokens.Count{}, tokens.Count{}, false},
		{"a chunk of its own", []string{text, end, usageOnly(u1)}, accounting.SourceReported, tokens.Known(10), tokens.Known(4), false},
		{"beside the finish", []string{text, chunkWith("", "stop", `,"usage":`+u1)}, accounting.SourceReported, tokens.Known(10), tokens.Known(4), false},
		{"behind the finish, with a choice", []string{text, end, chunkWith("", "null", `,"usage":`+u1)}, accounting.SourceReported, tokens.Known(10), tokens.Known(4), false},
		{"in every chunk", []string{chunkWith("hi", "null", `,"usage":`+u1), chunkWith("", "stop", `,"usage":`+u2)}, accounting.SourceReported, tokens.Known(11), tokens.Known(9), false},
		{"twice", []string{text, end, usageOnly(u1), usageOnly(u2)}, accounting.SourceReported, tokens.Known(11), tokens.Known(9), false},
		{"then null", []string{text, chunkWith("", "stop", `,"usage":`+u1), chunkWith("", "null", `,"usage":null`)}, accounting.SourceReported, tokens.Known(10), tokens.Known(4), false},
		{"x_groq", []string{text, chunkWith("", "stop", `,"x_groq":{"id":"r","usage":`+u1+`}`)}, accounting.SourceReported, tokens.Known(10), tokens.Known(4), false},
		{"zero", []string{text, end, usageOnly(`{"prompt_tokens":0,"completion_tokens":0}`)}, accounting.SourceReported, tokens.Known(0), tokens.Known(0), false},
		{"only input", []string{text, end, usageOnly(`{"prompt_tokens":10}`)}, accounting.SourceReported, tokens.Known(10), tokens.Count{}, false},
		{"null inside", []string{text, end, usageOnly(`{"prompt_tokens":10,"completion_tokens":null}`)}, accounting.SourceReported, tokens.Known(10), tokens.Count{}, false},
		{"negative", []string{text, end, usageOnly(`{"prompt_tokens":-10,"completion_tokens":4}`)}, accounting.SourceReported, tokens.Count{}, tokens.Known(4), true},
		{"overflow", []string{text, end, usageOnly(`{"prompt_tokens":10,"completion_tokens":99999999999999999999}`)}, accounting.SourceReported, tokens.Known(10), tokens.Count{}, true},
		{"absurd", []string{text, end, usageOnly(`{"prompt_tokens":10,"completion_tokens":1e300}`)}, accounting.SourceReported, tokens.Known(10), tokens.Count{}, true},
		{"a fraction", []string{text, end, usageOnly(`{"prompt_tokens":10,"completion_tokens":4.5}`)}, accounting.SourceReported, tokens.Known(10), tokens.Count{}, true},
		{"text", []string{text, end, usageOnly(`{"prompt_tokens":10,"completion_tokens":"4"}`)}, accounting.SourceReported, tokens.Known(10), tokens.Count{}, true},
		{"valid, then not", []string{text, end, usageOnly(u1), usageOnly(`{"prompt_tokens":-1,"completion_tokens":-1}`)}, accounting.SourceReported, tokens.Known(10), tokens.Known(4), true},
		{"an array", []string{text, end, usageOnly(`[1,2]`)}, accounting.SourceEstimated, tokens.Count{}, tokens.Count{}, false},
		{"empty", []string{text, end, usageOnly(`{}`)}, accounting.SourceEstimated, tokens.Count{}, tokens.Count{}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			events := append(c.events, "[DONE]")
			r.play(events)
			p, rec := r.askAs("a", streamBody)
			p.requireWhole(t)
			if !mended[c.name] {
				require.Equal(t, chatText(events), string(p.body))
			}
			requireStrict(t, p, true)
			require.Equal(t, c.source, rec.UsageSource)
			require.Equal(t, c.degraded, rec.AccountingDegraded)
			if c.source == accounting.SourceReported {
				require.Equal(t, c.input, rec.Usage.Input)
				require.Equal(t, c.output, rec.Usage.Output)
			} else {
				require.Positive(t, rec.Usage.Input.N)
				require.Positive(t, rec.Usage.Output.N)
			}

			p = r.ask(withoutUsage)
			p.requireWhole(t)
			if !mended[c.name] || c.name == "beside the finish" {
				require.Equal(t, chatText(withoutAsking(t, events)), string(p.body))
			}
			requireStrict(t, p, false)
		})
	}
}

// mended are the streams whose usage strict clients would not find, or count twice.
var mended = map[string]bool{
	"beside the finish": true, "behind the finish, with a choice": true, "in every chunk": true, "twice": true,
	"then null": true, "x_groq": true, "valid, then not": true, "an array": true, "empty": true,
}

// requireStrict asserts a stream with at most one usage object, in a chunk of its own if
// the client asked for it, and beside the end if the provider volunteered it.
func requireStrict(t testing.TB, p reply, asked bool) {
	t.Helper()
	found := 0
	for _, c := range chunksOf(t, p.data()[:len(p.data())-1]) {
		if len(c.Usage) == 0 || string(c.Usage) == "null" {
			continue
		}
		found++
		if asked {
			require.Empty(t, c.Choices)
		} else {
			require.NotNil(t, c.Choices[0].FinishReason)
		}
	}
	require.LessOrEqual(t, found, 1)
}

// withoutAsking is what a client sees of events that came because sluice asked.
func withoutAsking(t testing.TB, events []string) (out []string) {
	for _, e := range events {
		var chunk struct {
			Choices []any
			Usage   any
		}
		if e != "[DONE]" {
			require.NoError(t, json.Unmarshal([]byte(e), &chunk))
		}
		if _, object := chunk.Usage.(map[string]any); object && chunk.Choices != nil && len(chunk.Choices) == 0 {
			continue
		}
		out = append(out, strings.Replace(e, `,"usage":null`, "", 1))
	}
	return out
}

// The usage object of the provider is kept as it stands, unknown members included.
// row B30
func TestRawUsageIsKept(t *testing.T) {
	t.Parallel()
	const usage = `{ "prompt_tokens":10, "completion_tokens":4,"cost":0.000125, "vendor":{"x":[1,2.50]} }`
	r := newRig(t)
	r.play([]string{chunkWith("hi", "stop", ""), usageOnly(usage), "[DONE]"})
	_, rec := r.askAs("a", streamBody)
	require.Equal(t, usage, string(rec.RawUsage))
}

// sluice asks for usage itself where it may, and hides only what its own asking
// brought about, and chunks of nothing but usage; a provider that must not be asked is not.
// row B30
func TestUsageIsAskedForAndHiddenAsConfigured(t *testing.T) {
	t.Parallel()
	running := fakeprovider.ChatOptions{RunningUsage: true, IncludeUsage: true}
	no := false
	for _, c := range []struct {
		name, options    string
		change           func(*config.Config)
		sent, got        fakeprovider.ChatOptions
		include, stats   bool
		optionsUntouched bool
	}{
		{"asks and hides", ``, nil, fakeprovider.ChatOptions{IncludeUsage: true}, fakeprovider.ChatOptions{}, true, false, false},
		{"overrides no", `,"stream_options":{"include_usage":false}`, nil, fakeprovider.ChatOptions{IncludeUsage: true}, fakeprovider.ChatOptions{}, true, false, false},
		{"client asked", `,"stream_options":{"include_usage":true}`, nil, fakeprovider.ChatOptions{IncludeUsage: true}, fakeprovider.ChatOptions{IncludeUsage: true}, true, false, true},
		{
			"must not ask", ``, func(c *config.Config) { c.Providers[0].IncludeUsage = &no },
			fakeprovider.ChatOptions{IncludeUsage: true},
			fakeprovider.ChatOptions{},
			false, false, true,
		},
		{
			"running usage", `,"stream_options":{"include_usage":true}`, func(c *config.Config) { c.Providers[0].ContinuousUsage = yes },
			running,
			fakeprovider.ChatOptions{IncludeUsage: true},
			true, true, false,
		},
		{
			"running usage and hides all", ``, func(c *config.Config) { c.Providers[0].ContinuousUsage = yes },
			running,
			fakeprovider.ChatOptions{},
			true, true, false,
		},
		{
			"running usage the client wants", `,"stream_options":{"include_usage":true,"continuous_usage_stats":true}`, func(c *config.Config) { c.Providers[0].ContinuousUsage = yes },
			running, running, true, true, true,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			changes := []func(*config.Config){}
			if c.change != nil {
				changes = append(changes, c.change)
			}
			r := newRig(t, changes...)
			r.play(fakeprovider.ChatStream(c.sent))
			request := `{"model":"m","stream":true` + c.options + `,"messages":[]}`
			p, rec := r.askAs("a", request)
			p.requireWhole(t)
			got := strings.ReplaceAll(string(p.body), `,"usage":null`, "")
			want := strings.ReplaceAll(chatText(fakeprovider.ChatStream(c.got)), `,"usage":null`, "")
			require.Equal(t, want, got)
			asked := r.up.WaitExchange(1).Asked().StreamOptions
			require.Equal(t, c.include, asked.IncludeUsage)
			require.Equal(t, c.stats, asked.ContinuousUsageStats)
			if c.optionsUntouched {
				require.Equal(t, request, string(r.up.WaitExchange(1).Request.Body))
			}
			require.Equal(t, accounting.SourceReported, rec.UsageSource)
			require.Equal(t, tokens.Known(4), rec.Usage.Output)
		})
	}
}

// yes and no are settings that are turned on and off.
var yes, no = func() (*bool, *bool) { on, off := true, false; return &on, &off }()
