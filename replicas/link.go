package replicas

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// A connection that is silent for pingAfter gets a ping, and is given up when it is
	// silent for silenceLimit: a peer that stands still or has vanished is not seen
	// otherwise. go-redis only looks whether it can write, which it long can.
	pingAfter    = time.Second
	silenceLimit = 3 * time.Second

	firstRetry = 20 * time.Millisecond
	lastRetry  = 500 * time.Millisecond

	// settling is how long after a loss the others may be without a connection: they
	// notice it and try again as we do.
	settling = silenceLimit + time.Second
)

var (
	errSilent = errors.New("the server does not answer")
	errClosed = errors.New("closed")
)

// session is the time of one connection that hears the channels.
type session struct {
	lost chan struct{} // closed at its end
	// settled is from when on the others can be expected to be connected too.
	settled time.Time
}

// verdict is the result of a question that everybody has answered whom it reached.
func (s *session) verdict(receivers int) string {
	if receivers == 0 || time.Now().Before(s.settled) {
		return resultPartial // it did not even reach ourselves, or perhaps not all others
	}
	return resultComplete
}

// session returns the connection, nil if there is none. It waits for the first attempt to
// make one.
func (b *Bus) session(ctx context.Context) *session {
	select {
	case <-b.tried:
		return b.current.Load()
	case <-ctx.Done():
		return nil
	case <-b.closed.Done():
		return nil
	}
}

// listen keeps up a connection that hears the channels, for the life of the Bus. Every
// loss is followed by a new one; a PubSub of go-redis would do that itself, but not tell.
func (b *Bus) listen() {
	wait, lost := firstRetry, false
	for {
		s := &session{lost: make(chan struct{})}
		if lost {
			s.settled = time.Now().Add(settling)
		}
		err := b.hear(s)
		wasUp := b.current.Swap(nil) != nil
		close(s.lost)
		b.metrics.up.Set(0)
		b.metrics.peers.Set(0)
		if b.closed.Err() != nil {
			return
		}
		b.reportLoss(err, wasUp)
		if wasUp {
			wait, lost = firstRetry, true
		}
		if !b.pause(wait/2 + rand.N(wait)) {
			return
		}
		wait = min(2*wait, lastRetry)
	}
}

// reportLoss logs that there is no connection, once.
func (b *Bus) reportLoss(err error, wasUp bool) {
	select {
	case <-b.tried:
		if !wasUp {
			return
		}
	default:
		close(b.tried)
	}
	b.logger.Warn("no connection to the other replicas", slog.Any("error", err))
}

// hear connects and takes what comes until the connection is lost or the Bus is closed.
func (b *Bus) hear(s *session) error {
	pubsub := b.redis.Subscribe(b.closed) // connects with the first channel
	heard := newSilence()
	over := make(chan struct{})
	watched := make(chan error, 1)
	go func() { watched <- b.watch(pubsub, heard, over) }()
	err := b.receive(pubsub, s, heard)
	close(over)
	_ = pubsub.Close() // closed already if it was given up
	if cause := <-watched; cause != nil {
		return cause
	}
	return err
}

func (b *Bus) receive(pubsub *redis.PubSub, s *session, heard *silence) error {
	channels := []string{b.questions, b.inbox}
	if err := pubsub.Subscribe(b.closed, channels...); err != nil {
		return err
	}
	for subscribed := 0; ; {
		message, err := pubsub.Receive(b.closed)
		if err != nil {
			return err
		}
		heard.end()
		switch m := message.(type) {
		case *redis.Subscription:
			if subscribed++; subscribed == len(channels) {
				b.begin(s)
			}
		case *redis.Message:
			b.take([]byte(m.Payload))
		}
	}
}

func (b *Bus) begin(s *session) {
	b.current.Store(s)
	b.metrics.up.Set(1)
	select {
	case <-b.tried:
	default:
		close(b.tried)
	}
	b.logger.Info("connected to the other replicas")
}

// watch closes a connection that is silent for too long, or when the Bus is closed, and
// says which; nil when it was over before.
func (b *Bus) watch(pubsub *redis.PubSub, heard *silence, over <-chan struct{}) error {
	tick := time.NewTicker(pingAfter / 2)
	defer tick.Stop()
	for {
		select {
		case <-over:
			return nil
		case <-b.closed.Done():
			_ = pubsub.Close()
			return errClosed
		case <-tick.C:
		}
		switch silent := heard.length(); {
		case silent >= silenceLimit:
			_ = pubsub.Close()
			return errSilent
		case silent >= pingAfter:
			_ = pubsub.Ping(b.closed) // whether it is answered decides
		}
	}
}

// silence tells how long nothing has come, by the monotonic clock.
type silence struct {
	start time.Time
	heard atomic.Int64 // since start
}

func newSilence() *silence { return &silence{start: time.Now()} }

func (s *silence) end() { s.heard.Store(int64(time.Since(s.start))) }

func (s *silence) length() time.Duration {
	return time.Since(s.start) - time.Duration(s.heard.Load())
}
