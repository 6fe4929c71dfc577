package ledger

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"
)

// The first round of retention comes when the start is over, and not for all replicas at
// the same time.
const (
	firstRoundAfter  = 2 * time.Minute
	firstRoundSpread = 3 * time.Minute
)

// KeepPruned calls Prune a few minutes after the start and then about every interval,
// until ctx ends. The Now of r is not used.
func (b *Books) KeepPruned(ctx context.Context, interval time.Duration, r Retention, log *slog.Logger) {
	b.keepPruned(ctx, firstRoundAfter+rand.N(firstRoundSpread), interval, r, log)
}

func (b *Books) keepPruned(ctx context.Context, first, interval time.Duration, r Retention, log *slog.Logger) {
	timer := time.NewTimer(first)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		b.pruneRound(ctx, r, log)
		timer.Reset(interval - interval/20 + rand.N(interval/10+1))
	}
}

func (b *Books) pruneRound(ctx context.Context, r Retention, log *slog.Logger) {
	r.Now = time.Now()
	p, err := b.Prune(ctx, r)
	if err != nil && ctx.Err() == nil {
		log.Warn("old records could not be removed", "error", err)
	}
	if p != (Pruned{}) {
		log.Info("removed old records", "exchanges", p.Exchanges, "attempts", p.Attempts, "captures", p.Captures, "freed_bytes", p.FreedBytes)
	}
}
