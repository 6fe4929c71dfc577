//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/internal/fakeprovider"
	"github.com/sluicehq/sluice/internal/servers"
)

// fleetStreams is how many requests the replicas of a fleet let in at the same time.
const fleetStreams = 4

// frugalKey has a hard budget.
const frugalKey = "sk-sluice-frugal-canary"

// fleet is several sluices that share PostgreSQL and Redis, each over a link of its own
// that can have faults.
type fleet struct {
	tb       testing.TB
	upstream *fakeprovider.Provider
	goOn     chan struct{} // one for each stream that may end
	replicas []*sluice
	// postgres and redis are the links of the first replica.
	postgres, redis *servers.Link
	ledger          string // URL, past the link
}

// startFleet starts replicas in front of an upstream whose streams stop in the middle until
// they may go on, and whose other answers come at once.
func startFleet(tb testing.TB, replicas int) *fleet {
	tb.Helper()
	f := &fleet{tb: tb, upstream: fakeprovider.New(tb), goOn: make(chan struct{})}
	f.upstream.Handle(f.answer)
	postgres, redis := servers.StartPostgres(tb), servers.StartRedis(tb)
	f.ledger = postgres.Database(tb)
	f.postgres, f.redis = servers.StartLink(tb, postgres.Address), servers.StartLink(tb, redis.Address)
	for i := range replicas {
		ledger, shared := f.ledger, redis.URL
		if i == 0 {
			ledger = strings.Replace(ledger, postgres.Address, f.postgres.Address, 1)
			shared = strings.Replace(shared, redis.Address, f.redis.Address, 1)
		}
		f.replicas = append(f.replicas, startWith(tb, settings{
			providers: fmt.Sprintf(`providers:
  - {name: fake, dialect: openai, base_url: %q, api_key: "${UPSTREAM_KEY}", continuous_usage: false}
models:
  - {name: fast, targets: [{provider: fake, model: fake-model}], limits: {streams: %d}}
`, f.upstream.URL(), fleetStreams),
			keys:  fmt.Sprintf("  - {alias: frugal, sha256: %q, limits: {budgets: [{usd: 1000, per: total}]}}\n", digest(frugalKey)),
			extra: fmt.Sprintf("prices: {overrides: [{model: fake-model, input: 1, output: 1}]}\nledger: %q\nredis: %q\nspool_dir: %q\n", ledger, shared, tb.TempDir()),
		}))
	}
	return f
}

func (f *fleet) answer(e *fakeprovider.Exchange) {
	asked := e.Asked()
	o := fakeprovider.ChatOptions{Model: asked.Model, IncludeUsage: asked.StreamOptions.IncludeUsage}
	if !asked.Stream {
		e.JSON(http.StatusOK, fakeprovider.ChatAnswer(o))
		return
	}
	payloads := fakeprovider.ChatStream(o)
	e.StreamHead()
	e.Event(payloads[0])
	e.Event(payloads[1])
	select {
	case <-f.goOn:
		e.Play(payloads[2:])
	case <-e.Gone():
	}
}

// release lets one stream come to its end.
func (f *fleet) release() {
	f.tb.Helper()
	select {
	case f.goOn <- struct{}{}:
	case <-time.After(patience):
		require.Fail(f.tb, "no stream waits")
	}
}

// kill ends a sluice with SIGKILL.
func (s *sluice) kill() {
	s.tb.Helper()
	require.NoError(s.tb, s.cmd.Process.Kill())
	<-s.exited
}

// open is a request in flight.
type open struct {
	id     string
	status int
	leave  context.CancelFunc
	rest   chan string // what came after the head, at its end
}

// ask asks a question, with an id if it is not empty, and waits for the head of the answer.
func (s *sluice) ask(id string, stream bool) *open {
	s.tb.Helper()
	return s.askAs(clientKey, id, stream)
}

func (s *sluice) askAs(key, id string, stream bool) *open {
	s.tb.Helper()
	ctx, leave := context.WithCancel(context.Background())
	s.tb.Cleanup(leave)
	body := fmt.Sprintf(`{"model":"fast","stream":%t,"messages":[{"role":"user","content":%q}]}`, stream, prompt)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.api+"/v1/chat/completions", strings.NewReader(body))
	require.NoError(s.tb, err)
	request.Header.Set("Authorization", "Bearer "+key)
	if id != "" {
		request.Header.Set("X-Request-Id", id)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	late := time.AfterFunc(clientPatience, leave)
	response, err := client.Do(request)
	late.Stop()
	require.NoError(s.tb, err)
	o := &open{id: response.Header.Get("X-Request-Id"), status: response.StatusCode, leave: leave, rest: make(chan string, 1)}
	go func() {
		defer func() { _ = response.Body.Close() }()
		rest, _ := io.ReadAll(response.Body) // what came before it was cut
		o.rest <- string(rest)
	}()
	return o
}

// end waits for the end of the answer.
func (o *open) end(tb testing.TB) string {
	tb.Helper()
	select {
	case rest := <-o.rest:
		return rest
	case <-time.After(clientPatience):
		require.Fail(tb, "the answer does not end")
		return ""
	}
}

// requireWhole waits for the end of a stream, which must have come whole.
func (o *open) requireWhole(tb testing.TB) {
	tb.Helper()
	rest := o.end(tb)
	require.Equal(tb, http.StatusOK, o.status, rest)
	require.True(tb, bytes.HasSuffix([]byte(rest), []byte("data: [DONE]\n\n")), rest)
}
