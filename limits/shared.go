package limits

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

//go:embed scripts/common.lua
var commonScript string

//go:embed scripts/reserve.lua
var reserveScript string

//go:embed scripts/extend.lua
var extendScript string

//go:embed scripts/settle.lua
var settleScript string

//go:embed scripts/renew.lua
var renewScript string

//go:embed scripts/seed.lua
var seedScript string

// atOnce bounds the calls under way, so that the time of a call is the server's and not
// that of a queue in front of it.
const atOnce = 32

// patience bounds the wait for one's turn, in times of Options.Timeout.
const patience = 10

var (
	errDown  = errors.New("shared counters are down")
	errBusy  = errors.New("too many calls to the shared counters")
	errReply = errors.New("unexpected reply of the shared counters")
)

// shared are the counters in Redis or Valkey.
type shared struct {
	client  redis.UniversalClient
	own     bool // client is this one's to close
	prefix  string
	timeout time.Duration
	lease   time.Duration
	turns   chan struct{}
	took    prometheus.Observer

	reserve, extend, settle, renew, seed *redis.Script

	// up is false from a failure on until the worker has found the server well.
	up atomic.Bool
	// tripped wakes the worker, with the reason.
	tripped chan string
}

func newShared(o *Options, took prometheus.Observer) *shared {
	script := func(text string) *redis.Script { return redis.NewScript(commonScript + text) }
	s := &shared{
		// One hash tag: a script takes keys of one slot only.
		prefix: "{" + o.Namespace + "}:limits:", timeout: o.Timeout, lease: o.Lease,
		turns: make(chan struct{}, atOnce), took: took, tripped: make(chan string, 1),
		reserve: script(reserveScript), extend: script(extendScript), settle: script(settleScript),
		renew: script(renewScript), seed: script(seedScript),
	}
	s.client, s.own = ownClient(o.Redis, o.Timeout)
	s.up.Store(true)
	return s
}

// ownClient is a client with connections of its own for the same server, that gives up in
// time and does not repeat by itself. A client of another kind is used as it is.
func ownClient(given redis.UniversalClient, timeout time.Duration) (redis.UniversalClient, bool) {
	quiet := &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	switch c := given.(type) {
	case *redis.Client:
		o := *c.Options()
		o.ContextTimeoutEnabled, o.MaxRetries, o.DialerRetries = true, -1, 1
		o.PoolSize, o.DialTimeout = atOnce+1, max(timeout, time.Second)
		o.PushNotificationProcessor, o.MaintNotificationsConfig = nil, quiet
		return redis.NewClient(&o), true
	case *redis.ClusterClient:
		o := *c.Options()
		o.ContextTimeoutEnabled, o.MaxRetries, o.DialerRetries = true, -1, 1
		o.PoolSize, o.DialTimeout = atOnce+1, max(timeout, time.Second)
		o.PushNotificationProcessor, o.MaintNotificationsConfig = nil, quiet
		return redis.NewClusterClient(&o), true
	}
	return given, false
}

// call runs a script for a request. It fails at once while the server is known to be
// down. Any failure of the server makes it known.
func (s *shared) call(ctx context.Context, script *redis.Script, keys []string, args []any) ([]any, error) {
	if err := s.turn(ctx); err != nil {
		return nil, err
	}
	defer func() { <-s.turns }()
	if !s.up.Load() {
		return nil, errDown
	}
	limited, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	reply, err := s.run(limited, script, keys, args)
	if err != nil && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		s.trip(err)
	}
	return reply, err
}

// turn waits for a place among the calls under way.
func (s *shared) turn(ctx context.Context) error {
	select {
	case s.turns <- struct{}{}:
		return nil
	default:
	}
	timer := time.NewTimer(patience * s.timeout)
	defer timer.Stop()
	select {
	case s.turns <- struct{}{}:
		return nil
	case <-timer.C:
		return errBusy
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// run runs a script. A script that the server does not have is sent along.
func (s *shared) run(ctx context.Context, script *redis.Script, keys []string, args []any) ([]any, error) {
	begin := time.Now()
	reply, err := script.Run(ctx, s.client, keys, args...).Result()
	s.took.Observe(time.Since(begin).Seconds())
	if err != nil {
		return nil, fmt.Errorf("calling the shared counters: %w", err)
	}
	if list, ok := reply.([]any); ok {
		return list, nil
	}
	return []any{reply}, nil
}

func (s *shared) trip(err error) {
	s.up.Store(false)
	select {
	case s.tripped <- reason(err):
	default:
	}
}

// reason is what the log says of a failure: the texts of others may hold anything.
func reason(err error) string {
	var reply redis.Error
	var timeout interface{ Timeout() bool }
	switch {
	case errors.As(err, &reply):
		code, _, _ := strings.Cut(reply.Error(), " ")
		if strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == "" {
			return code // as OOM, READONLY or NOAUTH
		}
		return "error reply"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	}
	return "not reachable"
}

// keysOf are the keys of a subject, as the scripts have them.
func (s *shared) keysOf(n name) (rate, held, reserved, spent string) {
	tail := ":" + string(n.kind) + ":" + n.name
	return s.prefix + "rate" + tail, s.prefix + "held" + tail, s.prefix + "reserved" + tail, s.prefix + "spent" + tail
}

func (s *shared) leaseArgument() string { return strconv.FormatInt(s.lease.Microseconds(), 10) }

func (s *shared) close() {
	if s.own {
		_ = s.client.Close() // connections that nobody uses any more
	}
}

// reply reads what a script returned, value by value.
type reply struct {
	values []any
	wrong  bool
}

func (r *reply) next() any {
	if len(r.values) == 0 {
		r.wrong = true
		return nil
	}
	v := r.values[0]
	r.values = r.values[1:]
	return v
}

func (r *reply) text() string {
	v, ok := r.next().(string)
	r.wrong = r.wrong || !ok
	return v
}

// integer takes a number as it is or as text: a script's own numbers are too small for
// some.
func (r *reply) integer() int64 {
	switch v := r.next().(type) {
	case int64:
		return v
	case string:
		n, err := strconv.ParseInt(v, 10, 64)
		r.wrong = r.wrong || err != nil
		return n
	}
	r.wrong = true
	return 0
}

func (r *reply) decimal() float64 {
	n, err := strconv.ParseFloat(r.text(), 64)
	r.wrong = r.wrong || err != nil
	return n
}

func (r *reply) err() error {
	if r.wrong || len(r.values) > 0 {
		return errReply
	}
	return nil
}
