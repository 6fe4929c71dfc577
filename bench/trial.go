//go:build linux

package main

import (
	"fmt"
	"slices"
	"strconv"
)

// trial is one scenario with its number of streams, if it has one: a table.
type trial struct {
	scenario string
	streams  int
}

// trialsOf lists the trials in the order in which they run.
func trialsOf(o settings) (all []trial) {
	for _, scenario := range scenarioNames {
		if !slices.Contains(o.scenarios, scenario) {
			continue
		}
		if scenario != scenarioMemory {
			all = append(all, trial{scenario: scenario})
			continue
		}
		for _, n := range o.streams {
			all = append(all, trial{scenario: scenario, streams: n})
		}
	}
	return all
}

// title is the heading of the trial's table.
func (t trial) title() string {
	switch t.scenario {
	case scenarioPaced:
		return fmt.Sprintf("Paced streams: %d clients, streams of %d chunks, one every %v", pacedClients, chunksPerStream, pacedInterval)
	case scenarioSaturated:
		return fmt.Sprintf("Saturated streams: %d clients, streams of %d chunks, as fast as possible", saturatedClients, chunksPerStream)
	case scenarioMemory:
		return fmt.Sprintf("Memory: %s open streams, a chunk every second in each", thousands(t.streams))
	case scenarioCancel:
		return "Cancel: from the client's close until the upstream sees its socket closed"
	}
	return t.scenario
}

// with tells whether the trial is measured on that subject; without a proxy there
// is no memory to measure.
func (t trial) with(s subject) bool { return t.scenario != scenarioMemory || s.command != nil }

// thousands writes a number with commas.
func thousands(n int) string {
	digits := strconv.Itoa(n)
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}
