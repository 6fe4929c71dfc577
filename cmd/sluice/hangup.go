package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// hangups are the signals that ask for a reload. They are caught from the start on, for one
// that comes early would end the process.
type hangups struct{ signals chan os.Signal }

func notifyHangup() hangups {
	h := hangups{signals: make(chan os.Signal, 1)} // those that come during a reload are one
	signal.Notify(h.signals, syscall.SIGHUP)
	return h
}

// ignore stops listening for the signals.
func (h hangups) ignore() { signal.Stop(h.signals) }

// reloadOnHangup reloads at each signal until the function that it returns is called, which
// waits for a reload that runs.
func reloadOnHangup(signals <-chan os.Signal, reload func(ctx context.Context, by string) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-signals:
				_ = reload(ctx, "SIGHUP") // it has told the log
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() {
		cancel()
		<-ended
	}
}
