package accounting

import (
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting/tokens"
)

func TestOutputCountsTextReasoningRefusalAndTools(t *testing.T) {
	var e Estimator
	f := func(text OutputText, want int64) {
		t.Helper()
		require.Equal(t, want, e.Output("gpt-4o", text))
	}

	f(OutputText{}, 0)
	f(OutputText{Content: []byte("hello world"), TotalBytes: 11}, 2)
	f(OutputText{Reasoning: []byte("hello world"), TotalBytes: 11}, 2)
	f(OutputText{Refusal: []byte("hello world"), TotalBytes: 11}, 2)
	f(OutputText{Content: []byte("hello world"), Reasoning: []byte("hello world"), TotalBytes: 22}, 4)
	f(OutputText{Tools: []byte("hello world"), TotalBytes: 11, Calls: 1}, 2+7)
	f(OutputText{Tools: []byte("hello world"), TotalBytes: 11, Calls: 3}, 2+10+3*10)
}

func TestTruncatedOutputIsExtrapolatedByBytes(t *testing.T) {
	var e Estimator
	kept := []byte(strings.Repeat("hello world ", 100))
	whole := e.Output("gpt-4o", OutputText{Content: kept, TotalBytes: int64(len(kept))})
	tenfold := e.Output("gpt-4o", OutputText{Content: kept, Truncated: true, TotalBytes: int64(10 * len(kept))})
	require.InDelta(t, 10*whole, tenfold, 2)

	require.EqualValues(t, 250, e.Output("gpt-4o", OutputText{Truncated: true, TotalBytes: 1000}))
	require.Equal(t, whole, e.Output("gpt-4o", OutputText{Content: kept, Truncated: true, TotalBytes: 3}),
		"a total below what was kept takes nothing away")
}

func TestOutputLimitOfARequest(t *testing.T) {
	f := func(body string, want int64, wantOK bool) {
		t.Helper()
		got, ok := OutputLimit([]byte(body))
		require.Equal(t, wantOK, ok, body)
		require.Equal(t, want, got, body)
	}

	f(`{"max_tokens":100}`, 100, true)
	f(`{"max_completion_tokens":100,"max_tokens":50}`, 100, true)
	f(`{"max_output_tokens":7}`, 7, true)
	f(`{"max_tokens":100,"n":3}`, 300, true)
	f(`{"max_tokens":100,"n":2,"best_of":5}`, 500, true)
	f(`{"max_tokens":100,"n":9223372036854775807}`, 100*(1<<31-1), true)
	f(`{"max_completion_tokens":null,"max_tokens":5}`, 5, true)

	f(`{}`, 0, false)
	f(`{"max_tokens":null}`, 0, false)
	f(`{"max_tokens":0}`, 0, false)
	f(`{"max_tokens":-5}`, 0, false)
	f(`{"max_tokens":1e300}`, 0, false)
	f(`{"max_tokens":"100"}`, 0, false)
	f(`not json`, 0, false)
}

func TestEstimateNeverExceedsWhatTheRequestAllows(t *testing.T) {
	var e Estimator
	body := []byte(`{"model":"gpt-4o","max_tokens":10,"messages":[{"role":"user","content":"hi"}]}`)
	long := OutputText{
		Content: []byte(strings.Repeat("word ", 500)), Reasoning: []byte(strings.Repeat("thought ", 500)), TotalBytes: 6500,
	}
	u := e.Estimate("gpt-4o", "chat/completions", body, long, Bounds{})
	require.Equal(t, tokens.Count{N: 8, Known: true}, u.Input)
	require.Equal(t, tokens.Count{N: 10, Known: true}, u.Output)
	require.Equal(t, tokens.Count{N: 10, Known: true}, u.OutputReasoning)
}

func TestEstimateLeavesUnseenOutputAbsent(t *testing.T) {
	var e Estimator
	u := e.Estimate("gpt-4o", "chat/completions", []byte(`{"messages":[{"role":"user","content":"hi"}]}`), OutputText{}, Bounds{})
	require.True(t, u.Input.Known)
	require.False(t, u.Output.Known)
	require.False(t, u.OutputReasoning.Known)
	require.False(t, u.InputCached.Known)
}

func TestEstimatorIsSharedByManyGoroutines(t *testing.T) {
	var e Estimator
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			model := []string{"gpt-4o", "gpt-4"}[i%2]
			for range 20 {
				if got := e.Text(model, "tiktoken is great!"); got != 6 {
					t.Errorf("%s: %d tokens", model, got)
				}
			}
		})
	}
	wg.Wait()
}
