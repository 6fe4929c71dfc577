//go:build e2e

package e2e

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// player is a client library and the script that plays all scenarios with it.
type player struct {
	name    string
	command func(testing.TB) []string
	// Classes of the errors that the library raises, and what else it shows of them.
	rateLimited, failed string
	statusSaid          bool
	retrySaid           bool
	// reasons tells whether the library hands on the model's reasoning.
	reasons bool
	// carries are the dialects whose signatures the library keeps in messages and sends
	// back: "all", or one that it knows.
	carries string
}

var players = []player{
	{
		name: "python", command: python("rounds_openai.py"), reasons: true, carries: "all",
		rateLimited: "RateLimitError", failed: "APIError", statusSaid: true, retrySaid: true,
	},
	{
		name: "node", command: script("rounds_openai.mjs"), reasons: true, carries: "all",
		rateLimited: "RateLimitError", failed: "APIError", statusSaid: true, retrySaid: true,
	},
	{
		name: "go", command: func(testing.TB) []string { return []string{goClientBinary, "rounds"} }, reasons: true,
		rateLimited: "Error", failed: "*ssestream.StreamError", statusSaid: true, retrySaid: true,
	},
	{
		name: "langchain", command: python("rounds_langchain.py"),
		rateLimited: "OpenAIRateLimitError", failed: "APIError", statusSaid: true, retrySaid: true,
	},
	{
		name: "pydantic-ai", command: python("rounds_pydantic_ai.py"), reasons: true, carries: "gemini",
		rateLimited: "ModelRateLimitError", failed: "Model", statusSaid: true,
	},
	{
		name: "vercel", command: script("rounds_vercel.mjs"), reasons: true,
		rateLimited: "APICallError", failed: "Object", statusSaid: true, retrySaid: true,
	},
}

func playing(name string) player {
	return players[slices.IndexFunc(players, func(p player) bool { return p.name == name })]
}

// Each client sees the same of each dialect: text, reasoning, tools in two turns,
// answers in a form, and failures; and when it leaves, the provider is left.
func TestDialects(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var requests []sent
	t.Run("clients", func(t *testing.T) {
		for _, p := range players {
			t.Run(p.name, func(t *testing.T) {
				t.Parallel()
				all := vendors(t)
				s := startBefore(t, all, "")
				rounds := playRounds(s, p.command(t), all)
				for _, v := range all {
					t.Run(v.name, func(t *testing.T) {
						p.requireRounds(t, v, roundsOf(t, rounds, v.model))
						v.requireAsked(t, s, roundsOf(t, rounds, v.model))
					})
					if v.voice.Dialect == "openai" {
						continue // gets what the client has written
					}
					mu.Lock()
					requests = append(requests, sentTo(v, p.name)...)
					mu.Unlock()
				}
			})
		}
	})
	requireVendorsAccept(t, requests)
}

// requireRounds checks what a client has seen of one dialect.
func (p player) requireRounds(t *testing.T, v *vendor, rounds map[string]round) {
	t.Helper()
	for name, r := range rounds {
		t.Run(name, func(t *testing.T) {
			scenario, _, _ := strings.Cut(name, "_")
			if scenario != "busy" && scenario != "broken" && scenario != "abort" {
				require.Nil(t, r.Error, "%+v", r.Error)
			}
			if len(r.Models) > 0 {
				require.Equal(t, []string{v.model}, r.Models)
			}
			p.check(t, v, scenario, r)
		})
	}
}

func (p player) check(t *testing.T, v *vendor, scenario string, r round) {
	t.Helper()
	switch scenario {
	case "text", "think":
		require.Equal(t, greeting, r.Text)
		require.Equal(t, "stop", r.FinishReason)
		require.NotNil(t, r.Usage)
		require.Equal(t, fakeprovider.VoiceInput, r.Usage.Prompt)
		require.Equal(t, fakeprovider.VoiceOutput, r.Usage.Completion)
		if scenario == "think" && p.reasons {
			require.Equal(t, thought, r.Reasoning)
		} else {
			require.Empty(t, r.Reasoning)
		}
	case "tools":
		requireBothCities(t, r)
		// The provider has refused the second turn if the signatures were not in it.
		keeps := p.carries == "all" || p.carries == v.voice.Dialect
		require.Equal(t, keeps && v.signs() && r.Scenario != "tools_loop", r.Carried)
	case "schema":
		require.JSONEq(t, formed, string(r.Form))
	case "abort":
		require.Equal(t, "Rain and", r.Text)
		require.Empty(t, r.FinishReason)
	case "busy":
		require.NotNil(t, r.Error)
		require.Equal(t, p.rateLimited, r.Error.Class)
		require.Contains(t, r.Error.Message, busy)
		if p.statusSaid {
			require.Equal(t, http.StatusTooManyRequests, r.Error.Status)
		}
		if p.retrySaid && v.voice.RetriesSaid() {
			require.Equal(t, strconv.Itoa(fakeprovider.VoiceRetry), r.Error.RetryAfter)
		}
	case "broken":
		require.Equal(t, "Rain and", r.Text)
		require.Empty(t, r.FinishReason)
		require.NotNil(t, r.Error)
		require.Contains(t, r.Error.Class, p.failed)
		require.Contains(t, r.Error.Message, broken)
	default:
		require.Fail(t, "nothing is known of this scenario")
	}
}

