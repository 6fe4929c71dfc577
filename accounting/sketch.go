package accounting

import (
	"strings"

	"github.com/sluicehq/sluice/accounting/tokens"
)

// Sketch is what an estimate needs of a request whose body is let go while its answer
// streams: the numbers that stand for no text, and places from all over its texts. It
// holds at most some 128 KiB, however long the request is.
type Sketch struct {
	family    *modelFamily
	places    []string
	kept      int64 // bytes in places
	sampling  sampling
	extra     float64
	formatted bool
	limit     int64 // the most that the request lets the answer have; 0 for no limit
	choices   int64 // how many answers it asks for
}

// keptOfPrompt is how much text a sketch keeps.
const keptOfPrompt = 128 << 10

// Sketch reads a request, without counting anything yet: it takes a few milliseconds
// per MiB. Endpoint is that of Prompt. Nothing of requestBody is kept.
func (*Estimator) Sketch(model, endpoint string, requestBody []byte) *Sketch {
	f, _ := familyOf(model)
	s := &Sketch{family: f, sampling: samplingOfPrompt(requestBody, keptOfPrompt)}
	p := readPrompt(s, model, endpoint, requestBody)
	s.extra, s.formatted, s.limit, s.choices = p.extra, p.formatted, p.limit, p.choices
	return s
}

// text keeps places of a text of the prompt.
func (s *Sketch) text(text string) {
	for size := s.sampling.pieceBytes(); len(text) > 0; {
		n := len(text)
		if n > size {
			n = pieceEnd(text[:size])
		}
		if s.sampling.take(text[:n]) {
			s.places = append(s.places, strings.Clone(text[:n]))
			s.kept += int64(n)
		}
		text = text[n:]
	}
}

// prompt counts the tokens of the request.
func (s *Sketch) prompt(e *Estimator) float64 {
	c := e.counterOf(s.family.vocabulary)
	c.sampling = samplingOf(s.kept, e.budget())
	for _, place := range s.places {
		c.text(place)
	}
	return s.sampling.scaled(c.total()) + s.extra
}

// EstimateSketch is Estimate for a request of which only a sketch is left.
func (e *Estimator) EstimateSketch(s *Sketch, text OutputText, known Bounds) tokens.Usage {
	return e.usage(s, s.prompt(e), text, known)
}
