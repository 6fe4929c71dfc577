package proxy

import (
	"bytes"

	"github.com/sluicehq/sluice/accounting/ledger"
)

// tap keeps the beginning of what passes, for a key or a model whose prompts and answers
// are to be kept. Everywhere else there is none.
type tap struct {
	limit                 int
	request, answer       []byte
	requestCut, answerCut bool
}

// newTap returns one that holds a request, nil where nothing is to be kept.
func (x *exchange) newTap(request []byte) *tap {
	if x.srv.capture == nil || !x.owner.Capture && (x.route.model == nil || !x.route.model.Capture) {
		return nil
	}
	t := &tap{limit: int(x.gen.cfg.Capture.MaxBytes)}
	t.requestCut = len(request) > t.limit
	t.request = bytes.Clone(request[:min(len(request), t.limit)])
	return t
}

// add keeps what still fits of p, a piece of the answer's body.
func (t *tap) add(p []byte) {
	if t == nil {
		return
	}
	fits := min(len(p), t.limit-len(t.answer))
	t.answer = append(t.answer, p[:fits]...)
	t.answerCut = t.answerCut || fits < len(p)
}

// keepTapped hands over what was tapped, if anything was.
func (x *exchange) keepTapped() {
	t := x.tap
	if t == nil {
		return
	}
	x.srv.capture(ledger.Capture{
		UID: x.uid, ID: x.id, Request: t.request, RequestCut: t.requestCut, Answer: t.answer, AnswerCut: t.answerCut,
	})
}
