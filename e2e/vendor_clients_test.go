//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// The providers of these tests speak as the vendors do: the vendors' own clients
// understand them.
func TestVendorsUnderstandTheProviders(t *testing.T) {
	t.Parallel()
	type place struct {
		URL   string `json:"url"`
		Model string `json:"model"`
	}
	places := map[string]place{}
	all := vendors(t)
	for _, v := range all {
		v.Handle(func(e *fakeprovider.Exchange) {
			if q, _, err := readEnvelope(v.name, e.Request); err != nil {
				v.refuse(e, err)
			} else {
				v.say(e, q.stream, twoCalls())
			}
		})
		places[v.name] = place{URL: v.URL(), Model: v.modelThere()}
	}
	providers, err := json.Marshal(places)
	require.NoError(t, err)
	c := startClient(t, python("vendor_clients.py")(t), "PROVIDERS="+string(providers), "UPSTREAM_KEY="+upstreamKey)

	var answers []struct {
		Name, Reasoning, Signature, End string
		Stream                          bool
		Calls                           [][]any
		Usage                           []float64
	}
	require.NoError(t, json.Unmarshal(c.report(clientPatience), &answers))
	require.Len(t, answers, 2*(len(all)-1))
	ends := map[string]string{"anthropic": "tool_use", "anthropic_on_bedrock": "tool_use", "bedrock": "tool_use", "gemini": "STOP", "cohere": "TOOL_CALL", "ollama": "stop"}
	for _, a := range answers {
		t.Run(fmt.Sprintf("%s/stream=%t", a.Name, a.Stream), func(t *testing.T) {
			require.Equal(t, thought, a.Reasoning)
			require.Equal(t, [][]any{
				{"get_weather", map[string]any{"city": cities[0]}},
				{"get_weather", map[string]any{"city": cities[1]}},
			}, a.Calls)
			require.Equal(t, []float64{fakeprovider.VoiceInput, fakeprovider.VoiceOutput}, a.Usage)
			require.Equal(t, ends[a.Name], a.End)
			if a.Name != "cohere" && a.Name != "ollama" {
				require.Equal(t, signature, a.Signature)
			}
		})
	}
}
