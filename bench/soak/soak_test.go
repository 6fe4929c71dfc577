//go:build linux

package main

import (
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sluicehq/sluice/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestFlags(t *testing.T) {
	s, err := parse(nil, io.Discard)
	require.NoError(t, err)
	require.Equal(t, []any{20 * time.Minute, time.Minute, 2, time.Second}, []any{s.duration, s.warmUp, s.targets, s.reload})
	s, err = parse([]string{"-short", "-seed", "4"}, io.Discard)
	require.NoError(t, err)
	require.Equal(t, []any{2 * time.Minute, 12 * time.Second, uint64(4)}, []any{s.duration, s.warmUp, s.seed})
	for _, args := range []string{
		"-duration 0", "-streams 0", "-targets 3", "-aborts 0.9 -cancels 0.2", "-faults 2", "-slack -1", "-reload -1s", "more",
	} {
		_, err := parse(strings.Fields(args), io.Discard)
		require.Error(t, err, args)
	}
	_, err = parse([]string{"-help"}, io.Discard)
	require.ErrorIs(t, err, flag.ErrHelp)
}

func testConfiguration(t *testing.T, targets int) *configuration {
	t.Helper()
	folder := t.TempDir()
	return &configuration{
		path: filepath.Join(folder, "config.yaml"), listen: "127.0.0.1:7001", admin: "127.0.0.1:7002",
		ledger: "sqlite://" + filepath.Join(folder, "ledger.db"), spool: folder, targets: targets,
		addresses: map[string]string{providerA: "127.0.0.1:1", providerB: "127.0.0.1:2", providerFlap: "127.0.0.1:3", providerGone: "127.0.0.1:4"},
	}
}

func nobodysEnvironment(string) (string, bool) { return "", false }

func TestConfigurationsAreGoodOrBroken(t *testing.T) {
	for targets := 1; targets <= 2; targets++ {
		c := testConfiguration(t, targets)
		for generation := range 20 {
			require.NoError(t, c.write(c.text(generation, keyOf(generation))))
			cfg, err := config.Load(c.path, nobodysEnvironment)
			require.NoError(t, err)
			require.Equal(t, c.listen, cfg.Listen)
			require.Len(t, cfg.Models, len(routes))
			require.Len(t, cfg.Models[0].Targets, targets)
		}
		refused := 0
		for n := range 7 {
			require.NoError(t, c.write(c.broken(n)))
			cfg, err := config.Load(c.path, nobodysEnvironment)
			if err != nil {
				refused++
				continue
			}
			require.NotEqual(t, c.listen, cfg.Listen, "%d: what can be read must not be taken for another reason", n)
		}
		require.GreaterOrEqual(t, refused, 5)
	}
}

// aPlan is that of a stream of three pieces.
func aPlan(stream bool) *plan {
	return &plan{nonce: nonce(1, 1), key: clientKeys[0], model: "twin-a", stream: stream, pieces: 3}
}

// played is what a client sees of the answer of an upstream.
func played(t *testing.T, p *plan, f fault) view {
	t.Helper()
	d := newDiary()
	u, err := startUpstreams(d)
	require.NoError(t, err)
	t.Cleanup(u.stop)
	p.faults[0] = f
	d.open(p)
	c := &client{address: u.addresses[providerA]}
	t.Cleanup(c.close)
	return c.ask(p)
}

// Upstreams do not send X-Request-Id, so a client that asks one of them directly finds that
// its answer is not its own; what else it sees is what sluice gets.
func TestUpstreamsAnswerAsPlanned(t *testing.T) {
	for f, want := range map[fault]map[bool]sight{
		faultNone:        {true: sawWhole, false: sawWhole},
		leftover:         {true: sawWhole, false: sawWhole},
		resetBeforeHead:  {true: sawCut, false: sawCut},
		closeBeforeHead:  {true: sawCut, false: sawCut},
		garbage:          {true: sawCut, false: sawCut},
		wrongJSON:        {false: sawWrong},
		status429:        {true: sawStatus, false: sawStatus},
		status503:        {true: sawStatus, false: sawStatus},
		resetAfterHead:   {true: sawCut, false: sawCut},
		errorEventFirst:  {true: sawError},
		errorEventInside: {true: sawError},
		resetInside:      {true: sawCut, false: sawCut},
		closeInside:      {true: sawCut, false: sawCut},
		badChunk:         {true: sawCut},
	} {
		for stream, saw := range want {
			p := aPlan(stream)
			p.usage = true
			v := played(t, p, f)
			require.Equal(t, saw, v.saw, "%s, stream: %t: %+v", misdeeds[f].name, stream, v)
			require.NotContains(t, v.foreign, "part of that")
		}
	}
}

func TestUpstreamStallsUntilItsPeerLeaves(t *testing.T) {
	for _, f := range []fault{stallBeforeHead, stallAfterHead, stallInside} {
		p := aPlan(true)
		p.leave, p.leaveAfter = leavesWithFIN, time.Millisecond
		v := played(t, p, f)
		require.True(t, v.left)
		require.Equal(t, sawNothing, v.saw)
	}
}

func TestUpstreamRefusesNowAndThen(t *testing.T) {
	u, err := startUpstreams(newDiary())
	require.NoError(t, err)
	t.Cleanup(u.stop)
	address := u.addresses[providerFlap]
	u.refuse(providerFlap)
	_, err = net.Dial("tcp", address)
	require.Error(t, err)
	require.NoError(t, u.listen(providerFlap, address))
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	require.NoError(t, conn.Close())
}

// seenOf is the view of a text as an answer of sluice.
func seenOf(p *plan, status int, body string, whole bool) view {
	response := &http.Response{StatusCode: status, Header: http.Header{"X-Request-Id": {p.nonce}}}
	return read(p, response, body, whole)
}

func streamOf(p *plan, events ...string) string {
	var b strings.Builder
	for _, e := range events {
		b.WriteString("data: " + strings.ReplaceAll(e, "ID", p.nonce) + "\n\n")
	}
	return b.String()
}

func says(p *plan, call, n int) string {
	return fmt.Sprintf(`{"id":"ID","choices":[{"delta":{"content":"%s"},"finish_reason":null}]}`, piece(p.nonce, call, n))
}

const finishes = `{"id":"ID","choices":[{"delta":{},"finish_reason":"stop"}]}`

func TestViewsOfStreams(t *testing.T) {
	p := aPlan(true)
	all := []string{says(p, 2, 0), says(p, 2, 1), says(p, 2, 2), finishes, "[DONE]"}
	require.Equal(t, view{saw: sawWhole, status: 200}, seenOf(p, 200, streamOf(p, all...), true))
	require.Equal(t, view{saw: sawWhole, status: 200}, seenOf(p, 200, ": keep-alive\n\n"+streamOf(p, all...), true))
	require.Equal(t, sawCut, seenOf(p, 200, streamOf(p, all[:2]...), false).saw)

	failed := seenOf(p, 200, streamOf(p, all[0], `{"error":{"code":"upstream_reset"}}`), false)
	require.Equal(t, view{saw: sawError, status: 200, code: "upstream_reset"}, failed)

	cancelled := seenOf(p, 200, streamOf(p, all[0], `{"id":"x","choices":[],"sluice":{"outcome":"cancelled"}}`, "[DONE]"), true)
	require.Equal(t, view{saw: sawCancelled, status: 200}, cancelled)

	for name, body := range map[string]string{
		"a splice":              streamOf(p, says(p, 1, 0), says(p, 2, 1), says(p, 2, 2), finishes, "[DONE]"),
		"a hole":                streamOf(p, says(p, 1, 0), says(p, 1, 2), finishes, "[DONE]"),
		"a piece missing":       streamOf(p, says(p, 1, 0), says(p, 1, 1), finishes, "[DONE]"),
		"no finish":             streamOf(p, all[0], all[1], all[2], "[DONE]"),
		"no end":                streamOf(p, all[:4]...),
		"something behind":      streamOf(p, append(all, finishes)...),
		"usage nobody wanted":   streamOf(p, all[0], all[1], all[2], finishes, `{"id":"ID","choices":[],"usage":{}}`, "[DONE]"),
		"an id of nobody":       streamOf(p, all[0], all[1], all[2], `{"id":"x","choices":[{"delta":{},"finish_reason":"stop"}]}`, "[DONE]"),
		"no JSON":               streamOf(p, all[0], "{", all[1], all[2], finishes, "[DONE]"),
		"half an event":         streamOf(p, all...) + "data",
		"a good end of a fault": streamOf(p, all[0], finishes, `{"error":{"code":"x"}}`),
	} {
		require.NotEmpty(t, seenOf(p, 200, body, true).wrong, name)
	}
	foreign := streamOf(p, append([]string{strings.ReplaceAll(says(p, 2, 0), "ID", nonce(1, 2))}, all[1:]...)...)
	require.Contains(t, seenOf(p, 200, foreign, true).foreign, nonce(1, 2))
	require.NotEmpty(t, read(p, &http.Response{StatusCode: 200, Header: http.Header{}}, streamOf(p, all...), true).foreign)
}

func TestEverythingIsExplained(t *testing.T) {
	completed, gone := attempt{provider: providerA, outcome: outcomeCompleted}, attempt{provider: providerA, outcome: outcomeGone}
	failed := attempt{provider: providerA, outcome: outcomeError}
	for name, c := range map[string]struct {
		story *story
		row   *row
	}{
		"whole":                {&story{calls: []call{{}}, view: view{saw: sawWhole}}, &row{count: 1, outcome: outcomeCompleted, delivered: true, attempts: []attempt{completed}}},
		"rescued":              {&story{calls: []call{{fault: status503}, {}}, view: view{saw: sawWhole}}, &row{count: 1, outcome: outcomeCompleted, delivered: true, attempts: []attempt{failed, completed}}},
		"left":                 {&story{calls: []call{{}}, view: view{left: true}}, &row{count: 1, outcome: outcomeGone, attempts: []attempt{gone}}},
		"left, unseen":         {&story{view: view{left: true}}, &row{count: 1, outcome: outcomeGone, attempts: []attempt{gone}}},
		"left before anything": {&story{view: view{left: true}}, nil},
		"over its limit":       {&story{plan: plan{key: clientKeys[1]}, view: view{saw: sawStatus, status: 429, code: "rate_limit_exceeded"}}, nil},
		"failed":               {&story{calls: []call{{fault: resetInside}}, view: view{saw: sawError}}, &row{count: 1, outcome: outcomeError, attempts: []attempt{failed}}},
		"nobody there":         {&story{plan: plan{model: "late"}, view: view{saw: sawStatus, status: 502}}, &row{count: 1, outcome: outcomeError, attempts: []attempt{{provider: providerGone}}}},
		"cancelled late":       {&story{plan: plan{cancelAfter: 1}, calls: []call{{}}, view: view{saw: sawWhole}, cancelled: outcomeCancelled}, &row{count: 1, outcome: outcomeCancelled, attempts: []attempt{{outcome: outcomeCancelled}}}},
		"cancelled":            {&story{plan: plan{cancelAfter: 1}, calls: []call{{}}, view: view{saw: sawCancelled}, cancelled: outcomeCancelled}, &row{count: 1, outcome: outcomeCancelled, attempts: []attempt{{outcome: outcomeCancelled}}}},
	} {
		if c.story.key == nil {
			c.story.key = clientKeys[0]
		}
		c.story.explain(c.row, func(kind unexplained, format string, args ...any) {
			t.Errorf("%s: %s: %s", name, kindNames[kind], fmt.Sprintf(format, args...))
		})
	}
}

func TestWhatNothingExplainsIsFound(t *testing.T) {
	completed := attempt{provider: providerA, outcome: outcomeCompleted}
	whole := view{saw: sawWhole}
	for want, c := range map[unexplained]struct {
		story *story
		row   *row
	}{
		noRow:                {&story{calls: []call{{}}, view: whole}, nil},
		twoRows:              {&story{calls: []call{{}}, view: whole}, &row{count: 2, outcome: outcomeCompleted, delivered: true, attempts: []attempt{completed}}},
		noAttempt:            {&story{calls: []call{{}, {}}, view: whole}, &row{count: 1, outcome: outcomeCompleted, delivered: true, attempts: []attempt{completed}}},
		attemptTooMany:       {&story{calls: []call{{}}, view: whole}, &row{count: 1, outcome: outcomeCompleted, delivered: true, attempts: []attempt{completed, completed}}},
		foreignBytes:         {&story{calls: []call{{}}, view: view{saw: sawWhole, foreign: "x"}}, &row{count: 1, outcome: outcomeCompleted, delivered: true, attempts: []attempt{completed}}},
		wrongAnswer:          {&story{calls: []call{{}}, view: view{saw: sawWhole, wrong: "x"}}, &row{count: 1, outcome: outcomeCompleted, delivered: true, attempts: []attempt{completed}}},
		answerOtherThanRow:   {&story{calls: []call{{}}, view: whole}, &row{count: 1, outcome: outcomeCompleted, attempts: []attempt{completed}}},
		outcomeWithoutReason: {&story{calls: []call{{}}, view: view{left: true}}, &row{count: 1, outcome: "internal", attempts: []attempt{completed}}},
		failureWithoutReason: {&story{calls: []call{{fault: leftover}}, view: view{saw: sawStatus, status: 502}}, nil},
		cancelOtherThanRow:   {&story{plan: plan{cancelAfter: 1}, calls: []call{{}}, view: whole, cancelled: outcomeCancelled}, &row{count: 1, outcome: outcomeCompleted, delivered: true, attempts: []attempt{completed}}},
	} {
		c.story.key = clientKeys[0]
		found := map[unexplained]bool{}
		c.story.explain(c.row, func(kind unexplained, _ string, _ ...any) { found[kind] = true })
		require.True(t, found[want], kindNames[want])
	}
}

func TestFiguresSayWhatIsWrong(t *testing.T) {
	f := newFigures(&settings{})
	d := newDiary()
	s := d.open(aPlan(true))
	s.calls, s.view = []call{{provider: providerA}}, view{saw: sawWhole}
	left := d.open(&plan{nonce: nonce(1, 2), key: clientKeys[0]})
	left.view.left = true
	f.compare(d, map[string]*row{s.nonce: {count: 1, outcome: outcomeCompleted, delivered: true, attempts: []attempt{{outcome: outcomeCompleted}}}})
	f.Before = state{Goroutines: 10, Descriptors: 10, MemoryMiB: 30}
	f.After = state{Goroutines: 12, Descriptors: 12, MemoryMiB: 39.9}
	f.judge(&settings{slack: 10, targets: 2})
	require.Empty(t, f.Wrong)

	f.After = state{Goroutines: 13, Descriptors: 13, MemoryMiB: 41, Inflight: 1, Held: 1, Intents: 1}
	f.Unexplained[kindNames[foreignBytes]] = 2
	f.Unsteady, f.Forsaken = 100, 6
	f.judge(&settings{slack: 10, targets: 2})
	require.Len(t, f.Wrong, 8)
	var printed strings.Builder
	require.NoError(t, f.print(&printed))
	require.Contains(t, printed.String(), "2 answers with foreign bytes")
}

func TestPlansFollowFromTheirSeed(t *testing.T) {
	s := &settings{seed: 7, aborts: 0.2, faults: 0.05, cancels: 0.03, targets: 2}
	draw := func() (left, faulty, cancelled int) {
		random := rand.New(rand.NewPCG(1, 2))
		for n := range 10_000 {
			p := s.newPlan(random, int64(n), modelNames(2))
			require.Regexp(t, anyNonce, p.nonce)
			if p.leave != stays {
				left++
			}
			if p.faults[0] != faultNone {
				faulty++
				require.Positive(t, misdeeds[p.faults[0]].weightFor(p.stream))
			}
			if p.cancelAfter > 0 {
				cancelled++
			}
		}
		return left, faulty, cancelled
	}
	left, faulty, cancelled := draw()
	require.InDelta(t, 2000, left, 200)
	require.InDelta(t, 500, faulty, 100)
	require.InDelta(t, 300, cancelled, 100)
	again, _, _ := draw()
	require.Equal(t, left, again)
	require.NotEqual(t, nonce(7, 1), nonce(7, 2))
}
