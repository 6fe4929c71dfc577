package recordings_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/internal/fakeprovider"
	"github.com/sluicehq/sluice/internal/recordings"
)

const folder = "../../../shared/captures"

// The labels of the recordings come from another parser, a lenient one.
func TestReadingsAgreeWithTheLabels(t *testing.T) {
	for _, r := range recordings.Load(t, folder) {
		if r.Reading == nil {
			require.Equal(t, "bedrock-invoke", r.Meta.API)
			continue
		}
		t.Run(r.Name(), func(t *testing.T) {
			text, reasoning, refusal, finishes := "", "", "", []string{}
			calls, images := []recordings.Call{}, 0
			for _, c := range r.Reading.Choices {
				text, reasoning, refusal = text+c.Text, reasoning+c.Reasoning, refusal+c.Refusal
				finishes = append(finishes, c.Finish)
				calls = append(calls, c.Calls...)
				images += len(c.Images)
			}
			says := func(feature string, is bool) {
				t.Helper()
				require.Equal(t, r.Meta.Has(feature), is, "%s: %+v", feature, r.Reading)
			}
			implies := func(feature string, is bool) {
				t.Helper()
				require.True(t, is || !r.Meta.Has(feature), "%s: %+v", feature, r.Reading)
			}
			// the labels take a refusal for text, thoughts that cannot be read for thinking,
			// each piece of a call for a call, and do not know all places of usage
			sealed := r.Meta.Has("thinking_signature") || r.Meta.Has("redacted_thinking") || r.Meta.Has("encrypted_reasoning")
			implies("text", text != "" || refusal != "")
			implies("thinking", reasoning != "" || sealed)
			says("tool_call", len(calls) > 0)
			if !r.Meta.Has("tool_args_streamed") {
				says("parallel_tool_calls", len(calls) > 1)
			}
			implies("tool_plan", reasoning != "")
			implies("refusal", refusal != "")
			says("image_out", images > 0)
			says("error_mid_stream", r.Reading.Failed)
			says("http_error", r.Reading.Status >= 400)
			implies("usage_chunk", len(r.Reading.Usage) > 1 || r.Reading.Failed)
			implies("no_usage", r.Reading.Usage == nil || strings.Contains(string(r.Response), `"x_groq"`))
			says("cached_tokens", r.Reading.Usage["cached"] > 0)
			says("cache_creation_tokens", r.Reading.Usage["cache_write"] > 0)
			says("reasoning_tokens", r.Reading.Usage["reasoning"] > 0)
			says("multi_choice", len(finishes) > 1)
			implies("truncated", finishes != nil && strings.Contains(strings.Join(finishes, " "), "length"))
			for _, feature := range []string{"content_filter", "safety_block", "prompt_block"} {
				implies(feature, strings.Join(finishes, " ") == "content_filter")
			}
			whole := r.Reading.Status < 400 && !r.Reading.Failed && len(finishes) > 0
			require.Equal(t, whole, r.Reading.Whole)
			if r.Reading.Status >= 400 || r.Reading.Failed {
				require.NotEmpty(t, r.Reading.Message)
			}
		})
	}
}

// What is read of a stream that was cut is the beginning of what is read of all of it.
func TestCutRecordingsAreReadUpToTheCut(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, r := range recordings.Load(t, folder) {
		if r.Reading == nil || r.Reading.Status >= 400 {
			continue
		}
		t.Run(r.Name(), func(t *testing.T) {
			for range 5 {
				cut := r.Capture
				cut.Response = cut.Response[:rng.IntN(len(cut.Response))]
				got, err := recordings.Read(cut)
				require.NoError(t, err)
				for _, c := range got.Choices {
					want := choiceOf(r.Reading, c.Index)
					require.True(t, strings.HasPrefix(want.Text, c.Text))
					require.True(t, strings.HasPrefix(want.Reasoning, c.Reasoning))
					require.LessOrEqual(t, len(c.Calls), len(want.Calls))
				}
			}
		})
	}
}

func choiceOf(r *recordings.Reading, index int) *recordings.Choice {
	for _, c := range r.Choices {
		if c.Index == index {
			return c
		}
	}
	return &recordings.Choice{}
}

func TestARecordingSaysHowItWasSent(t *testing.T) {
	seen := map[string]string{}
	for _, r := range recordings.Load(t, folder) {
		if r.Reading != nil && r.Reading.Status < 400 {
			seen[r.Meta.Container], _, _ = strings.Cut(r.ContentType(), ";")
		}
	}
	require.Equal(t, map[string]string{
		"sse": "text/event-stream", "ndjson": "application/x-ndjson", "eventstream": "application/vnd.amazon.eventstream",
		"json-array": "application/json",
	}, seen)
}

func TestChunksAreTheBody(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	single, whole := false, false
	for n := range 150 {
		body := make([]byte, n*n)
		for i := range body {
			body[i] = byte(i)
		}
		chunks := recordings.Chunks(rng, body)
		require.LessOrEqual(t, len(chunks), 4096)
		var joined []byte
		for _, c := range chunks {
			require.NotEmpty(t, c)
			joined = append(joined, c...)
			single = single || len(c) == 1
		}
		require.Equal(t, string(body), string(joined))
		whole = whole || n > 10 && len(chunks) == n*n
	}
	require.True(t, single)
	require.True(t, whole, "some are cut into single bytes")
}

func TestOtherFormatsAreNotRead(t *testing.T) {
	r, err := recordings.Read(fakeprovider.Capture{Meta: fakeprovider.CaptureMeta{API: "openai-responses", Status: 200}})
	require.NoError(t, err)
	require.Nil(t, r)
}
