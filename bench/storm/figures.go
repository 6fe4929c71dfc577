//go:build linux

package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/sluicehq/sluice/bench/internal/child"
)

// figures are the result. Those of the second part must be 0.
type figures struct {
	Mode    string  `json:"mode"`
	Engine  string  `json:"engine"`
	Seed    uint64  `json:"seed"`
	Seconds float64 `json:"seconds"`

	Kills        int   `json:"kills"`
	FailedStarts int   `json:"failed_starts"` // processes that ended before they were ready, beside the kills
	Requests     int64 `json:"requests"`      // of clients
	Refused      int   `json:"refused"`       // 429 and 503
	Failed       int   `json:"failed"`        // other errors
	Aborted      int   `json:"aborted"`       // left by the client
	Broken       int   `json:"broken"`        // cut, for the client
	Ended        int   `json:"ended"`         // a client saw the end
	Cancelled    int   `json:"cancelled"`     // a cancel was answered with "cancelled"
	Exchanges    int   `json:"exchanges"`     // ids that the upstream saw
	Calls        int   `json:"calls"`         // calls that the upstream saw
	Rows         int   `json:"rows"`
	Unseen       int   `json:"unseen"` // rows that the upstream did not see: killed or left before
	CrashRows    int   `json:"crash_rows"`

	Duplicates     int `json:"duplicates"`      // further rows of an id
	Missing        int `json:"missing"`         // ids that the upstream saw, without a row
	EndedOtherwise int `json:"ended_otherwise"` // rows of another outcome than the end that a client saw
	OpenIntents    int `json:"open_intents"`    // calls that are neither running nor recorded
	NoAttempt      int `json:"no_attempt"`      // calls that the upstream saw, beyond the attempts of their row
	Orphans        int `json:"orphans"`         // attempts without a row
	UsageDiffers   int `json:"usage_differs"`   // from the rows
	MetricDiffers  int `json:"metric_differs"`  // from the rows, where nobody was killed
	HeldSlots      int `json:"held_slots"`      // below 0: more were let in than the limit says

	ReadyP50     float64 `json:"ready_p50_ms"` // from the start of a process until it is ready
	ReadyMax     float64 `json:"ready_max_ms"`
	CancelP50    float64 `json:"cancel_p50_ms"`
	CancelP99    float64 `json:"cancel_p99_ms"`
	SettledAfter float64 `json:"settled_after_ms"` // until nothing was open or held after the storm

	// Wrong says what is wrong, in words.
	Wrong []string `json:"wrong,omitempty"`
}

// String is the line to read.
func (f *figures) String() string {
	verdict := "the books are right"
	if len(f.Wrong) > 0 {
		verdict = "WRONG: " + strings.Join(f.Wrong, "; ")
	}
	return fmt.Sprintf("%s on %s: %d kills, %d requests, %d exchanges started, %d ends seen by clients, %d rows (%d crash), "+
		"%d duplicates, %d missing, %d open intents, %d held slots; ready again after at most %.0f ms, settled after %.1f s: %s",
		f.Mode, f.Engine, f.Kills, f.Requests, f.Exchanges, f.Ended, f.Rows, f.CrashRows,
		f.Duplicates, f.Missing, f.OpenIntents, f.HeldSlots, f.ReadyMax, f.SettledAfter/1000, verdict)
}

// compare holds what the upstream and the clients saw against the rows.
func (f *figures) compare(seen map[string]int, rows map[string]row, t *tally) {
	for id, calls := range seen {
		f.Calls += calls
		r := rows[id]
		if r.count == 0 {
			f.Missing++
			continue
		}
		f.NoAttempt += max(calls-r.attempts, 0)
	}
	f.Exchanges = len(seen)
	for id, r := range rows {
		f.Rows += r.count
		f.Duplicates += r.count - 1
		if seen[id] == 0 {
			f.Unseen += r.count
		}
		if r.outcome == "crash" {
			f.CrashRows++
		}
	}
	for _, id := range t.whole {
		if r, ok := rows[id]; ok && r.outcome != "completed" && r.outcome != "cancelled" {
			f.EndedOtherwise++
		}
	}
}

// compareUsage holds what "sluice usage" says against the rows.
func (f *figures) compareUsage(usage map[string]int, rows map[string]row) {
	differences := make(map[string]int)
	for _, r := range rows {
		differences[r.outcome] += r.count
	}
	for outcome, n := range usage {
		differences[outcome] -= n
	}
	for _, n := range differences {
		f.UsageDiffers += max(n, -n)
	}
}

// judge says what is wrong.
func (f *figures) judge() {
	for _, must := range []struct {
		be0  int
		what string
	}{
		{f.Duplicates, "ids have more than one row"},
		{f.Missing, "exchanges have no row"},
		{f.EndedOtherwise, "exchanges whose end a client saw have another outcome"},
		{f.OpenIntents, "intents are open"},
		{f.NoAttempt, "calls have no attempt"},
		{f.Orphans, "attempts have no exchange"},
		{f.UsageDiffers, "exchanges are missing or too many in sluice usage"},
		{f.MetricDiffers, "exchanges are missing or too many in sluice_requests_total"},
		{f.HeldSlots, "slots are held"},
		{f.Failed, "requests failed in an unexpected way"},
	} {
		if must.be0 != 0 {
			f.Wrong = append(f.Wrong, fmt.Sprintf("%d %s", must.be0, must.what))
		}
	}
}

// take copies what the clients saw.
func (f *figures) take(t *tally) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f.Requests = t.requests.Load()
	f.Ended, f.Broken, f.Aborted = t.ends[endWhole], t.ends[endBroken], t.ends[endAborted]
	f.Refused, f.Failed = t.ends[endRefused], t.ends[endFailed]
	f.Cancelled = len(t.cancels)
	f.CancelP50, f.CancelP99 = child.Quantile(t.cancels, 0.5), child.Quantile(t.cancels, 0.99)
}

// takeStarts copies how long the processes took until they were ready.
func (f *figures) takeStarts(starts []time.Duration) {
	f.ReadyP50, f.ReadyMax = child.Quantile(starts, 0.5), child.Quantile(starts, 1)
}
