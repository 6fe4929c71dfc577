//go:build linux

package main

import (
	"context"
	"encoding/json"
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
	s       *settings
	sluice  *child.Sluice
	diary   *diary
	models  []string
	cancels *http.Client
	next    atomic.Int64
}

func newLoad(s *settings, sluice *child.Sluice, d *diary) *load {
	return &load{
		s: s, sluice: sluice, diary: d, models: modelNames(s.targets),
		cancels: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}, Timeout: hungAfter},
	}
}

// run asks until ctx ends. What is under way then comes to its end.
func (l *load) run(ctx context.Context) {
	var clients sync.WaitGroup
	address := strings.TrimPrefix(l.sluice.API, "http://")
	for i := range l.s.streams {
		clients.Go(func() {
			random := rand.New(rand.NewPCG(l.s.seed, uint64(i)<<32|uint64(l.next.Load())))
			c := &client{address: address}
			defer c.close()
			for ctx.Err() == nil {
				l.one(ctx, c, random)
			}
		})
	}
	clients.Wait()
	l.cancels.CloseIdleConnections()
}

func (l *load) one(ctx context.Context, c *client, random *rand.Rand) {
	s := l.diary.open(l.s.newPlan(random, l.next.Add(1), l.models))
	if s.cancelAfter > 0 {
		defer l.cancelLater(s)()
	}
	s.view = c.ask(&s.plan)
	if s.view.status == http.StatusTooManyRequests || s.view.status == http.StatusServiceUnavailable || s.view.wrong != "" {
		child.Wait(ctx, 50*time.Millisecond)
	}
}

// cancelLater cancels a request in a while. What it returns ends that.
func (l *load) cancelLater(s *story) (end func()) {
	over := make(chan struct{})
	timer := time.AfterFunc(s.cancelAfter, func() {
		defer close(over)
		s.cancelled = l.cancel(s)
	})
	return func() {
		if !timer.Stop() {
			<-over
		}
	}
}

// cancel cancels a request and tells what the answer said of it, empty if it was not known.
func (l *load) cancel(s *story) string {
	request, err := http.NewRequest(http.MethodPost, l.sluice.API+"/v1/requests/"+s.nonce+"/cancel", http.NoBody)
	if err != nil {
		return ""
	}
	request.Header.Set("Authorization", "Bearer "+s.key.secret)
	response, err := l.cancels.Do(request)
	if err != nil {
		return "failed"
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	var answer struct {
		ID     string `json:"id"`
		Status string `json:"status"`
	}
	switch {
	case response.StatusCode == http.StatusNotFound:
		return ""
	case response.StatusCode != http.StatusOK || err != nil || json.Unmarshal(body, &answer) != nil || answer.ID != s.nonce:
		return "failed"
	}
	return answer.Status
}
