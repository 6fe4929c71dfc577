package accounting_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/accounting/tokens"
	"github.com/sluicehq/sluice/internal/fakeprovider"
	"github.com/sluicehq/sluice/modeldata"
	"github.com/sluicehq/sluice/sse"
	"github.com/sluicehq/sluice/translate"
	"github.com/sluicehq/sluice/translate/anthropic"
	"github.com/sluicehq/sluice/translate/bedrock"
	"github.com/sluicehq/sluice/translate/cohere"
	"github.com/sluicehq/sluice/translate/framing"
	"github.com/sluicehq/sluice/translate/gemini"
	"github.com/sluicehq/sluice/translate/ollama"
)

// sample is a recorded exchange with what its provider counted and what an estimate has
// to go by.
type sample struct {
	name, model string
	api         string
	endpoint    string
	request     []byte // as a client would have sent it, nil where it was not recorded
	text        accounting.OutputText
	events      int64
	reported    tokens.Usage
	bounds      accounting.Bounds
	unshown     bool // the provider counted what it did not send
	kinds       map[string]bool
}

// dialectsOf are the formats that reach the meter through a translation.
var dialectsOf = map[string]translate.Dialect{
	"anthropic-messages":    anthropic.Dialect{},
	"bedrock-invoke":        anthropic.Dialect{},
	"bedrock-converse":      bedrock.Dialect{},
	"bedrock-converse-json": bedrock.Dialect{},
	"gemini-generate":       gemini.Dialect{},
	"cohere-v2":             cohere.Dialect{},
	"ollama-chat":           ollama.Dialect{},
}

// samples reads the recordings of every format that sluice speaks upstream, as the proxy
// would: those of other dialects are translated to chunks, and the meter reads the chunks.
func samples(tb testing.TB) []sample {
	tb.Helper()
	var all []sample
	for _, c := range fakeprovider.Captures(tb, "../../shared/captures") {
		if c.Meta.Status >= 400 {
			continue
		}
		var m accounting.Meter
		if !readCapture(&m, c) {
			continue
		}
		s := sample{name: c.Provider + "/" + c.Name, model: servedModel(c, &m), api: c.Meta.API, text: m.Text(), events: m.Stats().Events, unshown: showsLess(c.Meta)}
		s.reported, _ = m.Usage()
		if c.Request != nil {
			s.request, s.endpoint, s.kinds = asClientRequest(tb, c)
		}
		known := modeldata.Builtin().Find("", s.model)
		s.bounds = accounting.Bounds{MaxOutput: known.MaxOutput, Context: known.Context}
		all = append(all, s)
	}
	return all
}

// servedModel is the model that answered, by its own word if that tells anything, for a
// router may have chosen another than was asked for, and by the recording's if not.
func servedModel(c fakeprovider.Capture, m *accounting.Meter) string {
	_, _, answered := m.Head()
	return accounting.BestModelName(answered, c.Meta.Model)
}

// showsLess reports whether a provider counts output that it does not send: what tools of
// its own wrote and read, pictures, encrypted thoughts, compacted histories.
func showsLess(m fakeprovider.CaptureMeta) bool {
	return slices.ContainsFunc(m.Features, func(feature string) bool {
		switch feature {
		case "server_tool", "server_tool_usage", "image_out", "redacted_thinking", "citations", "guardrail_trace", "safety_block",
			"tool_use_prompt_tokens", "prompt_block", "error_mid_stream":
			return true
		}
		return strings.HasPrefix(feature, "block:") || strings.HasPrefix(feature, "item:") || strings.HasPrefix(feature, "server_tool:")
	})
}

// readCapture feeds a recorded answer to a meter.
func readCapture(m *accounting.Meter, c fakeprovider.Capture) bool {
	if shape, ok := shapeOf(c.Meta.API); ok {
		m.Reset(shape)
		for _, data := range payloads(c.Response) {
			m.Observe(nil, data)
		}
		return true
	}
	d := dialectsOf[c.Meta.API]
	if d == nil {
		return false
	}
	if c.Meta.API == "bedrock-invoke" && !strings.Contains(c.Meta.Model, "anthropic") {
		return false // some other model's own format
	}
	m.Reset(accounting.ShapeChat)
	f := map[string]translate.Framing{
		"eventstream": translate.FramingAWS, "ndjson": translate.FramingLines, "json-array": translate.FramingArray,
	}[c.Meta.Container]
	if f == translate.FramingNone {
		f = translate.FramingSSE
	}
	translated(m, d, f, c.Response, c.Meta.API == "bedrock-invoke")
	return true
}

