package gemini

import (
	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/translate"
)

// logprobs passes on the probabilities of the tokens of a piece, in OpenAI's form.
func (d *decoder) logprobs(to translate.Sink, ch *choice, result jsonview.Value) {
	var top []jsonview.Value
	for _, t := range result.Get("topCandidates").Elements {
		top = append(top, t.Get("candidates"))
	}
	w := writer{d.scratch[:0]}
	w.open('{')
	w.key("content")
	w.open('[')
	count := 0
	for i, chosen := range result.Get("chosenCandidates").Elements {
		w.open('{')
		w.token(chosen)
		w.key("top_logprobs")
		w.open('[')
		if i < len(top) {
			for _, one := range top[i].Elements {
				w.open('{')
				w.token(one)
				w.close('}')
			}
		}
		w.close(']')
		w.close('}')
		count++
	}
	w.close(']')
	w.close('}')
	if d.scratch = w.b; count > 0 {
		to.Logprobs(ch.index, jsonview.View(w.b))
	}
	d.release()
}

// token appends the members that a token has. A probability of 1, whose logarithm is 0,
// may be left out of the provider's JSON.
func (w *writer) token(v jsonview.Value) {
	text, logprob := v.Get("token"), v.Get("logProbability")
	if !text.IsString() {
		text.Raw = `""`
	}
	if !logprob.IsNumber() {
		logprob.Raw = "0"
	}
	w.member("token", text.Raw)
	w.member("logprob", logprob.Raw)
	w.member("bytes", "null")
}
