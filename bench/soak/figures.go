//go:build linux

package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/sluicehq/sluice/bench/internal/child"
)

// keptExamples is how many of each kind of violation are shown.
const keptExamples = 5

// figures are the result.
type figures struct {
	Seed    uint64  `json:"seed"`
	Seconds float64 `json:"seconds"`
	Streams int     `json:"streams"`

	Requests int            `json:"requests"` // of clients
	Seen     map[string]int `json:"seen"`     // what clients saw
	Left     int            `json:"left"`     // clients that left
	Refused  int            `json:"refused"`  // by limits of their keys
	Errors5  int            `json:"errors_5xx"`
	Errors   map[string]int `json:"errors"`  // by status and code
	Cancels  int            `json:"cancels"` // that ended a request
	Calls    int            `json:"calls"`   // that the upstreams saw
	Faulty   int            `json:"faulty_calls"`
	Faults   map[string]int `json:"faults"`
	Rows     int            `json:"rows"`
	Outcomes map[string]int `json:"outcomes"`
	Attempts int            `json:"attempts"`
	Several  int            `json:"several_attempts"` // rows with more than one
	Rescued  int            `json:"rescued"`          // whole answers after a call that failed
	Unsteady int            `json:"unsteady"`         // requests whose first target may not be there
	Forsaken int            `json:"forsaken"`         // of these, errors because nobody took over

	Reloads        int     `json:"reloads"`
	BrokenReloads  int     `json:"broken_reloads"`
	ReloadTakenP50 float64 `json:"reload_taken_p50_ms"` // from the signal to the first upstream call with it
	ReloadTakenMax float64 `json:"reload_taken_max_ms"`

	Before       state   `json:"before"` // after the warm-up
	After        state   `json:"after"`
	SettledAfter float64 `json:"settled_after_ms"`

	// Unexplained counts what must not be, by kind.
	Unexplained map[string]int `json:"unexplained"`
	Examples    []string       `json:"examples,omitempty"`
	// Wrong says what is wrong, in words.
	Wrong []string `json:"wrong,omitempty"`
}

func newFigures(s *settings) *figures {
	f := &figures{
		Seed: s.seed, Streams: s.streams,
		Seen: map[string]int{}, Errors: map[string]int{}, Faults: map[string]int{}, Outcomes: map[string]int{}, Unexplained: map[string]int{},
	}
	for _, name := range kindNames {
		f.Unexplained[name] = 0
	}
	return f
}

// compare holds what clients and upstreams saw against the rows.
func (f *figures) compare(d *diary, rows map[string]*row) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for nonce, s := range d.stories {
		f.count(s)
		s.explain(rows[nonce], func(kind unexplained, format string, args ...any) {
			name := kindNames[kind]
			if f.Unexplained[name]++; f.Unexplained[name] <= keptExamples {
				f.Examples = append(f.Examples, fmt.Sprintf("%s: %s (%s of %s, stream: %t, calls: %+v)", nonce, fmt.Sprintf(format, args...), s.key.alias, s.model, s.stream, s.calls))
			}
		})
	}
	for nonce, r := range rows {
		f.Rows += r.count
		f.Outcomes[r.outcome]++
		f.Attempts += len(r.attempts)
		if len(r.attempts) > 1 {
			f.Several++
			if s := d.stories[nonce]; s != nil && s.view.saw == sawWhole {
				f.Rescued++
			}
		}
		if d.stories[nonce] == nil {
			f.Wrong = append(f.Wrong, "a row of nobody: "+nonce)
		}
	}
}

func (f *figures) count(s *story) {
	f.Requests++
	f.Seen[s.view.saw.String()]++
	if s.view.left {
		f.Left++
	}
	if s.refused() {
		f.Refused++
	}
	if s.view.saw == sawStatus || s.view.saw == sawError {
		f.Errors[fmt.Sprintf("%d %s", s.view.status, s.view.code)]++
	}
	if s.view.saw == sawStatus && s.view.status >= 500 {
		f.Errors5++
	}
	if unsteady(s.model) {
		f.Unsteady++
		if s.view.saw == sawStatus && !s.suffers() && !s.refused() {
			f.Forsaken++
		}
	}
	if s.cancelled == outcomeCancelled {
		f.Cancels++
	}
}

