package proxy

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/chatrules"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// mapped gives the public name fast to model-9 of the provider.
func mapped(c *config.Config) {
	c.Models = []config.Model{{Name: "fast", Targets: []config.Target{{Provider: "fake", Model: "model-9", Weight: 1}}}}
}

// statesModel tells whether a provider names the model in its answers: where it does
// not, sluice says the name that it asked for.
func statesModel(v *fakeprovider.Voice) bool {
	return v.Dialect != config.DialectCohere && v.Dialect != config.DialectBedrock
}

// The provider is asked for the model under its own name, and the client sees the one
// that the configuration says: in every chunk, also in those that sluice makes itself.
func TestModelNamesInEveryDialect(t *testing.T) {
	inEveryDialect(t, func(t *testing.T, v *fakeprovider.Voice) {
		for _, which := range []string{config.ResponseModelPublic, config.ResponseModelUpstream} {
			r := newRig(t, speaking(v), mapped, func(c *config.Config) { c.ResponseModel = which })
			r.up.Handle(saying(v))
			want := "fast"
			if which == config.ResponseModelUpstream {
				if want = "model-9"; statesModel(v) {
					want = fakeprovider.VoiceModel
				}
			}
			rules := rulesFor(v)
			rules.Model = want
			p, rec := r.askAs("stream", asking("fast", chatWithTool))
			requireAllSaid(t, &chatrules.CheckStream(t, p.body, rules).Answer)
			requireNamed(t, v, r, rec)
			p, rec = r.askAs("whole", asking("fast", wholeWithTool))
			requireAllSaid(t, chatrules.CheckAnswer(t, p.body, rules))
			requireNamed(t, v, r, rec)

			r.up.Handle(func(e *fakeprovider.Exchange) {
				v := v.Fresh()
				say(e, v, v.Start(), v.Text("one "))
				e.Hold()
			})
			resp := r.dial().post(asking("fast", chatWithTool), "X-Request-Id: cut")
			var seen bytes.Buffer
			for !strings.Contains(seen.String(), `"content":"one "`) {
				_, err := io.CopyN(&seen, resp.Body, 1)
				require.NoError(t, err)
			}
			r.cancel("cut")
			p = read(resp)
			require.NoError(t, p.err)
			got := chatrules.CheckStream(t, append(seen.Bytes(), p.body...), rules)
			require.Equal(t, "cancelled", got.Outcome)
			require.Equal(t, "stop", got.Choices[0].Finish)
		}
	})
}

// requireNamed asserts what a record calls the model and where it was asked for.
func requireNamed(t *testing.T, v *fakeprovider.Voice, r *rig, rec *accounting.Record) {
	t.Helper()
	require.Equal(t, "fast", rec.ModelAsked)
	require.Equal(t, "model-9", rec.ModelServed)
	require.Equal(t, "fake/model-9", rec.Target)
	require.Equal(t, "fake", rec.Provider)
	require.Equal(t, "openai", rec.DialectIn)
	require.Equal(t, v.Dialect, rec.DialectOut)
	require.Equal(t, "chat/completions", rec.Endpoint)
	seen := r.up.Exchanges()
	request := seen[len(seen)-1].Request
	require.Contains(t, request.Target+string(request.Body), "model-9")
	require.NotContains(t, request.Target+string(request.Body), "fast")
}

// The metrics of a translated exchange have the same names and labels as those of a
// relay, none of them chosen by a client.
func TestMetricsOfEveryDialect(t *testing.T) {
	inEveryDialect(t, func(t *testing.T, v *fakeprovider.Voice) {
		r := newRig(t, speaking(v), mapped)
		r.up.Handle(saying(v))
		for _, model := range []string{"fast", "fake/canary-1", "fake/canary-2"} {
			require.Equal(t, 200, r.ask(asking(model, chatWithTool)).status)
			require.Equal(t, 200, r.ask(asking(model, wholeWithTool)).status)
		}
		r.up.Handle(func(e *fakeprovider.Exchange) { v.Refuse(e, 429, "slow") })
		require.Equal(t, 429, r.ask(asking("fast", chatWithTool)).status)
		r.allEnded()

		for model, count := range map[string]float64{"fast": 2, "other": 4} {
			of := []string{"provider=fake", "model=" + model}
			require.Equal(t, count, r.metric("sluice_requests_total", append(of, "outcome=completed")...))
			require.Equal(t, count*fakeprovider.VoiceInput, r.metric("sluice_tokens_total", append(of, "type=input", "source=reported")...))
			require.Equal(t, count*fakeprovider.VoiceOutput, r.metric("sluice_tokens_total", append(of, "type=output", "source=reported")...))
			require.Equal(t, count, r.metric("sluice_tool_calls_total", append(of, "complete=true")...))
		}
		require.EqualValues(t, 1, r.metric("sluice_requests_total", "provider=fake", "model=fast", "outcome=upstream_error", "code=429"))
		require.Zero(t, r.metric("sluice_tokens_total", "source=estimated"))
		families, err := r.srv.metrics.Registry().Gather()
		require.NoError(t, err)
		for _, f := range families {
			require.NotContains(t, f.String(), "canary")
		}
	})
}

// The record of a translated exchange says in JSON what it was translated to and what
// was dropped; that of one in which nothing was dropped says nothing of it.
func TestRecordsOfEveryDialect(t *testing.T) {
	inEveryDialect(t, func(t *testing.T, v *fakeprovider.Voice) {
		r := newRig(t, speaking(v))
		r.up.Handle(saying(v))
		r.askAs("plain", chatWithTool)
		r.askAs("dropped", strings.Replace(chatWithTool, `"tools":`, `"logit_bias":{"1":2},"prediction":{"type":"content","content":"x"},"tools":`, 1))
		for id, warnings := range map[string]int{"plain": 0, "dropped": 2} {
			if v.Dialect == config.DialectOpenAI {
				warnings = 0
			}
			var shown struct {
				DialectIn  string          `json:"dialect_in"`
				DialectOut string          `json:"dialect_out"`
				Warnings   []string        `json:"warnings"`
				RawUsage   json.RawMessage `json:"raw_usage"`
			}
			require.Equal(t, 200, r.dial().get("/v1/requests/"+id, &shown))
			require.Equal(t, "openai", shown.DialectIn)
			require.Equal(t, v.Dialect, shown.DialectOut)
			require.Len(t, shown.Warnings, warnings)
			require.Contains(t, string(shown.RawUsage), "7", "the provider's own words, the last where there are several")
			if v.Dialect != config.DialectOpenAI {
				require.NotContains(t, string(shown.RawUsage), "prompt_tokens\"")
			}
		}
	})
}
