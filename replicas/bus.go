// Package replicas lets several sluice processes that share a Redis or Valkey server ask
// each other questions: which exchanges run, and who holds the one to be cancelled.
//
// It is Redis pub/sub and nothing more: one channel that all replicas hear, and for each
// of them an inbox for answers. Nobody keeps a list of members. PUBLISH tells how many
// subscribers a question reached, every one of them answers, if only that it has nothing
// to say, and so the asker knows when it has heard everybody.
//
// The server must be a single one (with replicas and Sentinel or without), not a Redis
// Cluster, whose nodes each count only their own subscribers.
package replicas

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
)

// ErrUnavailable is what Peers comes to while there is no connection to Redis.
var ErrUnavailable = errors.New("no connection to the other replicas")

// Options are the settings of a Bus.
type Options struct {
	// Redis remains the caller's, who closes it after the Bus. Its timeouts bound how long
	// a Bus holds on to a server that does not answer; with ContextTimeoutEnabled that is
	// two seconds.
	Redis redis.UniversalClient
	// Namespace begins the names of all channels. Replicas with another one are not heard.
	// The default is "sluice".
	Namespace string
	// Instance names this replica for whoever looks at the channels of the server. Names
	// need not be unique.
	Instance string
	Logger   *slog.Logger
	// Registerer may be nil.
	Registerer prometheus.Registerer
	// Answer is called for the questions and messages of other replicas, from several
	// goroutines, and must not block for long. When ok is false there is nothing to say. A
	// message that got lost on its way may be sent again, so it may come twice. The
	// question belongs to Answer, the answer to the Bus from then on.
	Answer func(kind string, question []byte) (answer []byte, ok bool)
}

// Bus connects this replica to the others. All methods are safe for concurrent use.
type Bus struct {
	redis     redis.UniversalClient
	logger    *slog.Logger
	answer    func(kind string, question []byte) ([]byte, bool)
	metrics   *metrics
	self      peer
	questions string // the channel that all hear
	inbox     string // the channel for answers to this replica

	current atomic.Pointer[session] // nil without a connection
	tried   chan struct{}           // closed when the first connection stands or has failed
	asked   askings
	out     chan *parcel
	in      chan *frame

	closed  context.Context
	close   context.CancelFunc
	running sync.WaitGroup
}

// peer names one Bus among all that are and were.
type peer [8]byte

const (
	// queueLength bounds the questions that wait to be answered, and what waits to be sent.
	queueLength = 4096
	// answerers is how many questions are answered at the same time.
	answerers = 16
)

// Open begins to connect in the background; that Redis cannot be reached is no error. The
// Bus outlives ctx and ends with Close.
func Open(ctx context.Context, o Options) (*Bus, error) {
	if o.Redis == nil || o.Answer == nil {
		return nil, errors.New("replicas need a Redis client and someone who answers")
	}
	if o.Namespace == "" {
		o.Namespace = "sluice"
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	b := &Bus{
		redis: o.Redis, logger: o.Logger, answer: o.Answer,
		tried: make(chan struct{}), out: make(chan *parcel, queueLength), in: make(chan *frame, queueLength),
	}
	_, _ = rand.Read(b.self[:]) // it never fails
	b.questions = o.Namespace + ":replicas:questions"
	b.inbox = o.Namespace + ":replicas:answers:" + o.Instance + ":" + hex.EncodeToString(b.self[:])
	if len(b.inbox) > longestName {
		return nil, fmt.Errorf("the names of the namespace and the instance are longer than %d bytes together", longestName)
	}
	var err error
	if b.metrics, err = newMetrics(o.Registerer); err != nil {
		return nil, fmt.Errorf("registering the metrics of the replicas: %w", err)
	}
	b.closed, b.close = context.WithCancel(context.WithoutCancel(ctx))
	b.running.Go(b.listen)
	b.running.Go(b.send)
	for range answerers {
		b.running.Go(b.answerAll)
	}
	return b, nil
}

// Peers asks Redis how many other replicas listen.
func (b *Bus) Peers(ctx context.Context) (int, error) {
	if b.session(ctx) == nil {
		return 0, ErrUnavailable
	}
	reached := make(chan delivery, 1)
	p := &parcel{ctx: ctx, channel: b.questions, done: func(d delivery) { reached <- d }}
	if !b.post(ctx, p) {
		return 0, ErrUnavailable
	}
	select {
	case d := <-reached:
		if d.err != nil {
			return 0, fmt.Errorf("counting the replicas: %w", d.err)
		}
		return b.others(d.receivers), nil
	case <-ctx.Done():
		return 0, fmt.Errorf("counting the replicas: %w", ctx.Err())
	case <-b.closed.Done():
		return 0, ErrUnavailable
	}
}

// others tells how many of the subscribers are not this replica, and notes it.
func (b *Bus) others(subscribers int64) int {
	n := max(int(subscribers)-1, 0)
	b.metrics.peers.Set(float64(n))
	return n
}

// Close ends the Bus: everybody who waits for answers returns, and later questions come to
// nothing. It waits until a call to Redis has ended that is under way.
func (b *Bus) Close() error {
	b.close()
	b.running.Wait()
	return nil
}

// pause waits, and reports whether the Bus is still open then.
func (b *Bus) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-b.closed.Done():
		return false
	}
}
