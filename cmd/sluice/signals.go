package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// shutdown tells how far a stop has gone.
type shutdown struct {
	// drain ends at the first stop signal, or when the program's own context
	// does: accept nothing new and let streams finish.
	drain context.Context
	// now ends at the second stop signal: end whatever is left at once.
	now context.Context
	// release stops listening for signals and frees both contexts.
	release func()
}

// notifyShutdown turns interrupts and SIGTERM into the two steps of a stop.
func notifyShutdown(ctx context.Context) shutdown {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	stop := stepThrough(ctx, signals)
	release := stop.release
	stop.release = func() {
		signal.Stop(signals)
		release()
	}
	return stop
}

// stepThrough ends drain and then now as values arrive.
func stepThrough(ctx context.Context, signals <-chan os.Signal) shutdown {
	drain, endDrain := context.WithCancel(ctx)
	// A cancelled parent begins the drain; it must not cut it short.
	now, endNow := context.WithCancel(context.WithoutCancel(ctx))
	released := make(chan struct{})
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		for _, end := range []context.CancelFunc{endDrain, endNow} {
			select {
			case <-signals:
				end()
			case <-released:
				return
			}
		}
	}()
	return shutdown{drain: drain, now: now, release: func() {
		close(released)
		<-finished
		endDrain()
		endNow()
	}}
}
