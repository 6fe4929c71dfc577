package proxy

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/config"
)

// seriesByFamily counts the series of sluice's own metrics.
func (r *rig) seriesByFamily() map[string]int {
	out := map[string]int{}
	for _, s := range r.series() {
		if name, _, _ := strings.Cut(s, ","); strings.HasPrefix(name, "sluice_") {
			out[name]++
		}
	}
	return out
}

// pipelined sends requests on one connection, a batch at a time, and reads their answers.
// It returns how often each status came.
func pipelined(c *client, requests []string) map[int]int {
	c.Helper()
	const batch = 500
	statuses := map[int]int{}
	for len(requests) > 0 {
		n := min(batch, len(requests))
		go func(text string) { _, _ = io.WriteString(c, text) }(strings.Join(requests[:n], ""))
		for range n {
			resp, err := http.ReadResponse(c.r, nil)
			if err != nil {
				return statuses
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				return statuses
			}
			statuses[resp.StatusCode]++
		}
		requests = requests[n:]
	}
	return statuses
}

func rawPost(path, body string, headers ...string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s\r\n%s", path, len(body), strings.Join(append(headers, ""), "\r\n"), body)
}

// A hundred thousand names of models, and as many of everything else that a client can
// think of, make not one more series.
// row C21
func TestNamesOfClientsMakeNoSeries(t *testing.T) {
	t.Parallel()
	const names, connections, few = 100_000, 4, 200
	r := newRig(t, func(c *config.Config) {
		fastAt("x")(c)
		c.Models = append(c.Models, config.Model{Name: "team-*", Targets: []config.Target{{Provider: "fake", Weight: 1, Priority: 1}}})
		c.Keys = []config.Key{{Alias: "anna", SHA256: hashOf("sk-anna")}}
	})
	const key = "X-Api-Key: sk-anna"
	random := func(rng *rand.Rand) string { return fmt.Sprintf("%x-%x", rng.Uint64(), rng.Uint64()) }
	// Each kind of request once before, so that its series are there.
	first := rand.New(rand.NewPCG(1, 1))
	kinds := []func(name string) string{
		func(name string) string { return rawPost(chatPath, `{"model":"team-`+name+`","messages":[]}`, key) },
		func(name string) string { return rawPost(chatPath, `{"model":"fake/`+name+`","messages":[]}`, key) },
		func(name string) string { return rawPost("/v1/"+name, `{"model":"fast"}`, key) },
		func(name string) string {
			return rawPost(chatPath, `{"model":"fast","messages":[]}`, key, "X-Request-Id: "+name, "User-Agent: "+name, "X-"+name+": 1")
		},
	}
	refused := []func(name string) string{
		func(name string) string { return rawPost(chatPath, `{"model":"`+name+`","messages":[]}`, key) },
		func(name string) string { return rawPost("/v1/models/"+name, "", key) },
		func(name string) string { return rawPost("/v1/requests/"+name+"/cancel", "", key) },
	}
	last := []func(name string) string{ // they end their connection
		func(name string) string { return rawPost("/"+name, "{}", key) },
		func(name string) string { return rawPost(chatPath, "{}", "X-Api-Key: "+name) },
		func(name string) string { return rawPost(chatPath, name, key) },
		func(name string) string { return name + " / HTTP/1.1\r\n\r\n" },
	}
	ask := func(of []func(string) string, rng *rand.Rand) {
		for _, request := range of {
			require.NotEmpty(t, pipelined(r.dial(), []string{request(random(rng))}))
		}
	}
	ask(kinds, first)
	ask(refused, first)
	ask(last, first)
	r.allEnded()
	before := r.seriesByFamily()

	var group sync.WaitGroup
	counts := make([]map[int]int, connections)
	for n := range connections {
		c := r.dial()
		require.NoError(t, c.SetDeadline(time.Now().Add(30*patience))) // they are many
		group.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(n), 7))
			requests := make([]string, names/connections)
			for i := range requests {
				requests[i] = refused[0](random(rng))
			}
			counts[n] = pipelined(c, requests)
		})
	}
	group.Wait()
	for _, statuses := range counts {
		require.Equal(t, map[int]int{404: names / connections}, statuses)
	}
	rng := rand.New(rand.NewPCG(3, 3))
	for range few {
		ask(kinds, rng)
		ask(refused, rng)
		ask(last, rng)
	}
	records := r.allEnded()
	require.Len(t, records, (few+1)*len(kinds))
	require.Equal(t, before, r.seriesByFamily())
	for _, s := range r.series() {
		if strings.Contains(s, "model=") && strings.HasPrefix(s, "sluice_requests_total") {
			require.Regexp(t, `model=(fast|team-\*|other),`, s)
		}
	}
}

// Whatever a record says, its labels are from the configuration or from closed lists.
// row C21
func TestNamesInRecordsMakeNoSeries(t *testing.T) {
	t.Parallel()
	r := newRig(t, fastAt("x"))
	ended := func(name string) {
		r.srv.metrics.Exchange(&accounting.Record{
			ModelAsked: name, ModelServed: name, Provider: name, Target: name, Key: name, Code: name, Endpoint: name, ServiceTier: name, Outcome: accounting.Outcome(name),
			StatusDownstream: len(name), UsageSource: accounting.Source(name), FinishReasons: []string{name}, ToolCalls: []accounting.ToolCallSummary{{Name: name}},
			Attempts: []accounting.Attempt{{Provider: name, Model: name, Kind: name, Outcome: accounting.Outcome(name), Code: name}},
		}, 1)
		r.srv.metrics.Rejected(name)
	}
	ended("first")
	ended("Second Kind, without a form of code")
	before := r.seriesByFamily()
	rejected := before["sluice_rejected_total"]
	delete(before, "sluice_rejected_total")
	for i := range 100_000 {
		ended(fmt.Sprintf("name_%d", i))
	}
	after := r.seriesByFamily()
	require.LessOrEqual(t, after["sluice_rejected_total"]-rejected, 100, "codes are sluice's own, and bounded all the same")
	delete(after, "sluice_rejected_total")
	require.Equal(t, before, after)
}
