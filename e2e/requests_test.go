//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// sent is a request that sluice has made, as its check reads it.
type sent struct {
	Name    string          `json:"name"`
	Check   string          `json:"check"`
	Method  string          `json:"method"`
	Target  string          `json:"target"`
	Fields  http.Header     `json:"fields"`
	Body    json.RawMessage `json:"body"`
	RawBody string          `json:"raw_body"`
}

func newSent(name, check string, r *fakeprovider.Request) sent {
	return sent{Name: name, Check: check, Method: r.Method, Target: r.Target, Fields: r.Header, Body: r.Body, RawBody: string(r.Body)}
}

// sentTo are the requests that a provider has got.
func sentTo(v *vendor, name string) []sent {
	var all []sent
	for _, e := range v.Exchanges() {
		all = append(all, newSent(name, v.name, e.Request))
	}
	return all
}

// complaints are what the vendors' own SDKs have against requests, for each a list.
func complaints(t *testing.T, requests []sent) [][]string {
	t.Helper()
	require.NotEmpty(t, requests)
	var lines bytes.Buffer
	for _, r := range requests {
		require.NoError(t, json.NewEncoder(&lines).Encode(r))
	}
	command := python("vendor_types.py")(t)
	check := exec.Command(command[0], command[1:]...)
	check.Env = append(os.Environ(), awsCredentials...)
	var verdicts bytes.Buffer
	var complaint transcript
	check.Stdin, check.Stdout, check.Stderr = &lines, &verdicts, &complaint
	require.NoError(t, check.Run(), "%s", &complaint)

	verdict := json.NewDecoder(&verdicts)
	all := make([][]string, len(requests))
	for i := range all {
		require.NoError(t, verdict.Decode(&all[i]), "%s", &complaint)
	}
	return all
}

func requireVendorsAccept(t *testing.T, requests []sent) {
	t.Helper()
	for i, wrong := range complaints(t, requests) {
		if len(wrong) > 0 {
			t.Errorf("%s, %s: %s\n%s", requests[i].Check, requests[i].Name, strings.Join(wrong, "; "), requests[i].Body)
		}
	}
}

// The checks are no better than what they find.
func TestVendorsComplain(t *testing.T) {
	t.Parallel()
	all := append(vendors(t), vendorsOnVertex(t)...)
	s := startBefore(t, all, "")
	var requests []sent
	for _, v := range all {
		made := v.askAll(t, s, []asked{{name: "text", members: `"max_tokens":5`}})
		require.NotEmpty(t, made)
		for _, change := range []struct{ from, to string }{
			{`{`, `{"nonsense":1,`},
			{`"role":"user"`, `"role":"user","nonsense":1`},
			{`"role":"user"`, `"role":7`},
		} {
			r := made[0]
			r.Body = json.RawMessage(strings.Replace(string(r.Body), change.from, change.to, 1))
			require.NotEqual(t, made[0].Body, r.Body)
			requests = append(requests, r)
		}
	}
	for i, wrong := range complaints(t, requests) {
		require.NotEmpty(t, wrong, "%s: %s", requests[i].Check, requests[i].Body)
	}
}

var awsCredentials = []string{"AWS_ACCESS_KEY_ID=AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY=" + awsSecret, "AWS_SESSION_TOKEN=" + awsSession}

// Without a key, requests to Amazon Bedrock carry a signature that its own SDK would
// have made, whatever the name of the model and the words of the conversation.
func TestRequestsToBedrockAreSigned(t *testing.T) {
	t.Parallel()
	var requests []sent
	for _, platform := range []string{"dialect: bedrock", "dialect: anthropic, platform: bedrock"} {
		upstream := fakeprovider.New(t)
		s := startWith(t, settings{
			providers: fmt.Sprintf("providers:\n  - {name: aws, %s, region: eu-central-1, base_url: %q}\n", platform, upstream.URL()),
			env:       awsCredentials,
		})
		for _, model := range askedModels["bedrock"] {
			status, answer := s.post("/v1/chat/completions", `{"model":`+strconv.Quote(model)+`,"stream":true,"messages":[{"role":"user","content":"sn\u00f8 \ud83d\ude00 \"&<"}]}`)
			require.Equal(t, http.StatusNotFound, status, "%s", answer)
		}
		for _, e := range upstream.Exchanges() {
			requests = append(requests, newSent("signed", "aws_signature", e.Request))
		}
	}
	require.Len(t, requests, 2*len(askedModels["bedrock"]))
	requireVendorsAccept(t, requests)
	requests[0].RawBody += " "
	require.NotEmpty(t, complaints(t, requests[:1])[0])
}

