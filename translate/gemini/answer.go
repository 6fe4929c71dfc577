package gemini

import (
	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/translate"
)

// Answer implements translate.Dialect. A whole answer has the form of one element of a
// stream; errors, and the answers of some relays, come as an array.
func (Dialect) Answer(c *translate.Context, to translate.Sink, body []byte) translate.Progress {
	root, ok := jsonview.Parse(body)
	if !ok {
		return translate.Malformed
	}
	d := decoder{c: c}
	progress := translate.More
	if !root.IsArray() {
		progress = d.response(to, root)
	}
	for _, element := range root.Elements {
		if progress == translate.More {
			progress = d.response(to, element)
		}
	}
	if progress == translate.More {
		progress = d.End(to)
	}
	if progress == translate.More { // it says neither how it ended nor why there is none
		return translate.Malformed
	}
	return progress
}
