package replicas

import (
	"context"
	"sync"
	"time"
)

// longestAsk bounds the questions of those who set no bound themselves: a replica whose
// machine has vanished counts as a subscriber until Redis gives its connection up.
const longestAsk = 10 * time.Second

// The values of the metric's label "result".
const (
	resultComplete    = "complete"
	resultEnough      = "enough"
	resultPartial     = "partial"
	resultUnavailable = "unavailable"
	resultTold        = "told"
	resultDropped     = "dropped"
)

// Ask puts a question to all other replicas and returns what they answered, without those
// who had nothing to say. It returns when every replica that the question reached has
// answered, when enough (which may be nil) is satisfied with an answer, when ctx ends, or
// at once without a connection to Redis.
//
// complete tells that nobody could have more to say, or that it was enough. It is false as
// well for a few seconds after the connection was lost: others may be without it still.
func (b *Bus) Ask(ctx context.Context, kind string, question []byte, enough func(answer []byte) bool) (answers [][]byte, complete bool) {
	start := time.Now()
	answers, result := b.ask(ctx, kind, question, enough)
	b.metrics.asked(kind, result, time.Since(start))
	return answers, result == resultComplete || result == resultEnough
}

func (b *Bus) ask(ctx context.Context, kind string, question []byte, enough func([]byte) bool) (answers [][]byte, result string) {
	ctx, cancel := context.WithTimeout(ctx, longestAsk)
	defer cancel()
	s := b.session(ctx)
	if s == nil {
		return nil, resultUnavailable
	}
	a := b.asked.begin()
	defer b.asked.end(a)
	reached := make(chan delivery, 1)
	f := &frame{form: formQuestion, from: b.self, id: a.id, inbox: b.inbox, kind: kind, body: question}
	if !b.post(ctx, &parcel{ctx: ctx, channel: b.questions, payload: f.encode(), done: func(d delivery) { reached <- d }}) {
		return nil, resultPartial
	}
	receivers, heard := -1, 0
	for {
		select {
		case d := <-reached:
			if d.err != nil {
				return answers, resultUnavailable
			}
			b.others(d.receivers)
			receivers = int(d.receivers)
		case <-a.news:
			var latest [][]byte
			latest, heard = a.take()
			answers = append(answers, latest...)
			if satisfied(latest, enough) {
				return answers, resultEnough
			}
		case <-s.lost:
			return answers, resultPartial
		case <-ctx.Done():
			return answers, resultPartial
		case <-b.closed.Done():
			return answers, resultPartial
		}
		if receivers >= 0 && heard >= receivers {
			return answers, s.verdict(receivers)
		}
	}
}

func satisfied(answers [][]byte, enough func([]byte) bool) bool {
	if enough == nil {
		return false
	}
	for _, answer := range answers {
		if enough(answer) {
			return true
		}
	}
	return false
}

// Tell sends a message to all other replicas, to their Answer. It does not wait and does
// not tell whether anybody got it.
func (b *Bus) Tell(kind string, message []byte) {
	f := &frame{form: formMessage, from: b.self, kind: kind, body: message}
	select {
	case b.out <- &parcel{channel: b.questions, payload: f.encode()}:
		b.metrics.questions.WithLabelValues(kind, resultTold).Inc()
	default:
		b.metrics.questions.WithLabelValues(kind, resultDropped).Inc()
	}
}

// askings are the questions that wait for answers.
type askings struct {
	mu   sync.Mutex
	last uint64
	open map[uint64]*asking
}

// asking is one question on its way.
type asking struct {
	id   uint64
	news chan struct{} // has room for one

	mu      sync.Mutex
	heard   map[peer]struct{}
	answers [][]byte // not taken yet
}

func (as *askings) begin() *asking {
	as.mu.Lock()
	defer as.mu.Unlock()
	as.last++
	a := &asking{id: as.last, news: make(chan struct{}, 1), heard: make(map[peer]struct{})}
	if as.open == nil {
		as.open = make(map[uint64]*asking)
	}
	as.open[a.id] = a
	return a
}

func (as *askings) end(a *asking) {
	as.mu.Lock()
	defer as.mu.Unlock()
	delete(as.open, a.id)
}

// hear takes an answer to one of the questions; nobody may wait for it any more.
func (as *askings) hear(f *frame) {
	as.mu.Lock()
	a := as.open[f.id]
	as.mu.Unlock()
	if a != nil {
		a.hear(f)
	}
}

// hear counts every replica once: a question that was sent again is answered again.
func (a *asking) hear(f *frame) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, again := a.heard[f.from]; again {
		return
	}
	a.heard[f.from] = struct{}{}
	if f.said {
		a.answers = append(a.answers, f.body)
	}
	select {
	case a.news <- struct{}{}:
	default:
	}
}

// take returns the answers that have come since the last call, and how many replicas have
// answered in all.
func (a *asking) take() (answers [][]byte, heard int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	answers, a.answers = a.answers, nil
	return answers, len(a.heard)
}
