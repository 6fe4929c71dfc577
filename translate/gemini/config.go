package gemini

import (
	"math"

	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/modeldata"
	"github.com/sluicehq/sluice/translate"
	"github.com/sluicehq/sluice/translate/wire"
)

// maxStops is how many stop sequences the API takes.
const maxStops = 5

// generationConfig is the object of that name, "{}" if there is nothing to say.
func (r *request) generationConfig() []byte {
	outer, w, chat := r.out, wire.NewObject(512), r.chat
	r.out = w
	r.choosable("temperature", "temperature", chat.Temperature)
	r.choosable("top_p", "topP", chat.TopP)
	if chat.MaxTokens > 0 {
		w.Int("maxOutputTokens", chat.MaxTokens)
	}
	if chat.N > 1 {
		w.Int("candidateCount", int64(chat.N))
	}
	if len(chat.Stop) > maxStops {
		r.fail(translate.Unsupported("stop", "the provider of this model takes at most 5 stop sequences"))
	}
	w.Strings("stopSequences", chat.Stop)
	if chat.Seed.Exists() && wire.Takes(r.c, "seed") {
		w.Int("seed", seed(chat.Seed))
	}
	if !isZero(chat.PresencePenalty) {
		r.choosable("presence_penalty", "presencePenalty", chat.PresencePenalty)
	}
	if !isZero(chat.FrequencyPenalty) {
		r.choosable("frequency_penalty", "frequencyPenalty", chat.FrequencyPenalty)
	}
	r.logprobs()
	r.responseFormat()
	r.modalities()
	r.thinking()
	r.out = outer
	return w.End()
}

// choosable writes a parameter of sampling if the model takes it.
func (r *request) choosable(name, native string, v jsonview.Value) {
	if v.Exists() && wire.Takes(r.c, name) {
		r.out.Raw(native, v)
	}
}

func isZero(v jsonview.Value) bool {
	f, ok := v.Float()
	return ok && f == 0
}

// seed fits a seed into the int32 that the API has: the same seed still gives the same
// sampling.
func seed(v jsonview.Value) int64 {
	n, _ := v.Int()
	if n >= math.MinInt32 && n <= math.MaxInt32 {
		return n
	}
	return (n ^ n>>32) & math.MaxInt32
}

func (r *request) logprobs() {
	top := r.chat.TopLogprobs
	if !r.chat.Logprobs && top <= 0 || !wire.Takes(r.c, "logprobs") {
		return
	}
	r.out.Bool("responseLogprobs", true)
	if top > 0 && wire.Takes(r.c, "top_logprobs") {
		r.out.Int("logprobs", top)
	}
}

func (r *request) responseFormat() {
	f := &r.chat.Format
	if f.Type == "" {
		return
	}
	r.out.Text("responseMimeType", "application/json")
	switch {
	case !f.Schema.Exists():
	case r.c.Known.Has(modeldata.TraitOpenAPISchemas):
		r.subset("responseSchema", f.Schema, "response_format.json_schema.schema")
	default:
		r.out.Raw("responseJsonSchema", f.Schema)
	}
}

// modalities asks for pictures beside text. Speech comes as samples without a head,
// which no client of the hub's dialect could play.
func (r *request) modalities() {
	asked := r.chat.Modalities
	if !asked.Exists() {
		return
	}
	var text, image bool
	for _, m := range asked.Elements {
		switch {
		case m.Is("text"):
			text = true
		case m.Is("image"):
			image = true
		default:
			r.fail(translate.Unsupported("modalities", "answers of the provider of this model can be translated if they are of text and image only"))
			return
		}
	}
	switch { // text alone is what is answered anyway
	case image && text:
		r.out.Literal("responseModalities", `["TEXT","IMAGE"]`)
	case image:
		r.out.Literal("responseModalities", `["IMAGE"]`)
	}
}

// toolConfig is the object of that name, "{}" if there is nothing to say. Without tools
// a choice among them says nothing.
func (r *request) toolConfig() []byte {
	w := wire.NewObject(128)
	mode := map[string]string{"auto": "AUTO", "none": "NONE", "required": "ANY", "function": "ANY"}[r.chat.Choice.Mode]
	if mode != "" && r.offersTools() {
		w.Name("functionCallingConfig")
		w.Open('{')
		w.Text("mode", mode)
		if r.chat.Choice.Mode == "function" {
			w.Literal("allowedFunctionNames", string(append(translate.AppendQuoted([]byte{'['}, r.chat.Choice.Name), ']')))
		}
		w.Close('}')
	}
	return w.End()
}
