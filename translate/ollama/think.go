package ollama

import (
	"github.com/sluicehq/sluice/modeldata"
	"github.com/sluicehq/sluice/translate/wire"
)

// levels are the words that servers take for models that think in levels. For others
// earlier servers refuse them and take true and false alone; later ones pass them over.
var levels = map[string]string{"low": "low", "medium": "medium", "high": "high"}

// think asks for as much thinking as the client wants.
func (r *request) think() {
	effort, known := r.chat.Effort, r.context.Known.Reasoning
	if effort == "" || !wire.Takes(r.context, "reasoning_effort") {
		return
	}
	if effort == "none" && known.Off != "" {
		r.Text("think", known.Off)
		return
	}
	switch known.Style {
	case modeldata.StyleLevel, modeldata.StyleEffort:
		words := known.Words
		if len(words) == 0 {
			words = levels
		}
		if _, off := words[effort]; off || effort != "none" || known.Always {
			word, _ := wire.Nearest(words, effort)
			r.Text("think", word)
			return
		}
	}
	r.Bool("think", effort != "none")
	if effort != "none" {
		r.context.Warn("'reasoning_effort' was taken as a wish to think: how much, this model's provider cannot be told.")
	}
}
