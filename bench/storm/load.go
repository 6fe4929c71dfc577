//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluicehq/sluice/bench/internal/child"
)

// load is many clients that ask one request after the other.
type load struct {
	s        *settings
	replicas []*child.Sluice
	client   *http.Client
	next     atomic.Int64
	tally    tally
}

func newLoad(s *settings, replicas []*child.Sluice) *load {
	return &load{s: s, replicas: replicas, client: &http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: 2 * s.streams, DisableCompression: true,
	}}}
}

// run asks until ctx ends, or until there were enough requests (0: without end). Those
// that are under way then come to their end.
func (l *load) run(ctx context.Context, requests int) {
	var clients sync.WaitGroup
	for i := range l.s.streams {
		clients.Go(func() {
			random := rand.New(rand.NewPCG(l.s.seed, uint64(i)))
			for ctx.Err() == nil {
				n := l.next.Add(1)
				if requests > 0 && n > int64(requests) {
					return
				}
				l.one(ctx, fmt.Sprintf("storm-%x-%d", l.s.seed, n), random)
			}
		})
	}
	clients.Wait()
	l.client.CloseIdleConnections()
}

// pick returns a replica that runs, as a load balancer would; nil when ctx ends.
func (l *load) pick(ctx context.Context, random *rand.Rand) *child.Sluice {
	for {
		first := random.IntN(len(l.replicas))
		for i := range l.replicas {
			if r := l.replicas[(first+i)%len(l.replicas)]; r.Up() {
				return r
			}
		}
		if !child.Wait(ctx, 2*time.Millisecond) {
			return nil
		}
	}
}

// fate is what overtakes a request.
type fate int

const (
	fateNone fate = iota
	fateAbort
	fateCancel
)

func (l *load) fate(random *rand.Rand) fate {
	switch x := random.Float64(); {
	case x < l.s.aborts:
		return fateAbort
	case x < l.s.aborts+l.s.cancels:
		return fateCancel
	}
	return fateNone
}

// one asks one request, which its fate overtakes at a random time.
func (l *load) one(ctx context.Context, id string, random *rand.Rand) {
	r := l.pick(ctx, random)
	if r == nil {
		return
	}
	l.tally.requests.Add(1)
	asking, abort := context.WithTimeout(context.Background(), 2*time.Minute)
	defer abort()
	longest := 600 * time.Millisecond
	if l.s.mode == modeAborts {
		longest = 10 * time.Millisecond
	}
	delay := time.Duration(random.Int64N(int64(longest)))
	f := l.fate(random)
	switch f {
	case fateAbort:
		defer time.AfterFunc(delay, abort).Stop()
	case fateCancel:
		defer l.cancelAfter(asking, delay, l.replicas[random.IntN(len(l.replicas))], id)()
	case fateNone:
	}
	end := l.ask(asking, r, id, random.IntN(10) > 0)
	if end == endBroken && f == fateAbort && asking.Err() != nil {
		end = endAborted
	}
	l.tally.note(id, end)
	if end == endRefused {
		child.Wait(ctx, 20*time.Millisecond)
	}
}

// statusCancelled is that of a request without a stream that was cancelled.
const statusCancelled = 499

// ask sends a request and reads its answer to the end.
func (l *load) ask(ctx context.Context, r *child.Sluice, id string, stream bool) ending {
	body := fmt.Sprintf(`{"model":"storm","stream":%t,"max_tokens":100,"messages":[{"role":"user","content":"How is the weather?"}]}`, stream)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.API+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		return endBroken
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+clientKey)
	request.Header.Set("X-Request-Id", id)
	response, err := l.client.Do(request)
	if err != nil {
		return endBroken
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	switch {
	case response.StatusCode == http.StatusTooManyRequests || response.StatusCode == http.StatusServiceUnavailable:
		return endRefused
	case err != nil:
		return endBroken
	case response.StatusCode == statusCancelled:
		return endBroken
	case response.StatusCode != http.StatusOK:
		return endFailed
	case stream && !bytes.HasSuffix(answer, []byte("data: [DONE]\n\n")):
		return endBroken
	}
	return endWhole
}

// cancelAfter cancels a request in a while. What it returns ends that.
func (l *load) cancelAfter(ctx context.Context, delay time.Duration, at *child.Sluice, id string) (end func()) {
	over := make(chan struct{})
	timer := time.AfterFunc(delay, func() {
		defer close(over)
		l.cancel(ctx, at, id)
	})
	return func() {
		if !timer.Stop() {
			<-over
		}
	}
}

// cancel cancels a request at one of the replicas.
func (l *load) cancel(ctx context.Context, at *child.Sluice, id string) {
	if !at.Up() {
		return
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, at.API+"/v1/requests/"+id+"/cancel", http.NoBody)
	if err != nil {
		return
	}
	request.Header.Set("Authorization", "Bearer "+clientKey)
	start := time.Now()
	response, err := l.client.Do(request)
	if err != nil {
		return
	}
	defer func() { _ = response.Body.Close() }()
	var answer struct {
		Status string `json:"status"`
	}
	if response.StatusCode == http.StatusOK && json.NewDecoder(response.Body).Decode(&answer) == nil && answer.Status == "cancelled" {
		l.tally.cancelled(time.Since(start))
	}
	_, _ = io.Copy(io.Discard, response.Body)
}
