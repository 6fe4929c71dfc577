//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// plainBinary builds sluice without the race detector, which needs several times the
// memory.
func plainBinary(tb testing.TB, flags ...string) string {
	tb.Helper()
	program := filepath.Join(tb.TempDir(), "sluice")
	require.NoError(tb, goTool("..", append(append([]string{"build", "-o", program}, flags...), "./cmd/sluice")...))
	return program
}

// jumpEvery is how often the clock of jumpingBinary jumps.
const jumpEvery = 100 * time.Millisecond

// jumpingBinary builds sluice with a package time whose wall clock jumps to and fro: an
// hour ahead, an hour back, and right again. Its monotonic clock runs as ever, which is
// what a process sees when somebody sets the clock of the machine. Tools that fake the
// clock of a process cannot do this to Go, which does not ask the C library for the time.
func jumpingBinary(tb testing.TB) string {
	tb.Helper()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	require.NoError(tb, err)
	original := filepath.Join(strings.TrimSpace(string(root)), "src", "time", "time.go")
	text, err := os.ReadFile(original)
	require.NoError(tb, err)
	const now = "sec, nsec, mono := runtimeNow()\n"
	require.Equal(tb, 1, strings.Count(string(text), "func Now() Time {\n\t"+now), "time.Now is made otherwise now")
	jumping := strings.Replace(string(text), "func Now() Time {\n\t"+now, "func Now() Time {\n\t"+now+"\tsec += jump(mono)\n", 1) +
		fmt.Sprintf("\nfunc jump(mono int64) int64 { return [3]int64{3600, -3600, 0}[uint64(mono)/%d%%3] }\n", jumpEvery)
	folder := tb.TempDir()
	replacement, overlay := filepath.Join(folder, "time.go"), filepath.Join(folder, "overlay.json")
	require.NoError(tb, os.WriteFile(replacement, []byte(jumping), 0o600))
	files, err := json.Marshal(map[string]any{"Replace": map[string]string{original: replacement}})
	require.NoError(tb, err)
	require.NoError(tb, os.WriteFile(overlay, files, 0o600))
	return plainBinary(tb, "-overlay", overlay)
}

// A clock that jumps by hours changes no time limit, no rate and no duration.
// row D5
func TestClockJumpsAreHarmless(t *testing.T) {
	t.Parallel()
	const slowKey = "sk-sluice-slow-canary"
	const silence = 1500 * time.Millisecond
	upstream := fakeprovider.New(t)
	upstream.Handle(func(e *fakeprovider.Exchange) {
		switch e.Request.Get("X-Request-Id") {
		case "silent":
			fakeprovider.Stalled(2)(e)
		case "slow":
			e.StreamHead()
			for _, payload := range fakeprovider.ChatStream(fakeprovider.ChatOptions{Texts: strings.Split(strings.Repeat("word ", 30), " ")}) {
				if !e.Pause(jumpEvery) || !e.Event(payload) {
					return
				}
			}
			e.EndChunks()
		default:
			fakeprovider.DefaultScript(e)
		}
	})
	listen, admin := freeAddress(t), freeAddress(t)
	file := writeConfig(t, settings{
		upstream: upstream.URL(), listen: listen,
		keys:  fmt.Sprintf("  - {alias: slow, sha256: %q, limits: {requests_per_minute: 3, budgets: [{tokens: 100000, per: day}]}}\n", digest(slowKey)),
		extra: fmt.Sprintf("timeouts: {first_token: %[1]v, idle: %[1]v, client_stall: %[1]v, keep_alive: 5s, drain: 10s}", silence),
	}, admin)
	s := launch(t, launching{program: jumpingBinary(t), args: []string{"--config", file}, api: "http://" + listen, admin: "http://" + admin})

	// A stream that goes on for many jumps comes whole, one that is silent is cut in time.
	slow, begun := s.ask("slow", true), time.Now()
	silent := s.ask("silent", true)
	cut := silent.end(t)
	require.Contains(t, cut, "upstream_timeout")
	require.GreaterOrEqual(t, time.Since(begun), silence-jumpEvery)
	slow.requireWhole(t)
	require.Equal(t, "completed", s.record("slow").Outcome)
	require.Equal(t, "upstream_timeout", s.record("silent").Outcome)
	require.Less(t, s.total("slow"), 60_000.0)
	require.Greater(t, s.total("slow"), 2000.0)
	require.Less(t, s.total("silent"), 60_000.0)

	// Three requests in a minute are three, whatever hour it is.
	let, asked := 0, time.Now()
	for n := range 20 {
		o := s.askAs(slowKey, fmt.Sprintf("rate-%d", n), true)
		rest := o.end(t)
		if o.status == http.StatusOK {
			let++
			continue
		}
		require.Equal(t, http.StatusTooManyRequests, o.status, rest)
		waitFor(t, jumpEvery)
	}
	require.GreaterOrEqual(t, let, 3)
	require.LessOrEqual(t, let, 4+int(time.Since(asked)/(20*time.Second)), "one comes back every twenty seconds")

	// The drain takes as long as the stream, not as long as a jump.
	last := s.ask("slow", true)
	s.terminate()
	last.requireWhole(t)
	require.Zero(t, s.awaitExit())
	require.Greater(t, s.printedTimes(), time.Hour, "the clock did not jump")
}

// printedTimes is the time from the earliest to the latest line that the process has logged.
func (s *sluice) printedTimes() time.Duration {
	s.tb.Helper()
	var first, last time.Time
	for line := range strings.Lines(s.output.String()) {
		var logged struct{ Time time.Time }
		if json.Unmarshal([]byte(line), &logged) != nil || logged.Time.IsZero() {
			continue // the banner
		}
		if first.IsZero() || logged.Time.Before(first) {
			first = logged.Time
		}
		if logged.Time.After(last) {
			last = logged.Time
		}
	}
	return last.Sub(first)
}

// waitFor lets time pass, which is what this test is about.
func waitFor(tb testing.TB, d time.Duration) {
	tb.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	<-timer.C
}

// total is how long an exchange took by its record, in milliseconds.
func (s *sluice) total(id string) float64 {
	s.tb.Helper()
	status, body := s.call(http.MethodGet, "/v1/requests/"+id, clientKey)
	require.Equal(s.tb, http.StatusOK, status)
	var r struct {
		Total json.Number `json:"total_ms"`
	}
	require.NoError(s.tb, json.Unmarshal(body, &r))
	ms, err := strconv.ParseFloat(r.Total.String(), 64)
	require.NoError(s.tb, err, "%s", body)
	return ms
}
