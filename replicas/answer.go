package replicas

import (
	"log/slog"
	"runtime/debug"
)

// largestAnswer is far below what Redis lets wait for a subscriber before it closes its
// connection (32 MiB).
const largestAnswer = 8 << 20

// take deals with a frame that came over the connection, without waiting.
func (b *Bus) take(payload []byte) {
	f, err := decode(payload)
	switch {
	case err != nil:
		b.metrics.passedOver.Inc()
	case f.form == formAnswer:
		b.asked.hear(f)
	case f.from == b.self:
		// Our own question has come round: we are one of those it reached.
		b.asked.hear(&frame{from: b.self, id: f.id})
	default:
		select {
		case b.in <- f:
		default:
			b.metrics.answers.WithLabelValues("dropped").Inc()
		}
	}
}

// answerAll answers one question after the other.
func (b *Bus) answerAll() {
	for {
		select {
		case f := <-b.in:
			b.answerOne(f)
		case <-b.closed.Done():
			return
		}
	}
}

func (b *Bus) answerOne(f *frame) {
	answer, ok := b.consult(f)
	if f.form != formQuestion {
		return
	}
	result := "nothing"
	if ok {
		result = "said"
	}
	if len(answer) > largestAnswer {
		b.metrics.answers.WithLabelValues("dropped").Inc()
		b.logger.Warn("answer to another replica is too large", slog.String("kind", f.kind), slog.Int("bytes", len(answer)))
		return
	}
	reply := &frame{form: formAnswer, from: b.self, id: f.id, said: ok, body: answer}
	if b.post(b.closed, &parcel{channel: f.inbox, payload: reply.encode()}) {
		b.metrics.answers.WithLabelValues(result).Inc()
	}
}

// consult calls Answer. A panic there is its own fault and costs this answer only.
func (b *Bus) consult(f *frame) (answer []byte, ok bool) {
	defer func() {
		if r := recover(); r != nil {
			b.logger.Error("answering another replica panicked", slog.String("kind", f.kind), slog.String("stack", string(debug.Stack())))
			answer, ok = nil, false
		}
	}()
	answer, ok = b.answer(f.kind, f.body)
	if !ok {
		answer = nil
	}
	return answer, ok
}
