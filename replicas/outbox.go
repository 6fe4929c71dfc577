package replicas

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// largestBatch bounds what is sent to Redis in one go.
	largestBatch = 128
	// sendTimeout bounds one go.
	sendTimeout = 2 * time.Second
	// countEvery is how often the replicas are counted for the metric.
	countEvery = 10 * time.Second
)

// parcel is something to send.
type parcel struct {
	ctx     context.Context // of who waits for it; nil when nobody does
	channel string
	payload []byte         // nil: count the subscribers of the channel
	done    func(delivery) // told what came of it; nil when nobody wants to know
}

// delivery is what came of a parcel.
type delivery struct {
	receivers int64
	err       error
}

// post hands a parcel over, and reports whether that was before ctx and the Bus ended.
func (b *Bus) post(ctx context.Context, p *parcel) bool {
	select {
	case b.out <- p:
		return true
	case <-ctx.Done():
		return false
	case <-b.closed.Done():
		return false
	}
}

// send sends what is posted. It is the only one who waits for Redis, so a server that
// stands still costs one goroutine, and a thousand questions at once a few round trips.
func (b *Bus) send() {
	count := time.NewTicker(countEvery)
	defer count.Stop()
	batch := make([]*parcel, 0, largestBatch)
	for {
		batch = batch[:0]
		select {
		case p := <-b.out:
			batch = append(batch, p)
		case <-count.C:
			if b.current.Load() == nil {
				continue
			}
			batch = append(batch, &parcel{channel: b.questions, done: b.counted})
		case <-b.closed.Done():
			return
		}
		b.sendBatch(b.fill(batch))
	}
}

func (b *Bus) counted(d delivery) {
	if d.err == nil {
		b.others(d.receivers)
	}
}

// fill adds what is waiting already.
func (b *Bus) fill(batch []*parcel) []*parcel {
	for len(batch) < largestBatch {
		select {
		case p := <-b.out:
			batch = append(batch, p)
		default:
			return batch
		}
	}
	return batch
}

func (b *Bus) sendBatch(batch []*parcel) {
	ctx, cancel := context.WithTimeout(b.closed, sendTimeout)
	defer cancel()
	pipeline := b.redis.Pipeline()
	results := make([]func() delivery, len(batch))
	for i, p := range batch {
		if p.ctx == nil || p.ctx.Err() == nil { // else nobody waits for it any more
			results[i] = p.add(ctx, pipeline)
		}
	}
	if pipeline.Len() == 0 {
		return
	}
	_, _ = pipeline.Exec(ctx) // each command has its own error
	for i, p := range batch {
		if results[i] != nil && p.done != nil {
			p.done(results[i]())
		}
	}
}

// add puts the parcel's command into a pipeline.
func (p *parcel) add(ctx context.Context, pipeline redis.Pipeliner) func() delivery {
	if p.payload == nil {
		cmd := pipeline.PubSubNumSub(ctx, p.channel)
		return func() delivery { return delivery{receivers: cmd.Val()[p.channel], err: cmd.Err()} }
	}
	cmd := pipeline.Publish(ctx, p.channel, p.payload)
	return func() delivery { return delivery{receivers: cmd.Val(), err: cmd.Err()} }
}
