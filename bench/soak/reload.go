//go:build linux

package main

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"github.com/sluicehq/sluice/bench/internal/child"
)

// takenWithin bounds the time until requests are made with a configuration that was loaded.
const takenWithin = 10 * time.Second

// reloader loads other configurations all the time, one in ten of which cannot be used.
type reloader struct {
	every     time.Duration
	config    *configuration
	sluice    *child.Sluice
	upstreams *upstreams

	loads      int
	generation int // of the last one that must have been taken
	broken     int
	taken      []time.Duration
	wrong      []string
}

// run reloads until ctx ends.
func (r *reloader) run(ctx context.Context) error {
	for r.every > 0 && child.Wait(ctx, r.every) {
		r.loads++
		text, good := "", r.loads%10 != 0
		if good {
			r.generation++
			text = r.config.text(r.generation, keyOf(r.generation))
		} else {
			text = r.config.broken(r.broken)
			r.broken++
		}
		if err := r.config.write(text); err != nil {
			return err
		}
		begun := time.Now()
		if err := r.sluice.Signal(syscall.SIGHUP); err != nil {
			return err
		}
		if good && !r.await(ctx, begun) {
			return nil
		}
	}
	return nil
}

// await waits until the upstreams see the key of the generation; it reports whether there
// is more to do.
func (r *reloader) await(ctx context.Context, begun time.Time) bool {
	for !r.upstreams.knows(keyOf(r.generation)) {
		if time.Since(begun) > takenWithin {
			r.wrong = append(r.wrong, fmt.Sprintf("generation %d of the configuration was not taken within %v", r.generation, takenWithin))
			return true
		}
		if !child.Wait(ctx, 2*time.Millisecond) {
			return false
		}
	}
	r.taken = append(r.taken, time.Since(begun))
	return true
}

// judge tells what was wrong about the configurations.
func (r *reloader) judge() []string {
	wrong := r.wrong
	if r.upstreams.knows(brokenKey) {
		wrong = append(wrong, "a configuration was taken that must not be")
	}
	return wrong
}

// flap makes the upstream of that name refuse connections now and then until ctx ends.
func (u *upstreams) flap(ctx context.Context) error {
	for {
		if !child.Wait(ctx, 5*time.Second) {
			return nil
		}
		u.refuse(providerFlap)
		child.Wait(ctx, 1500*time.Millisecond)
		for {
			err := u.listen(providerFlap, u.addresses[providerFlap])
			if err == nil {
				break
			}
			if !child.Wait(ctx, 100*time.Millisecond) { // somebody has the port
				return nil
			}
		}
	}
}