func requireBothCities(t *testing.T, r round) {
	t.Helper()
	require.Equal(t, forecast, r.Text)
	require.Equal(t, "stop", r.FinishReason)
	require.Len(t, r.ToolCalls, len(cities))
	for i, city := range cities {
		require.Equal(t, "get_weather", r.ToolCalls[i].Name)
		require.JSONEq(t, `{"city":"`+city+`"}`, r.ToolCalls[i].Arguments)
		require.NotEmpty(t, r.ToolCalls[i].ID)
	}
	require.NotEqual(t, r.ToolCalls[0].ID, r.ToolCalls[1].ID)
}

// requireAsked checks what the provider and the metrics say of rounds: nothing was asked
// twice, and the client that left was followed at once.
func (v *vendor) requireAsked(t *testing.T, s *sluice, rounds map[string]round) {
	t.Helper()
	turns := 0
	for name, r := range rounds {
		turns++
		if strings.HasPrefix(name, "tools") {
			turns++
		}
		if r.RequestID != "" {
			v.requireRecorded(t, s.record(r.RequestID), r)
		}
	}
	require.Len(t, v.Exchanges(), turns)
	for _, e := range v.Exchanges() {
		if q, _ := readQuestion(v.name, e.Request); q.scenario == "abort" {
			require.NotEqual(t, fakeprovider.GoneSelf, e.WaitGone(closedWithin).How)
		}
	}
	for outcome, count := range map[string]int{"client_gone": 1, "upstream_error": 2, "completed": turns - 3} {
		require.Eventually(t, func() bool {
			return s.metric("sluice_requests_total", `provider="`+v.name+`"`, `outcome="`+outcome+`"`) == float64(count)
		}, patience, pollEvery, "%d exchanges were not counted as %s", count, outcome)
	}
}

// requireRecorded checks the record of a round whose client knows its id.
func (v *vendor) requireRecorded(t *testing.T, r record, of round) {
	t.Helper()
	require.Equal(t, v.name, r.Provider)
	require.Equal(t, v.model, r.ModelAsked)
	require.Equal(t, v.voice.Dialect, r.DialectOut)
	switch scenario, _, _ := strings.Cut(of.Scenario, "_"); scenario {
	case "abort":
		require.Equal(t, "client_gone", r.Outcome)
		require.False(t, r.Delivered)
	case "busy", "broken":
		require.Equal(t, "upstream_error", r.Outcome)
	default:
		require.Equal(t, "completed", r.Outcome)
		require.Equal(t, "tail", r.Phase)
		require.Equal(t, "reported", r.UsageSource)
		require.EqualValues(t, fakeprovider.VoiceInput, *r.Usage.Input)
		require.EqualValues(t, fakeprovider.VoiceOutput, *r.Usage.Output)
	}
}

// The message that an SDK gives back holds the signatures, so that nothing is lost when
// sluice remembers nothing.
func TestSignaturesComeBackInTheMessage(t *testing.T) {
	for _, p := range players {
		if p.carries == "" {
			continue
		}
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			all := vendors(t)
			if p.carries != "all" {
				all = speakingOnly(all, p.carries)
			}
			playTools(t, all, p, "thought_memory: 0")
		})
	}
}

// A client that drops the signatures gets on without them: models of Anthropic take the
// turn without its thoughts, Gemini the word that Google documents for it.
func TestLostSignaturesAreNoFailure(t *testing.T) {
	t.Parallel()
	all := vendors(t)
	for _, v := range all {
		v.forgetful = true
	}
	playTools(t, all, playing("langchain"), "thought_memory: 0")
}

// A client that cannot be shown signatures is remembered for.
func TestSignaturesAreRememberedForStrictClients(t *testing.T) {
	t.Parallel()
	strict := playing("python")
	strict.carries = ""
	playTools(t, vendors(t), strict, "extensions: false")
}

// playTools plays the scenarios with tools before a sluice with further settings.
func playTools(t *testing.T, all []*vendor, p player, extra string) {
	t.Helper()
	s := startBefore(t, all, extra)
	rounds := playRounds(s, p.command(t), all, "SCENARIOS=tools tools_whole")
	for _, v := range all {
		t.Run(v.name, func(t *testing.T) {
			p.requireRounds(t, v, roundsOf(t, rounds, v.model))
		})
	}
}

func speakingOnly(all []*vendor, dialect string) []*vendor {
	var some []*vendor
	for _, v := range all {
		if v.voice.Dialect == dialect {
			some = append(some, v)
		}
	}
	return some
}
