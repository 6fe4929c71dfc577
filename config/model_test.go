package config_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/config"
)

func TestFallbacksInACircle(t *testing.T) {
	f := func(fallbacks string, problems ...string) {
		t.Helper()
		src := simulatorOnly + "models:\n"
		for i := 0; i+1 < len(fallbacks); i += 2 {
			src += "  - {name: " + fallbacks[i:i+1] + ", targets: [{provider: sim}]"
			if to := fallbacks[i+1 : i+2]; to != "-" {
				src += ", fallback: " + to
			}
			src += "}\n"
		}
		_, err := config.Parse([]byte(src), "", noEnvironment)
		if problems == nil {
			require.NoError(t, err)
			return
		}
		var got []string
		for _, p := range problemsOf(t, err) {
			got = append(got, p.Path+": "+p.Message)
		}
		require.Equal(t, problems, got)
	}
	f("abbcc-")
	f("acbcc-")
	f("abba", "models[0].fallback: leads in a circle: a, b, a")
	f("abbccb", "models[1].fallback: leads in a circle: b, c, b")
	f("abbaccdcea", "models[0].fallback: leads in a circle: a, b, a", "models[2].fallback: must be another model")
	f("abbacddc", "models[0].fallback: leads in a circle: a, b, a", "models[2].fallback: leads in a circle: c, d, c")
	f("abbccddeeffgghhiia", "models[0].fallback: leads in a circle: a, b, c, d, e, f, g, h, …, a")
}

// One problem is enough when several targets want what an alias cannot give.
func TestAliasWithoutAStarIsReportedOnce(t *testing.T) {
	_, err := config.Parse([]byte(simulatorOnly+"models: [{name: 'm-*', aliases: [a], targets: [{provider: sim}, {provider: sim, model: 'x-*'}]}]"), "", noEnvironment)
	require.EqualError(t, err, `2:34: models[0].aliases[0]: "a" needs a *, which says what the one in the target's model "m-*" stands for`)
}
