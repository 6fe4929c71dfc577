package gemini

import (
	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/translate"
	"github.com/sluicehq/sluice/translate/wire"
)

// logprobs passes on the probabilities of the tokens of a piece, in OpenAI's form.
func (d *decoder) logprobs(to translate.Sink, ch *choice, result jsonview.Value) {
	var top []jsonview.Value
	for _, t := range result.Get("topCandidates").Elements {
		top = append(top, t.Get("candidates"))
	}
	w := &wire.Object{Out: append(d.scratch[:0], '{')}
	w.Name("content")
	w.Open('[')
	count := 0
	for i, chosen := range result.Get("chosenCandidates").Elements {
		w.Open('{')
		addToken(w, chosen)
		w.Name("top_logprobs")
		w.Open('[')
		if i < len(top) {
			for _, one := range top[i].Elements {
				w.Open('{')
				addToken(w, one)
				w.Close('}')
			}
		}
		w.Close(']')
		w.Close('}')
		count++
	}
	w.Close(']')
	if d.scratch = w.End(); count > 0 {
		to.Logprobs(ch.index, jsonview.View(d.scratch))
	}
	d.release()
}

// addToken adds the members that a token has. A probability of 1, whose logarithm is 0,
// may be left out of the provider's JSON.
func addToken(w *wire.Object, v jsonview.Value) {
	text, logprob := v.Get("token"), v.Get("logProbability")
	if !text.IsString() {
		text.Raw = `""`
	}
	if !logprob.IsNumber() {
		logprob.Raw = "0"
	}
	w.Raw("token", text)
	w.Raw("logprob", logprob)
	w.Literal("bytes", "null")
}
