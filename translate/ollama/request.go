package ollama

import (
	"github.com/sluicehq/sluice/internal/jsonview"
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
	native, rest, err := nativeOptions(chat.Unknown)
	if err != nil {
		return nil, err
	}
	r := &request{Object: wire.NewObject(4 << 10), context: c, chat: chat}
	r.Text("model", c.Model)
	r.Bool("stream", c.Stream) // Ollama streams unless told not to
	if err := r.messages(); err != nil {
		return nil, err
	}
	if err := r.tools(); err != nil {
		return nil, err
	}
	r.format()
	if err := r.options(native); err != nil {
		return nil, err
	}
	r.think()
	if chat.Logprobs && wire.Takes(c, "logprobs") {
		r.Bool("logprobs", true)
		if chat.TopLogprobs > 0 {
			r.Int("top_logprobs", chat.TopLogprobs)
		}
	}
	if err := r.Add("", rest); err != nil {
		return nil, err
	}
	return r.End(), nil
}

func (r *request) format() {
	f := &r.chat.Format
	switch {
	case f.Type == "":
	case f.Type == "json_schema" && f.Schema.Exists():
		r.Raw("format", f.Schema)
	default:
		r.Text("format", "json")
	}
}

// nativeOptions parts the members of an options object of the client's, which is where
// Ollama has what OpenAI has no word for (num_ctx, top_k), from other unknown members.
func nativeOptions(unknown []translate.Member) (options, rest []translate.Member, err *translate.Error) {
	for _, m := range unknown {
		if m.Name != "options" {
			rest = append(rest, m)
			continue
		}
		if !m.Value.IsObject() && !m.Value.IsNull() {
			return nil, nil, translate.InvalidType("options", "an object")
		}
		for name, v := range m.Value.Members {
			options = append(options, translate.Member{Name: name, Value: v})
		}
	}
	return options, rest, nil
}

// options writes what OpenAI has at the top level and Ollama a level below.
func (r *request) options(native []translate.Member) *translate.Error {
	chat, o := r.chat, wire.NewObject(128)
	if chat.MaxTokens > 0 {
		o.Int("num_predict", chat.MaxTokens)
	}
	for _, option := range [...]translate.Member{
		{Name: "temperature", Value: chat.Temperature},
		{Name: "top_p", Value: chat.TopP},
		{Name: "frequency_penalty", Value: chat.FrequencyPenalty},
		{Name: "presence_penalty", Value: chat.PresencePenalty},
		{Name: "seed", Value: chat.Seed},
	} {
		if option.Value.Exists() && wire.Takes(r.context, option.Name) {
			o.Raw(option.Name, option.Value)
		}
	}
	o.Strings("stop", chat.Stop)
	if err := o.Add("options.", native); err != nil {
		return err
	}
	if all := o.End(); len(all) > len("{}") {
		r.Literal("options", jsonview.View(all))
	}
	return nil
}
