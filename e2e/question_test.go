//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// question is what a provider finds in a request of its dialect.
type question struct {
	scenario string // the word in brackets that the prompt begins with
	model    string
	stream   bool
	tools    map[string]tree // parameters by name
	forced   string          // the tool that has to be called
	schema   tree            // the form of the answer
	calls    []string        // ids of earlier calls, their names where calls have no ids
	results  map[string]string
	// signatures are those of earlier thoughts.
	signatures []string
}

var scenarioInPrompt = regexp.MustCompile(`\[(\w+)\] ` + regexp.QuoteMeta(prompt))

// reader reads one dialect.
type reader struct {
	// credential is the header field with the provider's key in it.
	credential, scheme string
	// path is what the operation's path must be; the first group is the model.
	path *regexp.Regexp
	read func(body tree, q *question) error
}

var readers = map[string]reader{
	"openai":               {"Authorization", "Bearer ", regexp.MustCompile(`^/v1/chat/completions()$`), readChat},
	"anthropic":            {"X-Api-Key", "", regexp.MustCompile(`^/v1/messages()$`), readMessages},
	"anthropic_on_bedrock": {"Authorization", "Bearer ", regexp.MustCompile(`^/model/([^/]+)/invoke(-with-response-stream)?$`), readInvocation},
	"gemini":               {"X-Goog-Api-Key", "", regexp.MustCompile(`^/v1beta/models/([^/:]+):(generateContent|streamGenerateContent\?alt=sse)$`), readContents},
	"cohere":               {"Authorization", "Bearer ", regexp.MustCompile(`^/v2/chat()$`), readCohere},
	"ollama":               {"Authorization", "Bearer ", regexp.MustCompile(`^/api/chat()$`), readOllama},
	"bedrock":              {"Authorization", "Bearer ", regexp.MustCompile(`^/model/([^/]+)/converse(-stream)?$`), readConverse},
	"gemini_on_vertex":     {"X-Goog-Api-Key", "", regexp.MustCompile(`^` + vertexPath + `google/models/([^/:]+):(generateContent|streamGenerateContent\?alt=sse)$`), readContents},
	"anthropic_on_vertex":  {"X-Goog-Api-Key", "", regexp.MustCompile(`^` + vertexPath + `anthropic/models/([^/:]+):(rawPredict|streamRawPredict)$`), readMessagesOnVertex},
}

const vertexPath = "/v1/projects/weather/locations/europe-west1/publishers/"

// readQuestion reads a request to a provider, and complains of what its dialect does not
// have.
func readQuestion(provider string, r *fakeprovider.Request) (question, error) {
	q, body, err := readEnvelope(provider, r)
	if err != nil {
		return q, err
	}
	return q, readers[provider].read(body, &q)
}

// readEnvelope reads what a request says outside of the conversation.
func readEnvelope(provider string, r *fakeprovider.Request) (question, tree, error) {
	q := question{tools: map[string]tree{}, results: map[string]string{}}
	speaks := readers[provider]
	if r.Method != "POST" || r.Get("Content-Type") != "application/json" {
		return q, tree{}, fmt.Errorf("%s with content type %q", r.Method, r.Get("Content-Type"))
	}
	if r.Get(speaks.credential) != speaks.scheme+upstreamKey {
		return q, tree{}, errors.New("the key is not where it belongs")
	}
	path := speaks.path.FindStringSubmatch(r.Target)
	if path == nil {
		return q, tree{}, fmt.Errorf("the path is %s", r.Target)
	}
	body, err := parseTree(r.Body)
	if err != nil {
		return q, tree{}, err
	}
	if found := scenarioInPrompt.FindSubmatch(r.Body); found != nil {
		q.scenario = string(found[1])
	}
	q.model, q.stream = body.at("model").text(), body.at("stream").isTrue()
	if path[1] == "" {
		return q, body, nil
	}
	if body.at("model").exists() {
		return q, tree{}, errors.New("the model belongs in the path")
	}
	q.stream = strings.Contains(path[2], "stream")
	q.model, err = url.PathUnescape(path[1])
	return q, body, err
}

// inTurn checks that users and the model speak in turn, the user first.
func inTurn(messages []tree, model string) error {
	for i, m := range messages {
		if want := [2]string{"user", model}[i%2]; m.at("role").text() != want {
			return fmt.Errorf("message %d is of the role %q", i, m.at("role").text())
		}
	}
	if len(messages)%2 == 0 {
		return errors.New("the last message is not the user's")
	}
	return nil
}

// answered checks that each call has a result and each result a call.
func (q *question) answered() error {
	if len(q.results) != len(q.calls) {
		return fmt.Errorf("%d calls and %d results", len(q.calls), len(q.results))
	}
	for _, id := range q.calls {
		if _, ok := q.results[id]; !ok {
			return fmt.Errorf("no result for the call %s", id)
		}
	}
	return nil
}

func readChat(body tree, q *question) error {
	for _, m := range body.at("messages").elements() {
		for _, c := range m.at("tool_calls").elements() {
			q.calls = append(q.calls, c.at("id").text())
		}
		if m.at("role").text() == "tool" {
			q.results[m.at("tool_call_id").text()] = m.at("content").wording()
		}
	}
	for _, t := range body.at("tools").elements() {
		q.tools[t.at("function", "name").text()] = t.at("function", "parameters")
	}
	q.schema = body.at("response_format", "json_schema", "schema")
	return q.answered()
}

