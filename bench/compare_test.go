//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestCompareMeasuresTheGoProxy runs the whole program, with its processes, on the
// only proxy that is always there.
func TestCompareMeasuresTheGoProxy(t *testing.T) {
	if testing.Short() {
		t.Skip("measures for several seconds")
	}
	t.Setenv("GORACE", "atexit_sleep_ms=0") // a second for each of the processes
	dir := t.TempDir()
	page, lines := filepath.Join(dir, "page.md"), filepath.Join(dir, "lines.jsonl")
	require.NoError(t, os.WriteFile(page, []byte("# Page\n"+tablesBegin+"\n"+tablesEnd+"\n"), 0o600))
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{
		"--proxies", "go", "--scenarios", "paced,memory,cancel", "--duration", "1s", "--runs", "1",
		"--streams", "10", "--departures", "3", "--json", lines, "--write", page,
	}, strings.NewReader(""), &stdout, &stderr)
	require.Zero(t, code, stderr.String())

	scenarios := map[string]measurement{}
	text, err := os.ReadFile(lines)
	require.NoError(t, err)
	for line := range bytes.Lines(text) {
		var m measurement
		require.NoError(t, json.Unmarshal(line, &m))
		if m.Kind == "measurement" {
			scenarios[m.Scenario] = m
		}
	}
	for _, name := range []string{scenarioPaced, scenarioMemory, scenarioCancel} {
		m, ok := scenarios[name]
		require.True(t, ok, name)
		require.Zero(t, m.breaks(), "%s: %s", name, m.Example)
		require.Positive(t, m.Streams)
		for _, f := range figuresOf(name) {
			if f.key != figureAddedP50 && f.key != figureAddedP99 { // those need a run without a proxy
				require.Contains(t, m.Figures, f.key)
			}
		}
	}
	require.Equal(t, float64(10), scenarios[scenarioMemory].Figures[figureOpen])
	require.Equal(t, float64(100), scenarios[scenarioCancel].Figures[cellKey("silence", leaveRST, statClosed)])

	written, err := os.ReadFile(page)
	require.NoError(t, err)
	require.Contains(t, string(written), strings.TrimSpace(stdout.String()))
	require.Contains(t, stdout.String(), "Machine: ")
	left, err := family(os.Getpid())
	require.NoError(t, err)
	require.Len(t, left, 1, "everything that was started has ended")
}
