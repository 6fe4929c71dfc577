// Package accounting knows what an exchange used: it reads usage and tool calls
// out of answers, estimates what nobody reported, keeps the one record of each
// exchange and feeds the metrics from it. It knows no HTTP and no framing.
package accounting

import (
	"errors"
	"slices"
)

// Outcome is how an exchange, or one attempt inside it, ended. The list is
// closed: code, metrics, ledger and dashboard use these words and no others.
type Outcome string

// The outcomes. Exactly one of them belongs to every finished exchange.
const (
	// OutcomeCompleted means that the upstream ended well: it sent its end
	// sentinel, or a finish reason for every choice.
	OutcomeCompleted Outcome = "completed"
	// OutcomeClientGone means that the downstream connection ended first, in
	// any phase. The access log calls it 499.
	OutcomeClientGone Outcome = "client_gone"
	// OutcomeClientStalled means that the client stayed but stopped reading.
	OutcomeClientStalled Outcome = "client_stalled"
	// OutcomeCancelled means that the cancel call of the API ended it.
	OutcomeCancelled Outcome = "cancelled"
	// OutcomeLimit means that a running budget, token or time limit was
	// crossed in mid-stream.
	OutcomeLimit Outcome = "limit"
	// OutcomeUpstreamError means that the upstream refused, reset, answered
	// with a bad status, sent an error event or sent garbage.
	OutcomeUpstreamError Outcome = "upstream_error"
	// OutcomeUpstreamTruncated means that the body ended without its end
	// sentinel or finish reasons, whatever the framing said.
	OutcomeUpstreamTruncated Outcome = "upstream_truncated"
	// OutcomeUpstreamTimeout means that the connect, first-token, idle or
	// total limit passed.
	OutcomeUpstreamTimeout Outcome = "upstream_timeout"
	// OutcomeShutdown means that the drain deadline passed.
	OutcomeShutdown Outcome = "shutdown"
	// OutcomeCrash is written at the next start for exchanges that a killed
	// process left open.
	OutcomeCrash Outcome = "crash"
	// OutcomeInternal means that the fault was ours.
	OutcomeInternal Outcome = "internal"
)

var outcomes = [...]Outcome{
	OutcomeCompleted, OutcomeClientGone, OutcomeClientStalled, OutcomeCancelled, OutcomeLimit,
	OutcomeUpstreamError, OutcomeUpstreamTruncated, OutcomeUpstreamTimeout, OutcomeShutdown,
	OutcomeCrash, OutcomeInternal,
}

// Outcomes returns the closed list in a fixed order. The caller owns the slice.
func Outcomes() []Outcome { return slices.Clone(outcomes[:]) }

// Valid reports whether o is one of the closed list.
func (o Outcome) Valid() bool { return slices.Contains(outcomes[:], o) }

// Cut reports whether sluice ended an upstream call that was still wanted by
// the upstream: the causes counted by sluice_cancels_total.
func (o Outcome) Cut() bool {
	switch o {
	case OutcomeClientGone, OutcomeClientStalled, OutcomeCancelled, OutcomeLimit,
		OutcomeShutdown, OutcomeUpstreamTimeout:
		return true
	default:
		return false
	}
}

// Phase is how far an exchange has come. Phases only ever grow within one
// attempt; a further attempt starts again at PhaseQueued or PhaseConnect.
type Phase uint8

// The phases in the order in which an exchange passes them.
const (
	PhaseRecv         Phase = iota // reading the request from downstream
	PhaseQueued                    // waiting for a slot or for a retry
	PhaseConnect                   // resolving, dialling, TLS
	PhaseSending                   // writing the request upstream
	PhaseAwaitHeaders              // request sent, no response header yet
	PhaseAwaitToken                // headers seen, no token yet
	PhaseStreaming                 // tokens flow
	PhaseTail                      // the end was seen, last bytes are under way
)

var phaseNames = [...]string{
	"recv", "queued", "connect", "sending", "await_headers", "await_token", "streaming", "tail",
}

// errUnknownPhase keeps the unknown text out of the message: it came from outside.
var errUnknownPhase = errors.New("unknown phase")

// Phases returns all phases in order. The caller owns the slice.
func Phases() []Phase {
	all := make([]Phase, len(phaseNames))
	for i := range all {
		all[i] = Phase(i)
	}
	return all
}

// String returns the phase's name as it stands in logs, metrics and the API,
// or "unknown".
func (p Phase) String() string {
	if int(p) < len(phaseNames) {
		return phaseNames[p]
	}
	return "unknown"
}

// MarshalText writes the name.
func (p Phase) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads a name written by MarshalText; anything else is an error.
func (p *Phase) UnmarshalText(text []byte) error {
	for i, name := range phaseNames {
		if name == string(text) {
			*p = Phase(i)
			return nil
		}
	}
	return errUnknownPhase
}
