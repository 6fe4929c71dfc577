package chatrules_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/internal/chatrules"
	"github.com/sluicehq/sluice/internal/recordings"
)

// The rules are OpenAI's, so what OpenAI has sent obeys them. Recordings that were
// written anew are of no use here, nor are those of servers that go by OpenAI's name,
// which lack its fingerprint.
func TestWhatOpenAISendsIsGood(t *testing.T) {
	for _, r := range recordings.Load(t, "../../../shared/captures", "openai-chat") {
		if r.Provider != "openai" || r.Meta.Status != 200 || r.Meta.Fidelity != "raw" ||
			!strings.Contains(string(r.Response), `"system_fingerprint"`) {
			continue
		}
		t.Run(r.Name(), func(t *testing.T) {
			var request struct {
				Options struct {
					IncludeUsage bool `json:"include_usage"`
				} `json:"stream_options"`
			}
			if r.Request != nil {
				require.NoError(t, json.Unmarshal(r.Request, &request))
			}
			s := chatrules.CheckStream(t, r.Response, chatrules.Options{IncludeUsage: request.Options.IncludeUsage})
			require.Empty(t, r.Reading.Differences(&s.Answer))
		})
	}
}
