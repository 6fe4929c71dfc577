//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// vendor is a provider that speaks one dialect. It reads what it is asked and answers
// as the scenario in the prompt wants it; it refuses what no provider of the dialect
// would take, so that the client's error tells what is wrong.
type vendor struct {
	*fakeprovider.Provider
	voice *fakeprovider.Voice
	// name is that of the provider: the dialect and where it is spoken. place is YAML that
	// says so.
	name, place string
	// model is what clients ask for.
	model string
	// forgetful providers get no signatures back, which they accept.
	forgetful bool
}

// vendorModels are names that the vendors have, for what sluice knows of them decides
// how it asks.
var vendorModels = map[string]string{
	"openai":               "gpt-5.1",
	"anthropic":            "claude-sonnet-4-5",
	"anthropic_on_bedrock": "anthropic.claude-opus-4-6-v1:0",
	"gemini":               "gemini-3-pro-preview",
	"cohere":               "command-a-reasoning-08-2025",
	"ollama":               "gpt-oss:20b",
	"bedrock":              "eu.anthropic.claude-3-7-sonnet-20250219-v1:0",
}

// vendors starts a provider of every dialect.
func vendors(tb testing.TB) []*vendor {
	tb.Helper()
	var all []*vendor
	for _, voice := range fakeprovider.Voices() {
		place := ""
		switch {
		case voice.Enveloped:
			place = ", platform: bedrock, region: eu-central-1"
		case voice.Dialect == "bedrock":
			place = ", region: eu-central-1"
		}
		all = append(all, newVendor(tb, voice, voice.String(), place))
	}
	return all
}

// vendorsOnVertex starts providers of the dialects that are spoken on Vertex AI, too.
func vendorsOnVertex(tb testing.TB) []*vendor {
	tb.Helper()
	var all []*vendor
	for _, dialect := range []string{"anthropic", "gemini"} {
		voice := &fakeprovider.Voice{Dialect: dialect}
		all = append(all, newVendor(tb, voice, dialect+"_on_vertex", ", platform: vertex, project: weather, region: europe-west1"))
	}
	return all
}

func newVendor(tb testing.TB, voice *fakeprovider.Voice, name, place string) *vendor {
	tb.Helper()
	v := &vendor{Provider: fakeprovider.New(tb), voice: voice, name: name, place: place, model: "via-" + name}
	if voice.Dialect == "openai" {
		v.place += ", continuous_usage: false" // so that it is not asked what it is
	}
	v.Handle(v.serve)
	return v
}

// startBefore runs one sluice in front of vendors.
func startBefore(tb testing.TB, all []*vendor, extra string) *sluice {
	tb.Helper()
	providers, models := "providers:\n", "models:\n"
	for _, v := range all {
		providers += fmt.Sprintf("  - {name: %s, dialect: %s, base_url: %q, api_key: \"${UPSTREAM_KEY}\"%s}\n", v.name, v.voice.Dialect, v.URL(), v.place)
		models += fmt.Sprintf("  - {name: %s, targets: [{provider: %s, model: %q}]}\n", v.model, v.name, v.modelThere())
	}
	return startWith(tb, settings{providers: providers + models, extra: extra})
}

// modelThere is the provider's own name of its model.
func (v *vendor) modelThere() string {
	if name := vendorModels[v.name]; name != "" {
		return name
	}
	return vendorModels[v.voice.Dialect]
}

// What the scenarios say.
const (
	thought   = "Rain is likely. "
	greeting  = "Hello, world."
	forecast  = "It rains in both."
	formed    = `{"city":"Oslo","rain":true}`
	signature = "c2lnbmVkIGJ5IHRoZSBtb2RlbA=="
	busy      = "too many at once"
	broken    = "the model fell over"
)

// cities are asked for by two calls in one answer.
var cities = []string{"Oslo", "Bergen"}

func (v *vendor) serve(e *fakeprovider.Exchange) {
	q, err := readQuestion(v.name, e.Request)
	if err == nil && q.model != v.modelThere() {
		err = fmt.Errorf("the model is %s", q.model)
	}
	var said fakeprovider.Said
	if err == nil {
		said, err = v.answer(q)
	}
	switch {
	case err != nil:
		v.refuse(e, err)
	case q.scenario == "busy":
		v.voice.Refuse(e, http.StatusTooManyRequests, busy)
	case q.scenario == "abort":
		v.begin(e)
		e.Hold()
	case q.scenario == "broken":
		voice := v.begin(e)
		play(e, voice.Failure(broken))
		e.EndChunks()
	default:
		v.say(e, q.stream, said)
	}
}