// translated decodes a stream and shows the meter the chunks that the client would get.
func translated(m *accounting.Meter, d translate.Dialect, f translate.Framing, body []byte, enveloped bool) {
	context := translate.Context{Stream: true}
	if enveloped {
		context.Platform.Platform = translate.PlatformBedrock
	}
	w := translate.NewChunkWriter(translate.Head{ID: "id", Created: 1}, translate.WriterOptions{Extensions: true})
	decoder := d.Decoder(&context)
	show := func() {
		for data := range w.Events(w.Take(), 0) {
			m.Observe(nil, data)
		}
		usage, raw, _ := w.Counted()
		m.StateUsage(usage, raw, true)
	}
	split := framing.New(f, 32<<20)
	var ev sse.Event
	event := func() bool {
		w.Lend(nil)
		p := translate.More
		if ev.Data != nil {
			p = decoder.Event(w, ev.Name, ev.Data)
		}
		show()
		return p == translate.More
	}
	split.Feed(body)
	for split.Next(&ev) {
		if !event() {
			return
		}
	}
	for split.Flush(&ev) {
		if !event() {
			return
		}
	}
	w.Lend(nil)
	decoder.End(w)
	show()
}

// asClientRequest turns a recorded request into the one that an OpenAI client sends for
// the same, and tells what is in it besides texts.
func asClientRequest(tb testing.TB, c fakeprovider.Capture) (body []byte, endpoint string, kinds map[string]bool) {
	tb.Helper()
	endpoint = "chat/completions"
	switch c.Meta.API {
	case "openai-responses":
		endpoint = "responses"
	case "openai-completions":
		endpoint = "completions"
	}
	body = c.Request
	if convert := nativeRequests[c.Meta.API]; convert != nil {
		body = convert(gjson.ParseBytes(c.Request))
	}
	require.True(tb, gjson.ValidBytes(body), c.Name)
	return body, endpoint, promptKinds(c.Request, body)
}

// promptKinds tells what a prompt holds that is not text of its messages.
func promptKinds(native, body []byte) map[string]bool {
	kinds := map[string]bool{}
	root := gjson.ParseBytes(body)
	if len(root.Get("tools").Array()) > 0 || len(root.Get("functions").Array()) > 0 {
		kinds["tools"] = true
	}
	if root.Get("response_format.json_schema").Exists() || root.Get("text.format.schema").Exists() {
		kinds["schema"] = true
	}
	for _, tool := range root.Get("tools").Array() {
		if kind := tool.Get("type").String(); kind != "" && kind != "function" && kind != "custom" || tool.Get("defer_loading").Bool() {
			kinds["stored"] = true // a tool that the provider runs or keeps
		}
	}
	for _, tool := range gjson.GetBytes(native, "tools").Array() {
		if tool.Get("type").Exists() && !tool.Get("input_schema").Exists() && tool.Get("type").String() != "function" || tool.Get("defer_loading").Bool() {
			kinds["stored"] = true
		}
	}
	for name, marks := range map[string][]string{
		"image": {`"image_url"`, `"input_image"`, `"inlineData"`, `"inline_data"`, `"image"`},
		"file":  {`"input_file"`, `"file"`, `"fileData"`, `"file_data"`, `"document"`, `"input_audio"`, `"application/pdf"`},
		"stored": {
			`"previous_response_id"`, `"container"`, `"mcp_servers"`, `"encrypted_content"`, `"signature"`, `"thoughtSignature"`,
			`"web_search`, `"googleSearch"`, `"google_search"`, `"urlContext"`, `"plugins"`, `"item_reference"`, `"fileSearch"`,
			`"codeExecution"`, `"search_parameters"`, `"web_search_options"`, `"compaction"`,
		},
	} {
		for _, mark := range marks {
			if bytes.Contains(native, []byte(mark)) {
				kinds[name] = true
			}
		}
	}
	return kinds
}