// askedModels are names of models for each dialect, for what sluice knows of a model
// decides how it asks.
var askedModels = map[string][]string{
	"openai":               {"gpt-5.1"},
	"anthropic":            {"claude-3-5-haiku-latest", "claude-3-7-sonnet-latest", "claude-sonnet-4-5", "claude-opus-4-8", "claude-sonnet-5", "claude-sonnet-5-5", "claude-of-tomorrow"},
	"anthropic_on_bedrock": {"anthropic.claude-3-haiku-20240307-v1:0", "eu.anthropic.claude-sonnet-4-5-20250929-v1:0", "global.anthropic.claude-opus-4-6-v1"},
	"gemini":               {"gemini-2.0-flash", "gemini-2.5-flash", "gemini-2.5-pro", "gemini-3-pro-preview", "gemini-of-tomorrow"},
	"cohere":               {"command-r-08-2024", "command-a-03-2025", "command-a-reasoning-08-2025", "command-of-tomorrow"},
	"ollama":               {"llama3.2", "qwen3:8b", "gpt-oss:20b"},
	"bedrock": {
		"amazon.nova-pro-v1:0", "eu.amazon.nova-2-lite-v1:0", "eu.anthropic.claude-sonnet-4-5-20250929-v1:0",
		"us.anthropic.claude-opus-4-6-v1", "arn:aws:bedrock:eu-central-1:123456789012:application-inference-profile/abc123def456",
	},
	"anthropic_on_vertex": {"claude-sonnet-4-5@20250929", "claude-opus-4-6"},
	"gemini_on_vertex":    {"gemini-2.0-flash-001", "gemini-2.5-pro", "gemini-3-pro-preview"},
}

// Whatever a client asks for, its provider's own SDK could have asked the same way.
func TestVendorsAcceptWhatIsAsked(t *testing.T) {
	t.Parallel()
	all := append(vendors(t), vendorsOnVertex(t)...)
	s := startBefore(t, all, "")
	var mu sync.Mutex
	var requests []sent
	t.Run("asking", func(t *testing.T) {
		for _, v := range all {
			t.Run(v.name, func(t *testing.T) {
				t.Parallel()
				made := v.askAll(t, s, asking)
				mu.Lock()
				defer mu.Unlock()
				requests = append(requests, made...)
			})
		}
	})
	requireVendorsAccept(t, requests)
}

// askAll asks every model for everything and returns what the provider got.
func (v *vendor) askAll(t *testing.T, s *sluice, all []asked) []sent {
	t.Helper()
	v.Handle(func(e *fakeprovider.Exchange) {
		if q, _, err := readEnvelope(v.name, e.Request); err != nil {
			v.refuse(e, err)
		} else {
			v.say(e, q.stream, fakeprovider.Said{Texts: []string{"Hello."}})
		}
	})
	var made []sent
	for _, a := range all {
		for i, model := range askedModels[v.name] {
			if a.only != "" && a.only != v.name {
				continue
			}
			before := len(v.Exchanges())
			refused := v.ask(t, s, a, model, i%2 == 1)
			wantRefused := slices.Contains(strings.Fields(a.refused), v.name) || slices.Contains(strings.Fields(a.refused), model)
			if refused != wantRefused {
				t.Errorf("%s of %s at %s: refused is %t", a.name, model, v.name, refused)
			}
			for _, e := range v.Exchanges()[before:] {
				made = append(made, newSent(a.name+" of "+model, v.name, e.Request))
			}
		}
	}
	return made
}

// ask sends one request, and tells whether sluice has refused it.
func (v *vendor) ask(t *testing.T, s *sluice, a asked, model string, stream bool) bool {
	t.Helper()
	body := fmt.Sprintf(`{"model":%q,"stream":%t,%s`, v.name+"/"+model, stream, a.members)
	if !strings.Contains(a.members, `"messages"`) {
		body += `,"messages":[` + askedFor + `]`
	}
	status, answer := s.post("/v1/chat/completions", body+"}")
	if status == http.StatusOK {
		return false
	}
	var refusal struct{ Error struct{ Code, Param string } }
	require.NoError(t, json.Unmarshal(answer, &refusal))
	if status != http.StatusBadRequest || refusal.Error.Code != "unsupported_value" || refusal.Error.Param == "" {
		t.Errorf("%s of %s at %s: %d %s", a.name, model, v.name, status, answer)
	}
	return true
}

func (s *sluice) post(path, body string) (int, []byte) {
	s.tb.Helper()
	request, err := http.NewRequest(http.MethodPost, s.api+path, strings.NewReader(body))
	require.NoError(s.tb, err)
	request.Header.Set("Authorization", "Bearer "+clientKey)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	require.NoError(s.tb, err)
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	require.NoError(s.tb, err)
	return response.StatusCode, answer
}
