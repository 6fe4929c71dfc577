//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// The short form of what "go run ./bench/soak" does for twenty minutes: whatever clients and
// upstreams do, nothing is mixed up, nothing leaks and every failure has a reason.
// rows A18, A19, B21, D10, D11
func TestSoakFindsNothingWrong(t *testing.T) {
	program := filepath.Join(t.TempDir(), "soak")
	require.NoError(t, goTool("..", "build", "-o", program, "./bench/soak"))
	// The race detector keeps far more memory, and longer.
	cmd := exec.Command(program, "-sluice", sluiceBinary, "-duration", "30s", "-streams", "64", "-slack", "200")
	var printed, progress bytes.Buffer
	cmd.Stdout, cmd.Stderr = &printed, &progress
	err := cmd.Run()
	t.Logf("%s", &printed)
	require.NoError(t, err, "%s", &progress)
	var figures struct {
		Faulty  int `json:"faulty_calls"`
		Left    int `json:"left"`
		Rescued int `json:"rescued"`
		Reloads int `json:"reloads"`
		Broken  int `json:"broken_reloads"`
	}
	require.NoError(t, json.NewDecoder(&printed).Decode(&figures))
	require.Positive(t, figures.Faulty)
	require.Positive(t, figures.Left)
	require.Positive(t, figures.Rescued)
	require.Greater(t, figures.Reloads, figures.Broken)
	require.Positive(t, figures.Broken)
}