func readMessages(body tree, q *question) error {
	messages := body.at("messages").elements()
	if body.at("max_tokens").number() < 1 {
		return errors.New("max_tokens is missing")
	}
	if err := inTurn(messages, "assistant"); err != nil {
		return err
	}
	for _, m := range messages {
		for i, block := range m.at("content").elements() {
			switch block.at("type").text() {
			case "thinking":
				if i != 0 {
					return errors.New("thoughts do not come first")
				}
				q.signatures = append(q.signatures, block.at("signature").text())
			case "tool_use":
				q.calls = append(q.calls, block.at("id").text())
			case "tool_result":
				q.results[block.at("tool_use_id").text()] = block.at("content").wording()
			}
		}
	}
	for _, t := range body.at("tools").elements() {
		q.tools[t.at("name").text()] = t.at("input_schema")
	}
	q.schema = body.at("output_config", "format", "schema")
	if body.at("tool_choice", "type").text() == "tool" {
		q.forced = body.at("tool_choice", "name").text()
	}
	return q.answered()
}

func readMessagesOnVertex(body tree, q *question) error {
	if body.at("anthropic_version").text() != "vertex-2023-10-16" {
		return errors.New("anthropic_version is missing")
	}
	return readMessages(body, q)
}

func readInvocation(body tree, q *question) error {
	if body.at("stream").exists() {
		return errors.New("stream belongs in the path")
	}
	if body.at("anthropic_version").text() != "bedrock-2023-05-31" {
		return errors.New("anthropic_version is missing")
	}
	return readMessages(body, q)
}

func readContents(body tree, q *question) error {
	contents := body.at("contents").elements()
	if err := inTurn(contents, "model"); err != nil {
		return err
	}
	for _, content := range contents {
		for _, part := range content.at("parts").elements() {
			if s := part.at("thoughtSignature"); s.exists() {
				q.signatures = append(q.signatures, s.text())
			}
			// Calls have no ids: results belong to them in their order.
			if name := part.at("functionCall", "name"); name.exists() {
				q.calls = append(q.calls, fmt.Sprintf("%s %d", name.text(), len(q.calls)))
			}
			if name := part.at("functionResponse", "name"); name.exists() {
				q.results[fmt.Sprintf("%s %d", name.text(), len(q.results))] = part.at("functionResponse", "response").wording()
			}
		}
	}
	for _, t := range body.at("tools", 0, "functionDeclarations").elements() {
		q.tools[t.at("name").text()] = t.at("parametersJsonSchema")
	}
	q.schema = body.at("generationConfig", "responseJsonSchema")
	if q.schema.exists() && body.at("generationConfig", "responseMimeType").text() != "application/json" {
		return errors.New("a schema without responseMimeType")
	}
	return q.answered()
}

func readCohere(body tree, q *question) error {
	if err := readChat(body, q); err != nil {
		return err
	}
	q.schema = body.at("response_format", "json_schema")
	if q.schema.exists() && body.at("response_format", "type").text() != "json_object" {
		return errors.New("a schema without json_object")
	}
	return nil
}

func readOllama(body tree, q *question) error {
	if !body.at("stream").exists() {
		return errors.New("stream is missing, and would be true")
	}
	for _, m := range body.at("messages").elements() {
		for _, c := range m.at("tool_calls").elements() {
			q.calls = append(q.calls, fmt.Sprintf("%s %d", c.at("function", "name").text(), len(q.calls)))
			if _, isObject := c.at("function", "arguments").value.(map[string]any); !isObject {
				return errors.New("arguments are no object")
			}
		}
		if m.at("role").text() == "tool" {
			q.results[fmt.Sprintf("%s %d", m.at("tool_name").text(), len(q.results))] = m.at("content").wording()
		}
	}
	for _, t := range body.at("tools").elements() {
		q.tools[t.at("function", "name").text()] = t.at("function", "parameters")
	}
	q.schema = body.at("format")
	return q.answered()
}

func readConverse(body tree, q *question) error {
	messages := body.at("messages").elements()
	if err := inTurn(messages, "assistant"); err != nil {
		return err
	}
	for _, m := range messages {
		for _, block := range m.at("content").elements() {
			if s := block.at("reasoningContent", "reasoningText", "signature"); s.exists() {
				q.signatures = append(q.signatures, s.text())
			}
			if id := block.at("toolUse", "toolUseId"); id.exists() {
				q.calls = append(q.calls, id.text())
			}
			if id := block.at("toolResult", "toolUseId"); id.exists() {
				q.results[id.text()] = block.at("toolResult", "content").wording()
			}
		}
	}
	for _, t := range body.at("toolConfig", "tools").elements() {
		q.tools[t.at("toolSpec", "name").text()] = t.at("toolSpec", "inputSchema", "json")
	}
	q.forced = body.at("toolConfig", "toolChoice", "tool", "name").text()
	if text := body.at("outputConfig", "textFormat", "structure", "jsonSchema", "schema").text(); text != "" {
		var err error
		if q.schema, err = parseTree([]byte(text)); err != nil {
			return fmt.Errorf("the schema is no JSON: %w", err)
		}
	}
	return q.answered()
}
