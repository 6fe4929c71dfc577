//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// The scenarios.
const (
	scenarioPaced     = "paced"
	scenarioSaturated = "saturated"
	scenarioMemory    = "memory"
	scenarioCancel    = "cancel"
)

const (
	pacedClients     = 128
	saturatedClients = 16
	chunksPerStream  = 200
	pacedInterval    = 5 * time.Millisecond
	// settleTime is how long a proxy may settle before it is measured.
	settleTime = 2 * time.Second

	// settledHead is the time to the response head wherever the start of a stream is
	// not what is measured: no model answers at once.
	settledHead = 20 * time.Millisecond
)

// plan is what the client subcommand reads: one measurement of one proxy.
type plan struct {
	Scenario string `json:"scenario"`
	// Address is where the streams are asked for, host:port.
	Address string `json:"address"`
	// Journal is the address of the mock's journal.
	Journal string `json:"journal"`
	// Process is the proxy's process id; 0 when there is no proxy.
	Process int `json:"process"`
	// Window is the measured time of all scenarios but cancel.
	Window time.Duration `json:"window"`
	// Streams is the number of open streams in the memory scenario.
	Streams int `json:"streams"`
	// Departures is the number of streams in each cell of the cancel scenario.
	Departures int `json:"departures"`
}

// runClient is the subcommand that measures: it reads a plan and prints a report.
func runClient(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
	var p plan
	if err := json.NewDecoder(stdin).Decode(&p); err != nil {
		return fmt.Errorf("reading the plan: %w", err)
	}
	done, err := p.measure(ctx)
	if err != nil {
		return fmt.Errorf("measuring %s: %w", p.Scenario, err)
	}
	if err := json.NewEncoder(stdout).Encode(done); err != nil {
		return fmt.Errorf("printing the report: %w", err)
	}
	return nil
}

// settle lets the proxy settle; in a short measurement only for a short time.
func (p plan) settle(ctx context.Context) error {
	if !pause(ctx, nil, min(settleTime, p.Window)) {
		return ctx.Err()
	}
	return nil
}

func (p plan) measure(ctx context.Context) (report, error) {
	switch p.Scenario {
	case scenarioPaced:
		return p.load(ctx, pacedClients, recipe{Chunks: chunksPerStream, Every: pacedInterval, Head: settledHead})
	case scenarioSaturated:
		return p.load(ctx, saturatedClients, recipe{Chunks: chunksPerStream})
	case scenarioMemory:
		return p.hold(ctx)
	case scenarioCancel:
		return p.cancel(ctx)
	}
	return report{}, fmt.Errorf("no such scenario")
}
