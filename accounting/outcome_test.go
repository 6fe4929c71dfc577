package accounting

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOutcomesAreAClosedList(t *testing.T) {
	all := Outcomes()
	require.Len(t, all, 11)
	for _, o := range all {
		require.True(t, o.Valid(), o)
	}
	require.False(t, Outcome("").Valid())
	require.False(t, Outcome("aborted").Valid())

	all[0] = "changed"
	require.Equal(t, OutcomeCompleted, Outcomes()[0], "the list must not be shared")
}

func TestCutOutcomesAreThoseThatSluiceDecides(t *testing.T) {
	cut := map[Outcome]bool{
		OutcomeClientGone: true, OutcomeClientStalled: true, OutcomeCancelled: true,
		OutcomeLimit: true, OutcomeShutdown: true, OutcomeUpstreamTimeout: true,
	}
	for _, o := range Outcomes() {
		require.Equal(t, cut[o], o.Cut(), o)
	}
}

func TestPhaseNamesSurviveJSON(t *testing.T) {
	want := []string{
		"recv", "queued", "connect", "sending", "await_headers", "await_token", "streaming", "tail",
	}
	phases := Phases()
	require.Len(t, phases, len(want))
	for i, phase := range phases {
		require.Equal(t, want[i], phase.String())
		b, err := json.Marshal(phase)
		require.NoError(t, err)
		var back Phase
		require.NoError(t, json.Unmarshal(b, &back))
		require.Equal(t, phase, back)
	}
	require.Equal(t, "unknown", Phase(200).String())

	var p Phase
	err := json.Unmarshal([]byte(`"canary-phase"`), &p)
	require.Error(t, err)
	require.NotContains(t, err.Error(), "canary")
}
