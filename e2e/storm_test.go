//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/internal/servers"
)

// The short form of what "go run ./bench/storm" does for minutes: whatever kills sluice or
// leaves it, every exchange has one record and nothing stays held.
func TestStormsLeaveTheBooksRight(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "storm")
	require.NoError(t, goTool("..", "build", "-o", program, "./bench/storm"))
	postgres, redis := servers.StartPostgres(t), servers.StartRedis(t)
	for _, storm := range []struct {
		name string
		args []string
	}{
		{"kills, SQLite", []string{"-mode", "crash", "-kills", "15", "-every", "500ms", "-streams", "32"}},
		{"kills, PostgreSQL", []string{"-mode", "crash", "-kills", "15", "-every", "500ms", "-streams", "32", "-engine", "postgres", "-postgres", postgres.Database(t)}},
		{"aborts, SQLite", []string{"-mode", "aborts", "-requests", "2000"}},
		{"aborts, PostgreSQL", []string{"-mode", "aborts", "-requests", "2000", "-engine", "postgres", "-postgres", postgres.Database(t)}},
		{"kills of replicas", []string{"-mode", "replicas", "-kills", "15", "-every", "500ms", "-streams", "32", "-postgres", postgres.Database(t), "-redis", redis.URL}},
	} {
		t.Run(storm.name, func(t *testing.T) {
			cmd := exec.Command(program, append(storm.args, "-sluice", sluiceBinary)...)
			var printed, complaint bytes.Buffer
			cmd.Stdout, cmd.Stderr = &printed, &complaint
			err := cmd.Run()
			t.Logf("%s", &printed)
			require.NoError(t, err, "%s", &complaint)
			var figures struct {
				Exchanges int `json:"exchanges"`
				Rows      int `json:"rows"`
				Ended     int `json:"ended"`
			}
			require.NoError(t, json.NewDecoder(&printed).Decode(&figures))
			require.Positive(t, figures.Ended)
			require.GreaterOrEqual(t, figures.Rows, figures.Exchanges)
		})
	}
}
