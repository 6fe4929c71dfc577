package gemini

import (
	"math"

	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/modeldata"
	"github.com/sluicehq/sluice/translate"
)

// maxStops is how many stop sequences the API takes.
const maxStops = 5

// generationConfig is the object of that name, "{}" if there is nothing to say.
func (r *request) generationConfig() []byte {
	outer := r.out
	r.out = writer{}
	w, chat := &r.out, r.chat
	w.open('{')
	if r.sendsNumber("temperature", chat.Temperature) {
		w.member("temperature", chat.Temperature.Raw)
	}
	if r.sendsNumber("top_p", chat.TopP) {
		w.member("topP", chat.TopP.Raw)
	}
	if chat.MaxTokens > 0 {
		w.key("maxOutputTokens")
		w.number(chat.MaxTokens)
	}
	if chat.N > 1 {
		w.key("candidateCount")
		w.number(int64(chat.N))
	}
	r.stopSequences()
	if r.sendsNumber("seed", chat.Seed) {
		w.key("seed")
		w.number(seed(chat.Seed))
	}
	if !isZero(chat.PresencePenalty) && r.sendsNumber("presence_penalty", chat.PresencePenalty) {
		w.member("presencePenalty", chat.PresencePenalty.Raw)
	}
	if !isZero(chat.FrequencyPenalty) && r.sendsNumber("frequency_penalty", chat.FrequencyPenalty) {
		w.member("frequencyPenalty", chat.FrequencyPenalty.Raw)
	}
	r.logprobs()
	r.responseFormat()
	r.modalities()
	r.thinking()
	w.close('}')
	written := r.out.b
	r.out = outer
	return written
}

func (r *request) sendsNumber(name string, v jsonview.Value) bool {
	return v.Exists() && r.takes(name)
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

func (r *request) stopSequences() {
	stops := r.chat.Stop
	if len(stops) == 0 {
		return
	}
	if len(stops) > maxStops {
		r.fail(translate.Unsupported("stop", "the provider of this model takes at most 5 stop sequences"))
		return
	}
	r.out.key("stopSequences")
	r.out.open('[')
	for _, s := range stops {
		r.out.raw(s.Raw)
	}
	r.out.close(']')
}

func (r *request) logprobs() {
	top := r.chat.TopLogprobs
	if !r.chat.Logprobs && top <= 0 || !r.takes("logprobs") {
		return
	}
	r.out.member("responseLogprobs", "true")
	if top > 0 && r.takes("top_logprobs") {
		r.out.key("logprobs")
		r.out.number(top)
	}
}

func (r *request) responseFormat() {
	f := &r.chat.Format
	if f.Type == "" {
		return
	}
	r.out.textMember("responseMimeType", "application/json")
	switch {
	case !f.Schema.Exists():
	case r.c.Known.Has(modeldata.TraitOpenAPISchemas):
		r.out.key("responseSchema")
		r.subset(f.Schema, "response_format.json_schema.schema")
	default:
		r.out.member("responseJsonSchema", f.Schema.Raw)
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
	if !image { // text is what is answered anyway
		return
	}
	r.out.key("responseModalities")
	r.out.open('[')
	if text {
		r.out.text("TEXT")
	}
	r.out.text("IMAGE")
	r.out.close(']')
}

// toolConfig is the object of that name, "{}" if there is nothing to say. Without tools
// a choice among them says nothing.
func (r *request) toolConfig() []byte {
	var w writer
	w.open('{')
	mode := map[string]string{"auto": "AUTO", "none": "NONE", "required": "ANY", "function": "ANY"}[r.chat.Choice.Mode]
	if mode != "" && len(r.chat.Tools) > 0 {
		w.key("functionCallingConfig")
		w.open('{')
		w.textMember("mode", mode)
		if r.chat.Choice.Mode == "function" {
			w.key("allowedFunctionNames")
			w.open('[')
			w.text(r.chat.Choice.Name)
			w.close(']')
		}
		w.close('}')
	}
	w.close('}')
	return w.b
}
