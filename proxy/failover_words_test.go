package proxy

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// A refusal in a provider's own words says that nothing has run. Where an earlier attempt may
// have, the client is told not to repeat the request all the same.
func TestRefusalAfterAnAttemptThatMayHaveRunAsksForNoRepeat(t *testing.T) {
	t.Parallel()
	for _, risky := range []bool{true, false} {
		f := newFailoverRig(t, openAIs(2), offering("m", "ab", maybeRan))
		first := fakeprovider.Refusal(503)
		if risky {
			first = fakeprovider.Cut(0, fakeprovider.EndClosed)
		}
		f.ups[0].Handle(first)
		f.ups[1].Handle(fakeprovider.Refusal(503, "X-Should-Retry: true"))
		p, rec := f.askAs("a", wholeBody)
		require.Equal(t, 503, p.status)
		require.Len(t, rec.Attempts, 2)
		want := "true"
		if risky {
			want = "false"
		}
		require.Equal(t, []string{want}, p.header.Values("X-Should-Retry"))
	}
}

// An error object under a good status, in an answer that is not streamed, is a failure: the
// fallback model takes over where it says that the prompt is too long.
func TestErrorUnderAGoodStatusFallsBack(t *testing.T) {
	t.Parallel()
	const long = `{"error":{"message":"too long","type":"invalid_request_error","code":"context_length_exceeded"}}`
	f := newFailoverRig(t, openAIs(2), func(cfg *config.Config) {
		cfg.Models = []config.Model{
			{Name: "m", Targets: []config.Target{{Provider: "a", Model: "m"}}, Fallback: "large"},
			{Name: "large", Targets: []config.Target{{Provider: "b", Model: "m"}}},
		}
	})
	f.ups[0].Handle(func(e *fakeprovider.Exchange) { e.JSON(200, long) })
	p, rec := f.askAs("a", wholeBody)
	require.Equal(t, 200, p.status)
	require.Contains(t, string(p.body), `"choices"`)
	require.Equal(t, accounting.OutcomeCompleted, rec.Outcome)
	require.Len(t, rec.Attempts, 2)
	require.Equal(t, accounting.AttemptFallback, rec.Attempts[1].Kind)
	require.Equal(t, accounting.OutcomeUpstreamError, rec.Attempts[0].Outcome)
}
