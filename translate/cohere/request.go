package cohere

import (
	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/modeldata"
	"github.com/sluicehq/sluice/translate"
	"github.com/sluicehq/sluice/translate/wire"
)

// request is a request that is being written.
type request struct {
	*wire.Object
	context *translate.Context
	chat    *translate.Chat
}

// Request implements translate.Dialect.
func (Dialect) Request(c *translate.Context, chat *translate.Chat) ([]byte, *translate.Error) {
	if err := rules.Apply(c, chat); err != nil {
		return nil, err
	}
	if err := wire.RefuseForModel(c, chat); err != nil {
		return nil, err
	}
	if err := wire.CheckEffort(chat.Effort); err != nil {
		return nil, err
	}
	wire.LeftOut(c, chat)
	r := &request{Object: wire.NewObject(4 << 10), context: c, chat: chat}
	r.Text("model", c.Model)
	r.Bool("stream", c.Stream)
	if err := r.messages(); err != nil {
		return nil, err
	}
	if err := r.tools(); err != nil {
		return nil, err
	}
	r.format()
	r.sampling()
	r.thinking()
	if err := r.Add("", chat.Unknown); err != nil {
		return nil, err
	}
	return r.End(), nil
}

func (r *request) format() {
	f := &r.chat.Format
	switch {
	case f.Type == "":
	case f.Type == "json_schema" && f.Schema.Exists():
		r.Literal("response_format", `{"type":"json_object","json_schema":`)
		r.Out = append(jsonview.AppendCompact(r.Out, f.Schema.Raw), '}')
	default:
		r.Literal("response_format", `{"type":"json_object"}`)
	}
}

func (r *request) sampling() {
	chat := r.chat
	if chat.MaxTokens > 0 {
		r.Int("max_tokens", chat.MaxTokens)
	}
	r.Strings("stop_sequences", chat.Stop)
	r.choosable("temperature", "temperature", chat.Temperature)
	r.choosable("top_p", "p", r.topP())
	r.choosable("frequency_penalty", "frequency_penalty", chat.FrequencyPenalty)
	r.choosable("presence_penalty", "presence_penalty", chat.PresencePenalty)
	r.choosable("seed", "seed", chat.Seed)
	if chat.Logprobs && wire.Takes(r.context, "logprobs") {
		r.Bool("logprobs", true)
	}
}

// topP is the client's within the bounds that Cohere has for it: 1 is OpenAI's default,
// which many clients send, and 0 means the one token that is most likely.
func (r *request) topP() jsonview.Value {
	switch p, ok := r.chat.TopP.Float(); {
	case ok && p > 0.99 && p <= 1:
		r.context.Warn("'top_p' was lowered to 0.99, the most that the provider of this model takes.")
		return jsonview.Value{Raw: "0.99"}
	case ok && p < 0.01 && p >= 0:
		r.context.Warn("'top_p' was raised to 0.01, the least that the provider of this model takes.")
		return jsonview.Value{Raw: "0.01"}
	}
	return r.chat.TopP
}

// choosable writes a parameter of sampling if the model takes it.
func (r *request) choosable(name, native string, v jsonview.Value) {
	if v.Exists() && wire.Takes(r.context, name) {
		r.Raw(native, v)
	}
}

// thinking asks for as much thinking as the client wants. Models that can think do so
// unless they are told not to. One of which nothing is known may be one of them.
func (r *request) thinking() {
	effort, known := r.chat.Effort, r.context.Known.Reasoning
	budget, ok := wire.Nearest(known.Budgets, effort)
	switch {
	case effort == "" || !wire.Takes(r.context, "reasoning_effort"):
	case known.Style == modeldata.StyleNone && wire.IsKnown(r.context.Known):
		if effort != "none" {
			r.context.Warn("'reasoning_effort' was dropped: this model does not think.")
		}
	case effort == "none" && !known.Always:
		r.Literal("thinking", `{"type":"disabled"}`)
	case ok:
		r.thinkingBudget(max(budget, known.Min))
	default:
		r.Literal("thinking", `{"type":"enabled"}`)
		r.context.Warn("'reasoning_effort' was taken as a wish to think: how much, this model's provider cannot be told.")
	}
}

func (r *request) thinkingBudget(tokens int64) {
	if most := r.context.Known.Reasoning.Max; most > 0 {
		tokens = min(tokens, most)
	}
	o := wire.NewObject(64)
	o.Text("type", "enabled")
	o.Int("token_budget", tokens)
	r.Literal("thinking", string(o.End()))
}

// thinks tells whether the model is known to think, and so to take its thoughts back.
func (r *request) thinks() bool { return r.context.Known.Reasoning.Style != modeldata.StyleNone }
