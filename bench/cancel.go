//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"
)

const (
	departurePatience = 10 * time.Second // for the upstream to see its connection closed
	departureArrival  = 10 * time.Second // for a stream to get where the client leaves
	departureSpread   = 10 * time.Millisecond
	afterlife         = 300 * time.Millisecond // in which a repeated request would show
	deltasBefore      = 4
)

// moment is a moment of a stream at which the client leaves.
type moment struct {
	key, title string
	recipe     recipe
	// reached tells when the upstream is where it should be.
	reached func(*passage) <-chan struct{}
	// deltas is the number of deltas that the client must have read.
	deltas int
}

// moments are the rows of the cancel matrix.
var moments = []moment{
	{
		"unanswered", "no answer yet",
		recipe{Chunks: 1000, Every: 100 * time.Millisecond, Head: time.Minute},
		func(p *passage) <-chan struct{} { return p.asked },
		0,
	},
	{
		"headers", "headers only",
		recipe{Chunks: 1000, Every: 100 * time.Millisecond, Head: settledHead, First: time.Minute},
		func(p *passage) <-chan struct{} { return p.headed },
		0,
	},
	{
		"chunks", "between two chunks",
		recipe{Chunks: 1000, Every: 100 * time.Millisecond, Head: settledHead},
		func(p *passage) <-chan struct{} { return p.headed },
		deltasBefore,
	},
	{
		"silence", "in a silence",
		recipe{Chunks: 1000, Every: 20 * time.Millisecond, Head: settledHead, QuietAfter: deltasBefore, Quiet: time.Minute},
		func(p *passage) <-chan struct{} { return p.headed },
		deltasBefore,
	},
}

// The ways to leave: close, which sends a FIN, and close with SO_LINGER 0, which
// sends a RST.
const (
	leaveFIN = "fin"
	leaveRST = "rst"
)

var ways = []string{leaveFIN, leaveRST}

// cancel measures every cell of the matrix, one after the other.
func (p plan) cancel(ctx context.Context) (report, error) {
	journal, err := follow(ctx, p.Journal)
	if err != nil {
		return report{}, err
	}
	defer journal.close()
	var counts tally
	figures := map[string]float64{}
	for _, m := range moments {
		for _, way := range ways {
			cell := departures{plan: p, moment: m, way: way, journal: journal, counts: &counts}
			if err := cell.measure(ctx, figures); err != nil {
				return report{}, err
			}
		}
	}
	return counts.report(figures), nil
}

// departures are the streams of one cell.
type departures struct {
	plan    plan
	moment  moment
	way     string
	journal *follower
	counts  *tally
}

// measure runs the streams of the cell, and puts its figures beside the others.
func (d departures) measure(ctx context.Context, figures map[string]float64) error {
	left := make([]int64, d.plan.Departures)
	var running sync.WaitGroup
	for i := range left {
		running.Go(func() {
			if !pause(ctx, nil, time.Duration(i)*departureSpread) {
				return
			}
			at, err := d.one(ctx, d.name(i))
			d.counts.stream(err)
			if err == nil {
				left[i] = at
			}
		})
	}
	running.Wait()
	if !pause(ctx, nil, afterlife) {
		return ctx.Err()
	}
	d.evaluate(left, figures)
	return nil
}

func (d departures) name(i int) string {
	return d.moment.key + "." + d.way + "." + strconv.Itoa(i)
}

// evaluate holds the departures against the journal. A stream without a time of
// departure broke before it got there, and counts nowhere else.
func (d departures) evaluate(left []int64, figures map[string]float64) {
	var delays histogram
	reached := 0
	for i, at := range left {
		if at == 0 {
			continue
		}
		reached++
		if gone, ok := d.journal.of(d.name(i)).end(); ok && time.Duration(gone-at) <= departurePatience {
			delays.add(time.Duration(gone - at))
		}
	}
	if reached > 0 {
		figures[d.key(statClosed)] = 100 * float64(delays.count()) / float64(reached)
	}
	if delays.count() > 0 {
		figures[d.key(statP50)] = milliseconds(delays.quantile(.50))
		figures[d.key(statP99)] = milliseconds(delays.quantile(.99))
		figures[d.key(statMax)] = milliseconds(delays.max())
	}
}

func (d departures) key(stat string) string { return cellKey(d.moment.key, d.way, stat) }

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// one runs a stream up to its moment, leaves, and waits for the upstream to see
// that. It returns when the client left, in UnixNano.
func (d departures) one(ctx context.Context, name string) (left int64, err error) {
	r := d.moment.recipe
	r.ID = name
	request, err := r.wire(d.plan.Address)
	if err != nil {
		return 0, err
	}
	c := newConnection(d.plan.Address, 4<<10)
	defer c.close()
	if err := c.open(ctx); err != nil {
		return 0, err
	}
	if _, err := c.tcp.Write(request); err != nil {
		return 0, readFailure("sending the request", err)
	}
	passage := d.journal.of(name)
	if err := d.stay(ctx, c, passage); err != nil {
		return 0, err
	}
	if d.way == leaveRST {
		if err := c.tcp.SetLinger(0); err != nil {
			return 0, fmt.Errorf("%w: %w", errCut, err)
		}
	}
	left = time.Now().UnixNano()
	c.close()
	select {
	case <-passage.closed:
	case <-time.After(departurePatience):
	case <-ctx.Done():
	}
	return left, nil
}

// stay reads until some while after the moment has come. Without an error it returns
// with the reader at rest: a close while another goroutine is in a read would wait for
// that goroutine, and unread bytes would turn the FIN into a RST. After an error the
// reader ends when the connection is closed.
func (d departures) stay(ctx context.Context, c *connection, p *passage) error {
	enough := make(chan struct{})
	ended := make(chan error, 1)
	go func() { ended <- d.readOn(c, enough) }()
	arrival := time.After(departureArrival)
	for _, sign := range []<-chan struct{}{d.moment.reached(p), enough} {
		select {
		case <-sign:
		case err := <-ended:
			return endedEarly(err)
		case <-arrival:
			return fmt.Errorf("%w: the stream did not get where the client leaves", errTimeout)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	rest := 100*time.Millisecond + rand.N(200*time.Millisecond)
	if err := c.tcp.SetReadDeadline(time.Now().Add(rest)); err != nil {
		return fmt.Errorf("%w: %w", errCut, err)
	}
	if err := <-ended; !errors.Is(err, errTimeout) {
		return endedEarly(err)
	}
	return nil
}

func endedEarly(err error) error {
	if err == nil {
		return fmt.Errorf("%w: the stream was over before the client left", errOrder)
	}
	return fmt.Errorf("before the client left: %w", err)
}

// readOn reads and checks until the connection ends or its read deadline passes.
// It closes enough after the deltas that the moment asks for.
func (d departures) readOn(c *connection, enough chan<- struct{}) error {
	due := d.moment.deltas
	if due == 0 {
		close(enough)
	}
	body, _, err := c.head()
	if err != nil {
		return err
	}
	return c.body(body, d.moment.recipe.Chunks, func(_, _ int64) {
		if due--; due == 0 {
			close(enough)
		}
	})
}
