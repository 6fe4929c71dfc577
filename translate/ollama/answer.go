package ollama

import (
	"bytes"

	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/translate"
)

// Answer implements translate.Dialect. A stream that was not announced as one, and so
// has been read as a whole, is an answer too.
func (Dialect) Answer(_ *translate.Context, to translate.Sink, body []byte) translate.Progress {
	d := &decoder{whole: true}
	if jsonview.WellFormed(body) {
		return settled(d.Event(to, nil, body))
	}
	for line := range bytes.Lines(body) {
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		if progress := d.Event(to, nil, line); progress != translate.More {
			return progress
		}
	}
	return settled(d.End(to))
}

// settled is what a whole answer comes to that does not say it is one.
func settled(p translate.Progress) translate.Progress {
	if p == translate.More {
		return translate.Malformed
	}
	return p
}
