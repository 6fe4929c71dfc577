//go:build e2e

package e2e

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// round is what a script reports of one scenario on one model.
type round struct {
	seen
	Model     string          `json:"model"`
	Scenario  string          `json:"scenario"`
	Reasoning string          `json:"reasoning"`
	Form      json.RawMessage `json:"form"`
	Carried   bool            `json:"carried"`
	Error     *struct {
		Class      string `json:"class"`
		Status     int    `json:"status"`
		Code       string `json:"code"`
		Message    string `json:"message"`
		RetryAfter string `json:"retry_after"`
		Trace      string `json:"trace"`
	} `json:"error"`
}

// roundsPatience bounds all scenarios of a script on all models.
const roundsPatience = 3 * time.Minute

// playRounds runs a script on the models of vendors. The script is still alive when
// this returns.
func playRounds(s *sluice, command []string, all []*vendor, env ...string) []round {
	s.tb.Helper()
	models := make([]string, len(all))
	for i, v := range all {
		models[i] = v.model
	}
	c := startScript(s, command, append([]string{"MODELS=" + strings.Join(models, " ")}, env...)...)
	var report struct{ Rounds []round }
	require.NoError(s.tb, json.Unmarshal(c.report(roundsPatience), &report))
	return report.Rounds
}

// roundsOf groups rounds by model.
func roundsOf(t *testing.T, rounds []round, model string) map[string]round {
	t.Helper()
	scenarios := map[string]round{}
	for _, r := range rounds {
		if r.Model == model {
			scenarios[r.Scenario] = r
		}
	}
	require.NotEmpty(t, scenarios)
	return scenarios
}
