package accounting

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting/tokens"
)

func TestParseUsage(t *testing.T) {
	f := func(name, raw string, want tokens.Usage, ok bool) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			got, gotOK := ParseUsage([]byte(raw))
			require.Equal(t, want, got)
			require.Equal(t, ok, gotOK)
		})
	}
	in := func(input, output int64) tokens.Usage {
		return tokens.Usage{Input: tokens.Known(input), Output: tokens.Known(output)}
	}

	f("chat", `{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29,
		"prompt_tokens_details":{"cached_tokens":4,"audio_tokens":1,"cache_write_tokens":2},
		"completion_tokens_details":{"reasoning_tokens":5,"audio_tokens":3,"accepted_prediction_tokens":0}}`,
		tokens.Usage{
			Input: tokens.Known(19), InputCached: tokens.Known(4), InputCacheWrite: tokens.Known(2), InputAudio: tokens.Known(1),
			Output: tokens.Known(10), OutputReasoning: tokens.Known(5), OutputAudio: tokens.Known(3),
		}, true)
	f("responses", `{"input_tokens":7,"input_tokens_details":{"cached_tokens":0},"output_tokens":8,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":15}`,
		tokens.Usage{Input: tokens.Known(7), InputCached: tokens.Known(0), Output: tokens.Known(8), OutputReasoning: tokens.Known(0)}, true)
	f("embeddings", `{"prompt_tokens":5,"total_tokens":5}`, tokens.Usage{Input: tokens.Known(5)}, true)
	f("transcription", `{"type":"tokens","input_tokens":14,"input_token_details":{"audio_tokens":14,"text_tokens":0},"output_tokens":4,"total_tokens":18}`,
		tokens.Usage{Input: tokens.Known(14), InputAudio: tokens.Known(14), Output: tokens.Known(4)}, true)
	f("cache hit", `{"prompt_tokens":9,"prompt_cache_hit_tokens":6,"prompt_cache_miss_tokens":3}`, tokens.Usage{Input: tokens.Known(9), InputCached: tokens.Known(6)}, true)
	f("cached beside", `{"prompt_tokens":9,"cached_tokens":6}`, tokens.Usage{Input: tokens.Known(9), InputCached: tokens.Known(6)}, true)
	f("cache read and creation", `{"prompt_tokens":9,"cache_read_input_tokens":6,"cache_creation_input_tokens":2}`,
		tokens.Usage{Input: tokens.Known(9), InputCached: tokens.Known(6), InputCacheWrite: tokens.Known(2)}, true)
	f("details come first", `{"cached_tokens":1,"prompt_tokens":9,"prompt_tokens_details":{"cached_tokens":6}}`, tokens.Usage{Input: tokens.Known(9), InputCached: tokens.Known(6)}, true)
	f("reasoning beside", `{"prompt_tokens":1,"completion_tokens":9,"reasoning_tokens":6}`, tokens.Usage{Input: tokens.Known(1), Output: tokens.Known(9), OutputReasoning: tokens.Known(6)}, true)
	f("reasoning left out of completion", `{"prompt_tokens":10,"completion_tokens":2,"total_tokens":42,"completion_tokens_details":{"reasoning_tokens":30}}`,
		tokens.Usage{Input: tokens.Known(10), Output: tokens.Known(32), OutputReasoning: tokens.Known(30)}, true)
	f("reasoning larger than completion stays", `{"prompt_tokens":10,"completion_tokens":2,"total_tokens":12,"completion_tokens_details":{"reasoning_tokens":30}}`,
		tokens.Usage{Input: tokens.Known(10), Output: tokens.Known(2), OutputReasoning: tokens.Known(30)}, true)
	f("no reasoning, no correction", `{"prompt_tokens":10,"completion_tokens":2,"total_tokens":12,"completion_tokens_details":{"reasoning_tokens":0}}`,
		tokens.Usage{Input: tokens.Known(10), Output: tokens.Known(2), OutputReasoning: tokens.Known(0)}, true)
	f("nulls are absent", `{"prompt_tokens":3,"completion_tokens":null,"prompt_tokens_details":null,"completion_tokens_details":{"reasoning_tokens":null}}`,
		tokens.Usage{Input: tokens.Known(3)}, true)
	f("zero is a number", `{"prompt_tokens":0,"completion_tokens":0}`, in(0, 0), true)
	f("whole floats", `{"prompt_tokens":3.0,"completion_tokens":1e3}`, in(3, 1000), true)
	f("negative", `{"prompt_tokens":-3,"completion_tokens":4}`, tokens.Usage{Output: tokens.Known(4)}, false)
	f("fraction", `{"prompt_tokens":3.5,"completion_tokens":4}`, tokens.Usage{Output: tokens.Known(4)}, false)
	f("text", `{"prompt_tokens":"3","completion_tokens":4}`, tokens.Usage{Output: tokens.Known(4)}, false)
	f("overflow", `{"prompt_tokens":99999999999999999999,"completion_tokens":4}`, tokens.Usage{Output: tokens.Known(4)}, false)
	f("float overflow", `{"prompt_tokens":1e400,"completion_tokens":4}`, tokens.Usage{Output: tokens.Known(4)}, false)
	f("absurd", `{"prompt_tokens":9007199254740993,"completion_tokens":4}`, tokens.Usage{Output: tokens.Known(4)}, false)
	f("object for a number", `{"prompt_tokens":{},"completion_tokens":4}`, tokens.Usage{Output: tokens.Known(4)}, false)
	f("details of the wrong kind", `{"prompt_tokens":3,"prompt_tokens_details":[1],"completion_tokens_details":7}`, tokens.Usage{Input: tokens.Known(3)}, true)
	f("no counts", `{"type":"duration","seconds":3}`, tokens.Usage{}, false)
	f("empty", `{}`, tokens.Usage{}, false)
	f("null", `null`, tokens.Usage{}, false)
	f("array", `[1]`, tokens.Usage{}, false)
	f("cut", `{"prompt_tokens":3`, tokens.Usage{}, false)
	f("trailing", `{"prompt_tokens":3}x`, tokens.Usage{}, false)
	f("nothing", ``, tokens.Usage{}, false)
}

