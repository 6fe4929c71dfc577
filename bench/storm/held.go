//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/sluicehq/sluice/bench/internal/child"
)

// heldByMetric is the sum of what processes say that requests hold: slots, tokens and
// money. All of it must be 0 when nothing runs.
func heldByMetric(ctx context.Context, replicas []*child.Sluice) (float64, error) {
	return metric(ctx, replicas, "sluice_limits_held")
}

// counted is how many exchanges processes have counted since their start.
func counted(ctx context.Context, replicas []*child.Sluice) (int, error) {
	n, err := metric(ctx, replicas, "sluice_requests_total")
	return int(n), err
}

// metric adds up all samples of a metric.
func metric(ctx context.Context, replicas []*child.Sluice, name string) (sum float64, err error) {
	for _, r := range replicas {
		metrics, err := r.Metrics(ctx)
		if err != nil {
			return 0, err
		}
		sum += metrics[name]
	}
	return sum, nil
}

// slots tells how many requests of the client's key are let in at the same time: as many
// as its limit says, unless something is held that nobody uses. In the end their clients
// leave all of them.
func (l *load) slots(ctx context.Context, round int) (admitted int, err error) {
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	var mu sync.Mutex
	var asking, reading sync.WaitGroup
	next := make(chan int)
	for range l.s.streams {
		asking.Go(func() {
			for i := range next {
				id := fmt.Sprintf("%s%x-%d-%d", heldID, l.s.seed, round, i)
				response, failure := l.hold(ctx, l.replicas[i%len(l.replicas)], id)
				mu.Lock()
				if failure != nil {
					err = failure
				}
				if response != nil {
					admitted++
					reading.Go(func() {
						_, _ = io.Copy(io.Discard, response.Body) // until it is left
						_ = response.Body.Close()
					})
				}
				mu.Unlock()
			}
		})
	}
	for i := range largestStreams + 10 {
		next <- i
	}
	close(next)
	asking.Wait()
	leave()
	reading.Wait()
	l.client.CloseIdleConnections()
	return admitted, err
}

// unavailableTries is how often a request is made whose limits cannot be checked: hundreds
// of them at once, on top of everything else, may take Redis longer than sluice waits.
const unavailableTries = 100

// hold asks for a stream that does not end by itself. It returns nothing if there is no
// slot for it.
func (l *load) hold(ctx context.Context, r *child.Sluice, id string) (*http.Response, error) {
	for try := range unavailableTries {
		response, err := l.askHeld(ctx, r, fmt.Sprintf("%s-%d", id, try))
		if err != nil {
			return nil, fmt.Errorf("asking for a slot: %w", err)
		}
		if response.StatusCode == http.StatusOK {
			l.tally.note("", endAborted)
			return response, nil
		}
		l.tally.note("", endRefused)
		_ = response.Body.Close()
		switch response.StatusCode {
		case http.StatusTooManyRequests:
			return nil, nil
		case http.StatusServiceUnavailable:
			if !child.Wait(ctx, 50*time.Millisecond) {
				return nil, ctx.Err()
			}
		default:
			return nil, fmt.Errorf("asking for a slot: status %d", response.StatusCode)
		}
	}
	return nil, errors.New("asking for a slot: the limits stay unavailable")
}

func (l *load) askHeld(ctx context.Context, r *child.Sluice, id string) (*http.Response, error) {
	body := strings.NewReader(`{"model":"storm","stream":true,"max_tokens":100,"messages":[{"role":"user","content":"Wait."}]}`)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.API+"/v1/chat/completions", body)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+clientKey)
	request.Header.Set("X-Request-Id", id)
	l.tally.requests.Add(1)
	return l.client.Do(request)
}
