//go:build linux

package main

import (
	"context"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func proxied(name, title string) subject {
	return subject{name: name, title: title, command: func(context.Context, place) (*exec.Cmd, error) { return nil, errAbsent }}
}

var (
	testSluice = proxied(subjectSluice, "sluice")
	testNginx  = proxied(subjectNginx, "nginx 1.2")
	testDirect = subject{name: subjectDirect, title: "no proxy"}
)

func measured(scenario string, s subject, run, streams, broken int, figures map[string]float64) measurement {
	m := measurement{Scenario: scenario, Subject: s.name, Run: run, report: report{Figures: figures, Streams: streams}}
	if broken > 0 {
		m.Broken = map[string]int{errCut.Error(): broken}
	}
	return m
}

func TestTables(t *testing.T) {
	saturated := func(s subject, run int, cpu, rate float64, broken int) measurement {
		figures := map[string]float64{figureRate: rate}
		if s.command != nil {
			figures[figureCPU] = cpu
		}
		return measured(scenarioSaturated, s, run, 1500, broken, figures)
	}
	f := func(subjects []subject, results []measurement, want string) {
		t.Helper()
		var got strings.Builder
		trials := []trial{{scenario: scenarioPaced}, {scenario: scenarioSaturated}}
		require.NoError(t, writeTables(&got, trials, subjects, results))
		require.Equal(t, strings.TrimLeft(want, "\n"), got.String())
	}

	f([]subject{testSluice, testNginx, testDirect}, []measurement{
		saturated(testSluice, 1, 3, 90_000, 0), saturated(testNginx, 1, 4, 100_000, 1), saturated(testDirect, 1, 0, 200_000, 0),
		saturated(testSluice, 2, 5, 110_000, 0), saturated(testNginx, 2, 6, 100_000, 2), saturated(testDirect, 2, 0, 210_000, 0),
	}, `
### Saturated streams: 16 clients, streams of 200 chunks, as fast as possible

| figure | sluice | nginx 1.2 | no proxy | sluice ÷ nginx |
| --- | --: | --: | --: | --: |
| CPU per chunk, µs | 3.00 / 5.00 | 4.00 / 6.00 | – | 0.80 |
| chunks per second | 90000 / 110000 | 100000 / 100000 | 200000 / 210000 | 1.00 |
| broken streams | 0 of 3,000 | 3 of 3,000 | 0 of 3,000 | – |

`)

	f([]subject{testSluice, testDirect}, []measurement{saturated(testSluice, 1, 3, 90_000, 0)}, `
### Saturated streams: 16 clients, streams of 200 chunks, as fast as possible

| figure | sluice |
| --- | --: |
| CPU per chunk, µs | 3.00 |
| chunks per second | 90000 |
| broken streams | 0 of 1,500 |

`)

	f([]subject{testSluice}, nil, "")
}

func TestRatioNeedsSomethingToCompareWith(t *testing.T) {
	f := func(values, nginx []float64, want string) {
		t.Helper()
		require.Equal(t, want, ratioCell(figure{ratio: true}, values, nginx))
	}

	f([]float64{1, 3}, []float64{4}, "0.50")
	f(nil, []float64{4}, absentCell)
	f([]float64{1}, nil, absentCell)
	f([]float64{1}, []float64{0}, absentCell)
	f([]float64{1}, []float64{-2}, absentCell)
	f([]float64{-1}, []float64{2}, absentCell)
	require.Equal(t, absentCell, ratioCell(figure{}, []float64{1}, []float64{1}))
}

func TestAddedLatencyIsTheDifferenceToNoProxy(t *testing.T) {
	figures := map[string]float64{figureP50: 150, figureP99: 400}
	deriveAdded(figures, map[string]float64{figureP50: 100})
	require.Equal(t, map[string]float64{figureP50: 150, figureP99: 400, figureAddedP50: 50}, figures)
	deriveAdded(figures, nil)
	require.Len(t, figures, 3)
}

func TestOrderTurnsAroundButKeepsNoProxyFirst(t *testing.T) {
	s := session{subjects: []subject{testSluice, testNginx, testDirect}}
	f := func(run int, want ...string) {
		t.Helper()
		var names []string
		for _, one := range s.order(run) {
			names = append(names, one.name)
		}
		require.Equal(t, want, names)
	}

	f(1, subjectDirect, subjectSluice, subjectNginx)
	f(2, subjectDirect, subjectNginx, subjectSluice)
	f(3, subjectDirect, subjectSluice, subjectNginx)
}

func TestEveryScenarioHasATitleAndFigures(t *testing.T) {
	for _, name := range scenarioNames {
		require.NotEqual(t, name, trial{scenario: name, streams: 1000}.title())
		keys := map[string]bool{}
		for _, f := range figuresOf(name) {
			require.False(t, keys[f.key], "%s stands twice in %s", f.key, name)
			keys[f.key] = true
		}
		require.NotEmpty(t, keys, name)
	}
	require.Contains(t, trial{scenario: scenarioMemory, streams: 10_000}.title(), "10,000")
}

func TestThousands(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		require.Equal(t, want, thousands(n))
	}
}