func TestMergeKeepsWhatTheLaterUsageLacks(t *testing.T) {
	prev := tokens.Usage{Input: tokens.Known(5), InputCached: tokens.Known(1), Output: tokens.Known(2)}
	next := tokens.Usage{Output: tokens.Known(0), OutputReasoning: tokens.Known(3)}
	require.Equal(t, tokens.Usage{Input: tokens.Known(5), InputCached: tokens.Known(1), Output: tokens.Known(0), OutputReasoning: tokens.Known(3)}, tokens.Merge(prev, next))
	require.Equal(t, prev, tokens.Merge(prev, tokens.Usage{}))
	require.Equal(t, prev, tokens.Merge(tokens.Usage{}, prev))
}

func TestCountJSONAndText(t *testing.T) {
	b, err := json.Marshal(tokens.Usage{Input: tokens.Known(0), Output: tokens.Known(12)})
	require.NoError(t, err)
	require.JSONEq(t, `{"input":0,"input_cached":null,"input_cache_write":null,"input_audio":null,"output":12,"output_reasoning":null,"output_audio":null}`, string(b))
	var u tokens.Usage
	require.NoError(t, json.Unmarshal(b, &u))
	require.Equal(t, tokens.Usage{Input: tokens.Known(0), Output: tokens.Known(12)}, u)
	require.Error(t, json.Unmarshal([]byte(`{"input":"x"}`), &u))
	require.Equal(t, "-", tokens.Count{}.String())
	require.Equal(t, "0", tokens.Known(0).String())
	require.Equal(t, tokens.Known(4), tokens.Count{}.Or(tokens.Known(4)))
	require.Equal(t, tokens.Known(0), tokens.Known(0).Or(tokens.Known(4)))
}

func FuzzParseUsageNeverReturnsWhatCannotBe(f *testing.F) {
	f.Add([]byte(`{"prompt_tokens":10,"completion_tokens":2,"total_tokens":42,"completion_tokens_details":{"reasoning_tokens":30}}`))
	f.Add([]byte(`{"input_tokens":-1,"cached_tokens":1e30}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		u, ok := ParseUsage(raw)
		if ok {
			require.True(t, json.Valid(raw))
			require.True(t, u.Any())
		}
		for _, c := range []tokens.Count{u.Input, u.InputCached, u.InputCacheWrite, u.InputAudio, u.Output, u.OutputReasoning, u.OutputAudio} {
			require.GreaterOrEqual(t, c.N, int64(0))
			require.LessOrEqual(t, c.N, int64(2*maxCount))
			require.True(t, c.Known || c.N == 0)
		}
	})
}

func TestEscapedKeysMeanTheSame(t *testing.T) {
	u, ok := ParseUsage([]byte(`{"prompt\u005ftokens":3}`))
	require.True(t, ok)
	require.Equal(t, tokens.Known(3), u.Input)
}
