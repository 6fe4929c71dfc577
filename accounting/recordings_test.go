package accounting

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"
)

const capturesDir = "../../shared/captures"

// recordedExchange is what a recording tells about one stream: its request and
// what its provider counted.
type recordedExchange struct {
	name, model, api string
	request          []byte
	text             OutputText
	input, output    int64
	reasoning        int64
}

func recordedExchanges(t *testing.T, provider string) []recordedExchange {
	t.Helper()
	metas, err := filepath.Glob(filepath.Join(capturesDir, provider, "*", "meta.json"))
	require.NoError(t, err)
	if len(metas) == 0 {
		t.Skip("no recordings at " + capturesDir)
	}
	var out []recordedExchange
	for _, meta := range metas {
		dir := filepath.Dir(meta)
		about, err := os.ReadFile(meta)
		require.NoError(t, err)
		request, err := os.ReadFile(filepath.Join(dir, "request.json"))
		if err != nil {
			continue
		}
		stream, err := os.ReadFile(filepath.Join(dir, "response.sse"))
		if err != nil {
			continue
		}
		r := recordedExchange{
			name: filepath.Base(dir), request: request,
			model: gjson.GetBytes(about, "model").String(), api: gjson.GetBytes(about, "api").String(),
		}
		r.read(stream)
		if r.input > 0 {
			out = append(out, r)
		}
	}
	return out
}

// read goes through a chat or completions stream line by line.
func (r *recordedExchange) read(stream []byte) {
	inside := func(value gjson.Result) []byte {
		return []byte(strings.TrimSuffix(strings.TrimPrefix(value.Raw, `"`), `"`))
	}
	for line := range bytes.Lines(stream) {
		data, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte("data:"))
		if !ok {
			continue
		}
		chunk := gjson.ParseBytes(data)
		for _, choice := range chunk.Get("choices").Array() {
			for _, path := range []string{"delta.content", "text"} {
				if text := choice.Get(path); text.Type == gjson.String {
					r.text.Content = append(r.text.Content, inside(text)...)
				}
			}
		}
		if usage := chunk.Get("usage"); usage.IsObject() {
			r.input, r.output = usage.Get("prompt_tokens").Int(), usage.Get("completion_tokens").Int()
			r.reasoning = usage.Get("completion_tokens_details.reasoning_tokens").Int()
		}
	}
	r.text.TotalBytes = int64(len(r.text.Content))
}

// plain reports whether nothing but texts and images decide the numbers.
func (r *recordedExchange) plain() bool {
	body := gjson.ParseBytes(r.request)
	for _, name := range []string{"tools", "functions", "response_format", "web_search_options"} {
		if body.Get(name).Exists() {
			return false
		}
	}
	return r.api == "openai-chat"
}

func TestPromptEstimateAgreesWithRecordedPlainChats(t *testing.T) {
	var e Estimator
	near, compared := 0, 0
	for _, r := range recordedExchanges(t, "openai") {
		if !r.plain() {
			continue
		}
		compared++
		estimate := e.Prompt(r.model, "chat/completions", r.request)
		t.Logf("%s: %s reported %d, estimated %d", r.name, r.model, r.input, estimate)
		if diff := estimate - r.input; diff >= -1 && diff <= 1 {
			near++
		}
	}
	require.Positive(t, compared)
	require.GreaterOrEqual(t, near*10, compared*8, "%d of %d within one token", near, compared)
}

func TestOutputEstimateAgreesWithRecordedPlainChats(t *testing.T) {
	var e Estimator
	near, compared := 0, 0
	for _, r := range recordedExchanges(t, "*") {
		visible := r.output - r.reasoning
		if !r.plain() || visible < 20 || len(r.text.Content) == 0 {
			continue
		}
		compared++
		estimate := e.Output(r.model, r.text)
		t.Logf("%s: %s reported %d, estimated %d", r.name, r.model, visible, estimate)
		if diff := float64(estimate-visible) / float64(visible); diff > -0.25 && diff < 0.25 {
			near++
		}
	}
	require.Positive(t, compared)
	require.GreaterOrEqual(t, near*10, compared*6, "%d of %d within a quarter", near, compared)
}
