package limits

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAMinutesRequestsMayComeAtOnce(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		l := r.limiter(t)
		s := subject(Key, Quota{RequestsPerMinute: 3})
		for i := range 3 {
			state := must(t, l, ask(Amount{}, s)).State()
			require.True(t, state.Requests.Set)
			require.False(t, state.Tokens.Set)
			require.Equal(t, int64(3), state.Requests.Limit)
			require.Equal(t, int64(2-i), state.Requests.Remaining)
			require.InDelta(t, float64(i+1)*20, state.Requests.Reset.Seconds(), 5)
		}
		refused := refuse(t, l, ask(Amount{}, s))
		require.Equal(t, LimitRequests, refused.Limit)
		require.Equal(t, Key, refused.Subject.Kind)
		require.Equal(t, s.Name, refused.Subject.Name)
		require.Nil(t, refused.Subject.Quota)
		require.InDelta(t, 20, refused.RetryAfter.Seconds(), 5)
		require.Zero(t, refused.State.Requests.Remaining)
		require.NotContains(t, refused.Error(), s.Name)
	})
}

func TestWhatWasUsedComesBackEvenly(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		l := r.limiter(t)
		s := subject(Model, Quota{TokensPerMinute: 60_000}) // one each millisecond
		must(t, l, ask(tokens(60_000), s))
		refused := refuse(t, l, ask(tokens(30_000), s))
		require.Equal(t, LimitTokens, refused.Limit)
		require.InDelta(t, 30, refused.RetryAfter.Seconds(), 10)
		require.Eventually(t, func() bool {
			_, err := l.Reserve(context.Background(), ask(tokens(50), s))
			return err == nil
		}, soon, 5*time.Millisecond)
	})
}

func TestUnusedTokensAreGivenBack(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		l := r.limiter(t)
		s := subject(Key, Quota{TokensPerMinute: 1000})
		one := must(t, l, ask(tokens(1000), s))
		refuse(t, l, ask(tokens(500), s))
		one.Settle(tokens(100))
		r.idle(t, l)
		state := must(t, l, ask(tokens(500), s)).State()
		require.InDelta(t, 400, state.Tokens.Remaining, 100)
	})
}

func TestTokensAboveTheReservationAreADebt(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		l := r.limiter(t)
		s := subject(Key, Quota{TokensPerMinute: 1000})
		must(t, l, ask(tokens(10), s)).Settle(tokens(2000))
		r.idle(t, l)
		refused := refuse(t, l, ask(tokens(0), s))
		require.Equal(t, LimitTokens, refused.Limit)
		require.InDelta(t, 60, refused.RetryAfter.Seconds(), 10)
		require.Zero(t, refused.State.Tokens.Remaining)
	})
}

func TestARequestLargerThanTheLimitWaitsForAllOfIt(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		l := r.limiter(t)
		s := subject(Key, Quota{TokensPerMinute: 1000})
		small := must(t, l, ask(tokens(100), s))
		require.InDelta(t, 6, refuse(t, l, ask(tokens(5000), s)).RetryAfter.Seconds(), 2)
		small.Settle(Amount{})
		r.idle(t, l)
		must(t, l, ask(tokens(5000), s))
		require.InDelta(t, 240, refuse(t, l, ask(tokens(1), s)).RetryAfter.Seconds(), 20, "the bucket is in debt")
	})
}

func TestTheStateIsThatOfTheTightestSubject(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		l := r.limiter(t)
		key := subject(Key, Quota{RequestsPerMinute: 100, TokensPerMinute: 100})
		model := subject(Model, Quota{RequestsPerMinute: 10, TokensPerMinute: 100_000})
		state := must(t, l, ask(tokens(10), key, model)).State()
		require.Equal(t, int64(10), state.Requests.Limit)
		require.Equal(t, int64(9), state.Requests.Remaining)
		require.Equal(t, int64(100), state.Tokens.Limit)
		require.Equal(t, int64(90), state.Tokens.Remaining)
	})
}

func TestARefusedRequestTakesNothingOfAnySubject(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		l := r.limiter(t)
		free := subject(Key, Quota{
			RequestsPerMinute: 2, TokensPerMinute: 100, Streams: 1,
			Budgets: []Budget{{Unit: Tokens, Amount: 100, Per: Total, Hard: true}},
		})
		full := subject(Provider, Quota{Streams: 1})
		first := must(t, l, ask(Amount{}, full))
		for range 5 {
			require.Equal(t, LimitStreams, refuse(t, l, ask(tokens(100), free, full)).Limit)
		}
		must(t, l, ask(tokens(100), free)).Settle(tokens(100))
		first.Settle(Amount{})
		r.idle(t, l)
	})
}

func TestOfSeveralLimitsTheLongestIsTold(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		l := r.limiter(t)
		s := subject(Key, Quota{RequestsPerMinute: 1, TokensPerMinute: 10, Streams: 1})
		must(t, l, ask(tokens(100), s))
		refused := refuse(t, l, ask(tokens(5), s))
		require.Equal(t, LimitTokens, refused.Limit)
		require.Greater(t, refused.RetryAfter, 5*time.Minute)
	})
}

func TestALimitChangedByANewQuotaGoesOnWithTheSameCounters(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		l := r.limiter(t)
		s := subject(Key, Quota{Streams: 1})
		one := must(t, l, ask(Amount{}, s))
		refuse(t, l, ask(Amount{}, s))
		s.Quota = &Quota{Streams: 2}
		two := must(t, l, ask(Amount{}, s))
		refuse(t, l, ask(Amount{}, s))
		one.Settle(Amount{})
		two.Settle(Amount{})
		r.idle(t, l)
	})
}

func TestNothingBoundedCostsNothing(t *testing.T) {
	l := (&rig{}).limiter(t)
	a := ask(tokens(5), Subject{Kind: Key, Name: "a"}, Subject{Kind: Model, Name: "m", Quota: &Quota{}})
	r := must(t, l, a)
	require.False(t, r.Bounded())
	require.Zero(t, r.Allowance())
	require.Zero(t, r.State())
	require.NoError(t, r.Extend(context.Background(), tokens(100)))
	r.Settle(tokens(5))
	r.Settle(tokens(5))
	require.Zero(t, l.Held())
	require.Zero(t, testing.AllocsPerRun(100, func() {
		one, _ := l.Reserve(context.Background(), a)
		one.Settle(Amount{})
	}))
}
