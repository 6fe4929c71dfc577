//go:build linux

package main

import (
	"context"
	"sync"
	"time"
)

// load runs clients that ask for one stream after the other, and measures in a
// window after the warm-up.
func (p plan) load(ctx context.Context, clients int, r recipe) (report, error) {
	request, err := r.wire(p.Address)
	if err != nil {
		return report{}, err
	}
	var counts tally
	var running sync.WaitGroup
	stopped := make(chan struct{})
	for i := range clients {
		// Spread over the length of a stream, so that the streams do not all
		// begin, tick and end together.
		delay := r.lasts() * time.Duration(i) / time.Duration(clients)
		running.Go(func() {
			c := newConnection(p.Address, 16<<10)
			defer c.close()
			for pause(ctx, stopped, delay) {
				err := c.stream(ctx, request, r.Chunks, r.lasts()+30*time.Second, counts.delta)
				counts.stream(err)
				if delay = 0; err != nil {
					delay = 10 * time.Millisecond
				}
			}
		})
	}
	used, err := p.window(ctx, &counts)
	close(stopped)
	running.Wait()
	if err != nil {
		return report{}, err
	}
	return counts.report(loadFigures(&counts, used, p.Window, p.Process != 0)), nil
}

// window waits for the warm-up, opens the counts for the window and returns the
// processor time that the proxy used in it.
func (p plan) window(ctx context.Context, counts *tally) (used time.Duration, err error) {
	if err := p.settle(ctx); err != nil {
		return 0, err
	}
	// Not before the warm-up: a proxy may listen before its workers exist.
	proxy, err := family(p.Process)
	if err != nil {
		return 0, err
	}
	before, err := proxy.cpu()
	if err != nil {
		return 0, err
	}
	counts.window.Store(true)
	if !pause(ctx, nil, p.Window) {
		return 0, ctx.Err()
	}
	after, err := proxy.cpu()
	counts.window.Store(false)
	return after - before, err
}

// loadFigures are the figures of paced and saturated streams.
func loadFigures(counts *tally, used, window time.Duration, proxied bool) map[string]float64 {
	figures := map[string]float64{
		figureRate: float64(counts.chunks.Load()) / window.Seconds(),
		figureP50:  microseconds(counts.latency.quantile(.50)),
		figureP99:  microseconds(counts.latency.quantile(.99)),
	}
	if chunks := counts.chunks.Load(); proxied && chunks > 0 {
		figures[figureCPU] = microseconds(used) / float64(chunks)
	}
	return figures
}

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// pause waits, and reports false if ctx or stopped came first.
func pause(ctx context.Context, stopped <-chan struct{}, d time.Duration) bool {
	select {
	case <-stopped:
		return false
	case <-ctx.Done():
		return false
	default:
	}
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-stopped:
		return false
	case <-ctx.Done():
		return false
	}
}
