package balance

import (
	"encoding/json"
	"time"
)

// State is what is known of a target at one moment. In JSON its durations are
// milliseconds; it brings its own MarshalJSON, so do not embed it in what has more fields.
type State struct {
	Provider, Model string
	// State is that of the breaker: closed, half_open or open.
	State string
	// Running and Queued are turns and those who wait for one.
	Running, Queued int
	// MaxConcurrent is 0 where nothing bounds the turns.
	MaxConcurrent int
	// Latency is the moving average of the time to the first token, 0 if none is known.
	Latency time.Duration
	// PausedFor is what is left of the pause that the provider asked for.
	PausedFor time.Duration
	// Failures is how many turns have failed since the last good one.
	Failures uint32
}

// State returns what is known of the target now.
func (t *Target) State() State {
	s := State{Provider: t.provider, Model: t.model, Failures: t.failures.Load()}
	s.State, _ = t.breaker.Load().state()
	t.mu.Lock()
	defer t.mu.Unlock()
	s.Running, s.Queued, s.MaxConcurrent = t.running, t.queue.length, max(t.options.MaxConcurrent, 0)
	s.Latency = t.latency.value()
	s.PausedFor = max(time.Until(t.paused), 0)
	return s
}

// MarshalJSON implements json.Marshaler. A latency that is not known is left out.
func (s State) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Provider      string  `json:"provider"`
		Model         string  `json:"model"`
		State         string  `json:"state"`
		Running       int     `json:"running"`
		Queued        int     `json:"queued"`
		MaxConcurrent int     `json:"max_concurrent"`
		LatencyMS     float64 `json:"latency_ms,omitempty"`
		PausedForMS   float64 `json:"paused_for_ms"`
		Failures      uint32  `json:"failures"`
	}{
		s.Provider, s.Model, s.State, s.Running, s.Queued, s.MaxConcurrent,
		milliseconds(s.Latency), milliseconds(s.PausedFor), s.Failures,
	})
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
