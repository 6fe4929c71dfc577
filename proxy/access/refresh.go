package access

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Bounds of the refresh.
const (
	// refreshPause is the least time between two refreshes that refused keys ask for, so
	// that guessing keys costs the database nothing.
	refreshPause = time.Second
	// refreshLimit bounds the wait for the store.
	refreshLimit = 10 * time.Second
)

// Refresh reads the store now. An error leaves what is known as it is; it is logged once in
// an outage.
func (k *Keyring) Refresh(ctx context.Context) error {
	if k.store == nil {
		return nil
	}
	select {
	case k.reading <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("waiting for another refresh of the keys: %w", ctx.Err())
	}
	defer func() { <-k.reading }()
	began := time.Now()
	stored, err := k.store.Keys(ctx)
	if err != nil {
		if !errors.Is(ctx.Err(), context.Canceled) {
			k.failed(err)
		}
		return fmt.Errorf("reading the stored keys: %w", err)
	}
	if err := k.setStored(stored, began); err != nil {
		return err
	}
	if k.outage {
		k.outage = false
		k.logger.Info("the stored keys can be read again")
	}
	return nil
}

// failed tells of an outage once. Whoever calls it reads the store.
func (k *Keyring) failed(err error) {
	k.metrics.failures.Inc()
	if k.outage {
		return
	}
	k.outage = true
	now := k.current.Load()
	if !now.known {
		k.logger.Error("the stored keys cannot be read: only those of the configuration are known", "error", err.Error())
		return
	}
	k.logger.Error("the stored keys cannot be read: what was known of them holds on",
		"age", time.Since(now.readAt).Round(time.Second).String(), "error", err.Error())
}

// RefreshSoon has the store read soon, and does not wait for it.
func (k *Keyring) RefreshSoon() {
	select {
	case k.wanted <- struct{}{}:
	default:
	}
}

// refreshLoop reads the store every so often, and soon after it was asked to.
func (k *Keyring) refreshLoop(ctx context.Context) {
	last := time.Now()
	next := time.NewTimer(k.every)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
		case <-k.wanted:
			select {
			case <-ctx.Done():
				return
			case <-time.After(min(k.every, refreshPause) - time.Since(last)):
			}
		}
		limited, cancel := context.WithTimeout(ctx, refreshLimit)
		_ = k.Refresh(limited) // logged there
		cancel()
		last = time.Now()
		next.Reset(k.every)
	}
}