// refuse answers a request that is not as it should be.
func (v *vendor) refuse(e *fakeprovider.Exchange, why error) {
	v.voice.Refuse(e, http.StatusBadRequest, "refused by the test: "+why.Error())
}

// say answers, in a stream or whole.
func (v *vendor) say(e *fakeprovider.Exchange, stream bool, said fakeprovider.Said) {
	if !stream {
		e.JSON(http.StatusOK, v.voice.Answer(said))
		return
	}
	e.Head(http.StatusOK, "Content-Type: "+v.voice.ContentType(), "Transfer-Encoding: chunked")
	play(e, v.voice.Fresh().Stream(said)...)
	e.EndChunks()
}

// begin streams two words, and returns the voice that goes on.
func (v *vendor) begin(e *fakeprovider.Exchange) *fakeprovider.Voice {
	voice := v.voice.Fresh()
	e.Head(http.StatusOK, "Content-Type: "+voice.ContentType(), "Transfer-Encoding: chunked")
	play(e, voice.Start(), voice.Text("Rain"), voice.Text(" and"))
	return voice
}

func play(e *fakeprovider.Exchange, pieces ...[]byte) {
	for _, p := range pieces {
		if len(p) > 0 {
			e.Chunk(p)
		}
	}
}

// answer is what a scenario's answer says.
func (v *vendor) answer(q question) (fakeprovider.Said, error) {
	switch q.scenario {
	case "text", "busy", "abort", "broken":
		return fakeprovider.Said{Texts: []string{"Hello", ", wor", "ld."}}, nil
	case "think":
		return fakeprovider.Said{Thinking: thought, Signature: signature, Texts: []string{"Hello", ", wor", "ld."}}, nil
	case "schema":
		return v.form(q)
	case "tools":
		if len(q.calls) == 0 {
			return v.callTools(q)
		}
		return fakeprovider.Said{Texts: []string{"It rains", " in both."}}, v.checkSecondTurn(q)
	}
	return fakeprovider.Said{}, errors.New("there is no scenario in the prompt")
}

// form answers in the form that was asked for: as text, or as the arguments of a tool
// that sluice has made up for a model that knows no forms.
func (v *vendor) form(q question) (fakeprovider.Said, error) {
	schema := q.schema
	if !schema.exists() {
		schema = q.tools[q.forced]
	}
	if !schema.at("properties", "city").exists() || !schema.at("properties", "rain").exists() {
		return fakeprovider.Said{}, errors.New("the schema is missing")
	}
	if q.schema.exists() {
		return fakeprovider.Said{Texts: []string{formed}}, nil
	}
	return fakeprovider.Said{Calls: []fakeprovider.ToolCall{{ID: "toolu_form", Name: q.forced, Arguments: []string{`{"city":"Oslo",`, `"rain":true}`}}}}, nil
}

func (v *vendor) callTools(q question) (fakeprovider.Said, error) {
	if !q.tools["get_weather"].at("properties", "city").exists() {
		return fakeprovider.Said{}, errors.New("the tool is missing")
	}
	return twoCalls(), nil
}

// twoCalls asks for the weather in both cities, after a thought.
func twoCalls() fakeprovider.Said {
	said := fakeprovider.Said{Thinking: thought, Signature: signature}
	for i, city := range cities {
		said.Calls = append(said.Calls, fakeprovider.ToolCall{
			ID: fmt.Sprintf("toolu_%d", i), Name: "get_weather", Arguments: []string{`{"ci`, `ty":"` + city, `"}`},
		})
	}
	return said
}

// signs tells whether the dialect signs thoughts.
func (v *vendor) signs() bool {
	return v.voice.Dialect == "anthropic" || v.voice.Dialect == "bedrock" || v.voice.Dialect == "gemini"
}

// placeholder is what Google documents for a call whose signature is lost.
const placeholder = "skip_thought_signature_validator"

func (v *vendor) checkSecondTurn(q question) error {
	if len(q.calls) != len(cities) {
		return fmt.Errorf("%d calls came back", len(q.calls))
	}
	for i, id := range q.calls {
		if !strings.Contains(q.results[id], "rain in "+cities[i]) {
			return fmt.Errorf("the result of call %d is %q", i, q.results[id])
		}
	}
	var want []string
	switch {
	case v.signs() && !v.forgetful:
		want = []string{signature}
	case v.forgetful && v.voice.Dialect == "gemini":
		want = []string{placeholder}
	}
	if !slices.Equal(want, q.signatures) {
		return fmt.Errorf("the signatures that came back are %q", q.signatures)
	}
	return nil
}
