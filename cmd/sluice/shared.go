package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"github.com/sluicehq/sluice/accounting/ledger"
	"github.com/sluicehq/sluice/limits"
	"github.com/sluicehq/sluice/replicas"
)

// namespace begins the names of everything that sluice has in Redis.
const namespace = "sluice"

// host names this machine, among others that may have the same name.
var host = func() string {
	name, err := os.Hostname()
	if err != nil {
		return "localhost"
	}
	return name
}()

// instance tells this process from the other replicas that share a Redis, also after a
// restart on the same host. The ledger makes a name of its own.
var instance = func() string {
	var random [6]byte
	_, _ = rand.Read(random[:]) // never fails, see crypto/rand
	return host + "-" + hex.EncodeToString(random[:])
}()

// errRedisURL keeps the URL, which may hold a password, out of the message.
var errRedisURL = errors.New("redis: must be a URL as redis://user:password@host:6379/0")

// openRedis returns a client of the shared Redis, nil if none is configured. It connects
// when it is needed.
func (s *service) openRedis() (redis.UniversalClient, error) {
	if s.cfg.Redis == "" {
		return nil, nil
	}
	options, err := redis.ParseURL(string(s.cfg.Redis))
	if err != nil {
		return nil, errRedisURL
	}
	logging.Disable()       // what it would say, limits and replicas say
	options.MaxRetries = -1 // who asks knows what to do without an answer
	options.ContextTimeoutEnabled = true
	client := redis.NewClient(options)
	s.closers = append(s.closers, client.Close)
	return client, nil
}

// limitsTimeout is how long Redis may take before this process counts alone, and refuses
// what may only be counted together.
const limitsTimeout = 250 * time.Millisecond

// openLimits makes the limits of this process, or those that it shares with others.
func (s *service) openLimits(shared redis.UniversalClient) *limits.Limiter {
	o := limits.Options{
		Redis: shared, Namespace: namespace, Instance: instance, Timeout: limitsTimeout, Logger: s.logger, Registerer: s.registry,
	}
	if s.db != nil {
		o.Seed = func(ctx context.Context, who limits.Subject, b limits.Budget, _ string, since time.Time) (int64, error) {
			return spent(ctx, s.db, who, b, since)
		}
	}
	limiter := limits.New(o)
	s.closers = append(s.closers, func() error {
		limiter.Close()
		return nil
	})
	return limiter
}

// spent is what the books say that a budget has spent since its period began.
func spent(ctx context.Context, db *ledger.Books, who limits.Subject, b limits.Budget, since time.Time) (int64, error) {
	q := ledger.Query{Since: since}
	switch names := []string{who.Name}; who.Kind {
	case limits.Key:
		q.Keys = names
	case limits.Model:
		q.Models = names
	case limits.Provider:
		q.Providers = names
	}
	page, err := db.Usage(ctx, q)
	if err != nil {
		return 0, fmt.Errorf("reading what a budget has spent: %w", err)
	}
	var sum int64
	for _, row := range page.Rows {
		if b.Unit == limits.NanoUSD {
			sum += row.CostNanoUSD
		} else {
			sum += row.Input + row.Output
		}
	}
	return sum, nil
}

// joinReplicas lets the server and the other replicas ask each other.
func (s *service) joinReplicas(ctx context.Context, shared redis.UniversalClient) error {
	if shared == nil {
		return nil
	}
	bus, err := replicas.Open(ctx, replicas.Options{
		Redis: shared, Namespace: namespace, Instance: instance, Logger: s.logger, Registerer: s.registry,
		Answer: s.server.Answer,
	})
	if err != nil {
		return fmt.Errorf("joining the other replicas: %w", err)
	}
	s.closers = append(s.closers, bus.Close)
	s.server.Join(bus)
	return nil
}
