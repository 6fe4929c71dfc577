package main

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"strings"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/shared"
)

// round is what was seen in one scenario on one model.
type round struct {
	seen
	Model    string          `json:"model"`
	Scenario string          `json:"scenario"`
	Form     json.RawMessage `json:"form"` // of a structured answer

	api openai.Client
}

// playRounds plays each scenario on each of the MODELS.
func playRounds(ctx context.Context) []*round {
	api := openai.NewClient(option.WithMaxRetries(0))
	scenarios := []struct {
		name string
		play func(*round, context.Context)
	}{
		{"text", func(r *round, ctx context.Context) { r.read(ctx, r.question()) }},
		{"text_whole", func(r *round, ctx context.Context) { r.answer(ctx, r.question()) }},
		{"think", func(r *round, ctx context.Context) { r.read(ctx, r.thinking()) }},
		{"think_whole", func(r *round, ctx context.Context) { r.answer(ctx, r.thinking()) }},
		{"tools", (*round).tools},
		{"tools_whole", (*round).toolsWhole},
		{"schema", (*round).schema},
		{"abort", (*round).abort},
		{"busy", func(r *round, ctx context.Context) { r.read(ctx, r.question()) }},
		{"broken", func(r *round, ctx context.Context) { r.read(ctx, r.question()) }},
	}
	var played []*round
	for model := range strings.FieldsSeq(os.Getenv("MODELS")) {
		for _, scenario := range scenarios {
			r := &round{seen: seen{Models: []string{}, ToolCalls: []call{}}, Model: model, Scenario: scenario.name, api: api}
			scenario.play(r, ctx)
			played = append(played, r)
		}
	}
	return played
}

// question tells the provider which scenario this is.
func (r *round) question() openai.ChatCompletionNewParams {
	scenario, _, _ := strings.Cut(r.Scenario, "_")
	return openai.ChatCompletionNewParams{
		Model: r.Model,
		Messages: []openai.ChatCompletionMessageParamUnion{
			openai.SystemMessage("Be brief."),
			openai.UserMessage("[" + scenario + "] What is the weather in Oslo?"),
		},
	}
}

func (r *round) thinking() openai.ChatCompletionNewParams {
	p := r.question()
	p.ReasoningEffort = shared.ReasoningEffortLow
	return p
}

// read reads a stream to its end and returns what the SDK made of it, nil if it broke.
func (r *round) read(ctx context.Context, p openai.ChatCompletionNewParams) *openai.ChatCompletion {
	p.StreamOptions.IncludeUsage = openai.Bool(true)
	var response *http.Response
	stream := r.api.Chat.Completions.NewStreaming(ctx, p, option.WithResponseInto(&response))
	r.headers(response)
	var whole openai.ChatCompletionAccumulator
	for stream.Next() {
		r.chunk(stream.Current())
		whole.AddChunk(stream.Current())
	}
	if err := stream.Err(); err != nil {
		r.fail(err)
		return nil
	}
	r.whole(whole.ChatCompletion)
	return &whole.ChatCompletion
}

func (r *round) answer(ctx context.Context, p openai.ChatCompletionNewParams) *openai.ChatCompletion {
	var response *http.Response
	whole, err := r.api.Chat.Completions.New(ctx, p, option.WithResponseInto(&response))
	r.headers(response)
	if err != nil {
		r.fail(err)
		return nil
	}
	r.whole(*whole)
	return whole
}

// tools has two turns of streams.
func (r *round) tools(ctx context.Context) {
	p := withTools(r.thinking())
	if first := r.read(ctx, p); first != nil {
		r.read(ctx, r.secondTurn(p, first))
	}
}

// toolsWhole has two turns of whole answers.
func (r *round) toolsWhole(ctx context.Context) {
	p := withTools(r.thinking())
	if first := r.answer(ctx, p); first != nil {
		r.answer(ctx, r.secondTurn(p, first))
	}
}

// secondTurn sends the answer back with the results of its calls.
func (r *round) secondTurn(p openai.ChatCompletionNewParams, answer *openai.ChatCompletion) openai.ChatCompletionNewParams {
	message := answer.Choices[0].Message
	p.Messages = append(p.Messages, message.ToParam())
	for _, c := range message.ToolCalls {
		var arguments struct{ City string }
		if err := json.Unmarshal([]byte(c.Function.Arguments), &arguments); err != nil {
			r.fail(err)
		}
		p.Messages = append(p.Messages, openai.ToolMessage("rain in "+arguments.City, c.ID))
	}
	return p
}

func (r *round) schema(ctx context.Context) {
	p := r.question()
	p.ResponseFormat.OfJSONSchema = &shared.ResponseFormatJSONSchemaParam{
		JSONSchema: shared.ResponseFormatJSONSchemaJSONSchemaParam{
			Name:   "weather",
			Strict: openai.Bool(true),
			Schema: map[string]any{
				"type":                 "object",
				"properties":           map[string]any{"city": map[string]string{"type": "string"}, "rain": map[string]string{"type": "boolean"}},
				"required":             []string{"city", "rain"},
				"additionalProperties": false,
			},
		},
	}
	if r.answer(ctx, p) != nil && json.Valid([]byte(r.Text)) {
		r.Form = json.RawMessage(r.Text)
	}
}

func (r *round) abort(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var response *http.Response
	stream := r.api.Chat.Completions.NewStreaming(ctx, r.question(), option.WithResponseInto(&response))
	r.headers(response)
	for stream.Next() {
		if r.chunk(stream.Current()) {
			cancel()
		}
	}
	r.fail(stream.Err())
}
