//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
)

// measurement is one run of one scenario on one subject, and a JSON line.
type measurement struct {
	Kind     string `json:"kind"` // "measurement"
	Scenario string `json:"scenario"`
	// AskedStreams is the number of streams of the memory scenario.
	AskedStreams int     `json:"asked_streams,omitempty"`
	Subject      string  `json:"subject"`
	Title        string  `json:"title"`
	Run          int     `json:"run"`
	Seconds      float64 `json:"seconds"` // the measured time; 0 for cancel
	report
}

func (m measurement) trial() trial { return trial{scenario: m.Scenario, streams: m.AskedStreams} }

// jsonLines writes a JSON line for each value; without a writer it writes nothing.
type jsonLines struct{ w io.Writer }

func (j jsonLines) write(line any) error {
	if j.w == nil {
		return nil
	}
	if err := json.NewEncoder(j.w).Encode(line); err != nil {
		return fmt.Errorf("writing a JSON line: %w", err)
	}
	return nil
}

// machineLine is the first JSON line of a comparison.
type machineLine struct {
	Kind string `json:"kind"` // "machine"
	machine
}
