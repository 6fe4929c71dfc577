package proxy

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// stormEnds are the ways in which an exchange of a storm ends.
var stormEnds = []string{"complete", "error", "cut", "failing", "busy", "leave", "cancel", "panic", "bad"}

// Whatever becomes of requests, their places are free again, and nobody waits for one that
// is not.
// row D8
func TestPlacesAreGivenBackWhateverHappens(t *testing.T) {
	t.Parallel()
	const clients, rounds = 8, 40
	r := newRouted(t, 2, func(c *config.Config) {
		c.Models[0].HedgeAfter = config.Duration(4 * time.Millisecond)
		c.Models[0].Targets[0].MaxConcurrent, c.Models[0].Targets[1].MaxConcurrent = 2, 1
		c.Queue = config.Queue{Max: 3, Wait: config.Duration(50 * time.Millisecond)}
		c.Breaker = config.Breaker{Failures: 3, Open: config.Duration(5 * time.Millisecond)}
		c.Retry.Budget, c.Retry.SameTarget, c.Retry.Backoff = 100, 1, config.Duration(time.Millisecond)
	})
	r.srv.onPhase = func(x *exchange, p accounting.Phase) {
		if strings.Contains(x.id, "panic-"+p.String()) {
			panic(secret)
		}
	}
	for name, up := range r.ups {
		up.Handle(func(e *fakeprovider.Exchange) { stormScript(name, e) })
	}
	var wg sync.WaitGroup
	for n := range clients {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(n), 7))
			for i := range rounds {
				r.stormOnce(rng, fmt.Sprintf("%d-%d", n, i))
			}
		})
	}
	wg.Wait()
	r.idleTargets()
	r.until("turns are not given back", func() bool {
		for _, s := range r.srv.Targets() {
			if s.Running+s.Queued > 0 {
				return false
			}
		}
		return true
	})
	for name, up := range r.ups {
		up.Handle(wordsOf(name))
	}
	r.until("nobody is served any more", func() bool { return r.ask(streamBody).status == 200 })
	r.idleTargets()
}

// stormScript answers as the request says.
func stormScript(name string, e *fakeprovider.Exchange) {
	body := string(e.Request.Body)
	switch {
	case strings.Contains(body, "end by error"):
		fakeprovider.Refusal(500)(e)
	case strings.Contains(body, "end by busy"):
		fakeprovider.Refusal(503, "retry-after-ms: 2")(e)
	case strings.Contains(body, "end by cut"):
		fakeprovider.Cut(400, fakeprovider.EndReset)(e)
	case strings.Contains(body, "end by failing"):
		fakeprovider.Failing(1)(e)
	case strings.Contains(body, "end by leave"), strings.Contains(body, "end by cancel"):
		headThenSilence(e)
	default:
		if e.Pause(time.Duration(rand.IntN(6000)) * time.Microsecond) {
			wordsOf(name)(e)
		}
	}
}

// stormOnce makes one request on a connection of its own and ends it in some way. It runs
// beside others and asserts nothing.
func (r *routedRig) stormOnce(rng *rand.Rand, id string) {
	how := stormEnds[rng.IntN(len(stormEnds))]
	body := streamBody
	if rng.IntN(2) == 0 {
		body = wholeBody
	}
	body = strings.Replace(body, "Say hello", "end by "+how, 1)
	if how == "panic" {
		phases := accounting.Phases()
		id += "-panic-" + phases[1+rng.IntN(len(phases)-1)].String()
	}
	if how == "bad" {
		body = strings.Replace(body, `"model":"m"`, `"model":"nothing"`, 1)
	}
	c := r.dial()
	c.send(http.MethodPost, chatPath, body, "X-Request-Id: "+id)
	moment := time.After(time.Duration(rng.IntN(12000)) * time.Microsecond)
	if how == "leave" {
		<-moment
		_ = c.Close()
		return
	}
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		if resp, err := http.ReadResponse(c.r, nil); err == nil {
			read(resp)
		}
		_ = c.Close()
	}()
	if how == "cancel" {
		control := r.dial()
		for <-moment; ; <-time.After(time.Millisecond) {
			if s := cancelOn(control, http.MethodPost, id); s == "cancelled" {
				break
			}
			select {
			case <-answered:
				return
			default:
			}
		}
	}
	<-answered
}
