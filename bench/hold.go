//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

const (
	holdInterval = time.Second
	openRate     = 500              // streams a second
	openLimit    = 60 * time.Second // for the last stream to get its first delta
	sampleEvery  = 250 * time.Millisecond
)

var errAllBroken = errors.New("no stream came through the proxy")

// hold opens many slow streams on a proxy that has done next to nothing, and
// compares its memory with that before.
func (p plan) hold(ctx context.Context) (report, error) {
	journal, err := follow(ctx, p.Journal)
	if err != nil {
		return report{}, err
	}
	defer journal.close()
	var counts tally
	if err := p.stir(ctx, &counts); err != nil {
		return report{}, err
	}
	proxy, err := family(p.Process)
	if err != nil {
		return report{}, err
	}
	before, err := proxy.rss()
	if err != nil {
		return report{}, err
	}
	crowd, err := p.openCrowd(ctx, &counts)
	if err != nil {
		return report{}, err
	}
	defer crowd.running.Wait()
	defer func() { _ = journal.finish() }()
	if err := crowd.gather(ctx); err != nil {
		return report{}, err
	}
	if err := p.settle(ctx); err != nil {
		return report{}, err
	}
	mean, err := p.meanRSS(ctx, proxy)
	if err != nil {
		return report{}, err
	}
	open := crowd.open.Load()
	if err := journal.finish(); err != nil {
		return report{}, err
	}
	crowd.running.Wait()
	if open == 0 {
		return report{}, errAllBroken
	}
	return counts.report(map[string]float64{
		figureOpen: float64(open), figureBefore: mebibytes(float64(before)), figureDuring: mebibytes(mean),
		figurePerStream: (mean - float64(before)) / float64(open) / 1024,
	}), nil
}

func mebibytes(bytes float64) float64 { return bytes / (1 << 20) }

// stir sends a few short streams, so that the proxy has made what it makes once, and
// lets it settle.
func (p plan) stir(ctx context.Context, counts *tally) error {
	r := recipe{Chunks: 20, Head: settledHead}
	request, err := r.wire(p.Address)
	if err != nil {
		return err
	}
	var running sync.WaitGroup
	for range 8 {
		running.Go(func() {
			c := newConnection(p.Address, 4<<10)
			defer c.close()
			for range 8 {
				counts.stream(c.stream(ctx, request, r.Chunks, 30*time.Second, counts.delta))
			}
		})
	}
	running.Wait()
	return p.settle(ctx)
}

// crowd is the set of open streams.
type crowd struct {
	running sync.WaitGroup
	total   int
	open    atomic.Int64  // have had a delta and not ended
	settled atomic.Int64  // have had a delta or ended
	ready   chan struct{} // closed when all have settled
}

// openCrowd starts to open the streams and returns at once.
func (p plan) openCrowd(ctx context.Context, counts *tally) (*crowd, error) {
	request, err := recipe{Every: holdInterval, Head: settledHead}.wire(p.Address)
	if err != nil {
		return nil, err
	}
	all := &crowd{total: p.Streams, ready: make(chan struct{})}
	limit := all.opening() + openLimit + 2*settleTime + p.Window + 30*time.Second
	for i := range p.Streams {
		delay := time.Duration(i) * time.Second / openRate
		all.running.Go(func() {
			if !pause(ctx, nil, delay) {
				return
			}
			c := newConnection(p.Address, 4<<10)
			defer c.close()
			first := true
			err := c.stream(ctx, request, 0, limit, func(sent, read int64) {
				if first {
					first = false
					all.open.Add(1)
					all.settle()
				}
				counts.delta(sent, read)
			})
			counts.stream(err)
			if first {
				all.settle()
				return
			}
			all.open.Add(-1)
		})
	}
	return all, nil
}

// opening is the time that opening all the streams takes.
func (c *crowd) opening() time.Duration { return time.Duration(c.total) * time.Second / openRate }

func (c *crowd) settle() {
	if c.settled.Add(1) == int64(c.total) {
		close(c.ready)
	}
}

// gather waits until every stream has had its first delta or broken.
func (c *crowd) gather(ctx context.Context) error {
	select {
	case <-c.ready:
	case <-time.After(c.opening() + openLimit):
		return fmt.Errorf("%d of %d streams had no delta in time", int64(c.total)-c.settled.Load(), c.total)
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// meanRSS samples the resident memory of the proxy during the window, in bytes.
func (p plan) meanRSS(ctx context.Context, proxy processes) (float64, error) {
	var sum, samples float64
	for end := time.Now().Add(p.Window); ; {
		resident, err := proxy.rss()
		if err != nil {
			return 0, err
		}
		sum += float64(resident)
		samples++
		if !time.Now().Before(end) {
			return sum / samples, nil
		}
		if !pause(ctx, nil, sampleEvery) {
			return 0, ctx.Err()
		}
	}
}