// take copies what the upstreams did.
func (f *figures) take(u *upstreams) {
	u.mu.Lock()
	defer u.mu.Unlock()
	f.Calls = u.calls
	for fault, n := range u.faults {
		if n > 0 && fault > 0 {
			f.Faults[misdeeds[fault].name] = n
			f.Faulty += n
		}
	}
	if len(u.complaint) > 0 {
		f.Wrong = append(f.Wrong, fmt.Sprintf("%d calls with foreign bytes, as: %s", len(u.complaint), u.complaint[0]))
	}
}

// takeReloads copies how the reloads went.
func (f *figures) takeReloads(r *reloader) {
	f.Reloads, f.BrokenReloads = r.loads, r.broken
	f.ReloadTakenP50, f.ReloadTakenMax = child.Quantile(r.taken, 0.5), child.Quantile(r.taken, 1)
	f.Wrong = append(f.Wrong, r.judge()...)
}

// mostForsaken is the share of requests, in percent, that may fail because their target is
// not there although another one is: those that come before sluice has seen that it is so,
// beyond what the retry budget allows.
const mostForsaken = 5

// judge says what is wrong.
func (f *figures) judge(s *settings) {
	if s.targets > 1 && f.Forsaken*100 > f.Unsteady*mostForsaken {
		f.Wrong = append(f.Wrong, fmt.Sprintf("nobody took over %d of %d requests whose target was not there", f.Forsaken, f.Unsteady))
	}
	for _, name := range kindNames {
		if n := f.Unexplained[name]; n > 0 {
			f.Wrong = append(f.Wrong, fmt.Sprintf("%d %s", n, name))
		}
	}
	f.Wrong = append(f.Wrong, f.After.beyond(f.Before, s.slack)...)
	for _, must := range []struct {
		n    int
		what string
	}{{f.Seen[sawWhole.String()], "whole answers"}, {f.Left, "clients that left"}, {f.Rows, "rows"}} {
		if must.n == 0 {
			f.Wrong = append(f.Wrong, "there were no "+must.what)
		}
	}
	slices.Sort(f.Examples)
}

// print writes the table.
func (f *figures) print(to io.Writer) error {
	t := tabwriter.NewWriter(to, 0, 8, 2, ' ', 0)
	line := func(what string, value any) { _, _ = fmt.Fprintf(t, "%s\t%v\n", what, value) }
	line("time", fmt.Sprintf("%.0f s, %d requests at the same time, seed %d", f.Seconds, f.Streams, f.Seed))
	line("requests", f.Requests)
	for _, name := range slices.Sorted(maps.Keys(f.Seen)) {
		line("  whose client saw "+name, f.Seen[name])
	}
	line("  whose client left", f.Left)
	line("  refused by limits", f.Refused)
	line("  cancelled", f.Cancels)
	line("  with an error 5xx", f.Errors5)
	for _, name := range slices.Sorted(maps.Keys(f.Errors)) {
		line("    "+name, f.Errors[name])
	}
	line("upstream calls", f.Calls)
	for _, name := range slices.Sorted(maps.Keys(f.Faults)) {
		line("  "+name, f.Faults[name])
	}
	line("rows", f.Rows)
	for _, name := range slices.Sorted(maps.Keys(f.Outcomes)) {
		line("  "+name, f.Outcomes[name])
	}
	line("attempts", f.Attempts)
	line("  of rows with several", f.Several)
	line("  and a whole answer", f.Rescued)
	line("requests for a target that may not be there", f.Unsteady)
	line("  that nobody took over", f.Forsaken)
	line("reloads", fmt.Sprintf("%d, of which %d broken; in use after %.0f ms, at most %.0f ms", f.Reloads, f.BrokenReloads, f.ReloadTakenP50, f.ReloadTakenMax))
	for _, name := range kindNames {
		line(name, f.Unexplained[name])
	}
	line("goroutines", fmt.Sprintf("%d, before %d", f.After.Goroutines, f.Before.Goroutines))
	line("descriptors", fmt.Sprintf("%d, before %d", f.After.Descriptors, f.Before.Descriptors))
	line("memory", fmt.Sprintf("%.1f MiB, before %.1f MiB", f.After.MemoryMiB, f.Before.MemoryMiB))
	line("in flight, held, open intents", fmt.Sprintf("%d, %d, %d", f.After.Inflight, f.After.Held, f.After.Intents))
	line("settled after", fmt.Sprintf("%.1f s", f.SettledAfter/1000))
	for _, example := range f.Examples {
		line("for example", example)
	}
	if len(f.Wrong) > 0 {
		line("WRONG", strings.Join(f.Wrong, "; "))
	} else {
		line("nothing is wrong", "")
	}
	return t.Flush()
}
