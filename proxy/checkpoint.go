package proxy

import (
	"context"
	"time"

	"github.com/sluicehq/sluice/accounting"
)

// checkpointEvery is how often the ledger is told how far the running exchanges have
// come, so that what it knows after a crash is less than a second old.
const checkpointEvery = 450 * time.Millisecond

// checkpoints tells the ledger how far the exchanges have come. While none runs it
// sleeps.
type checkpoints struct {
	running *registry
	ledger  accounting.Ledger
	awake   chan struct{}
	ended   chan struct{}
}

func newCheckpoints(running *registry, ledger accounting.Ledger) *checkpoints {
	return &checkpoints{running: running, ledger: ledger, awake: make(chan struct{}, 1), ended: make(chan struct{})}
}

// wake is called when an exchange begins. It does not wait.
func (c *checkpoints) wake() {
	select {
	case c.awake <- struct{}{}:
	default:
	}
}

// run goes on until life ends.
func (c *checkpoints) run(life context.Context) {
	defer close(c.ended)
	for {
		select {
		case <-life.Done():
			return
		case <-c.awake:
		}
		if !c.watch(life) {
			return
		}
	}
}

// watch tells the ledger until no exchange is left; it reports false when life ended.
func (c *checkpoints) watch(life context.Context) bool {
	tick := time.NewTicker(checkpointEvery)
	defer tick.Stop()
	for {
		select {
		case <-life.Done():
			return false
		case <-tick.C:
		}
		running := c.take()
		c.ledger.Checkpoint(running)
		if len(running) == 0 {
			return true
		}
	}
}

// take reads how far the exchanges have come that may have cost something.
func (c *checkpoints) take() []accounting.Checkpoint {
	var out []accounting.Checkpoint
	for _, x := range c.running.all() {
		if a := x.attempts.lead(); a != nil {
			out = append(out, a.checkpoint())
		}
	}
	return out
}

func (a *attempt) checkpoint() accounting.Checkpoint {
	return accounting.Checkpoint{
		UID: a.uid, AttemptID: a.attemptID(), Phase: accounting.Phase(a.phase.Load()),
		Input: a.live.input.get(), Output: a.live.output.get(),
		OutputBytes: a.live.text.Load(), Chunks: a.live.chunks.Load(),
	}
}
