package credential

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestServiceThatNeverAnswersIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		deaf := make(chan struct{}) // a fetch that does not even notice its limit
		s := &shared[int]{op: "asking", life: t.Context(), limit: fetchLimit, fetch: func(context.Context) (int, error) {
			<-deaf
			return 1, nil
		}}
		began := time.Now()
		_, err := s.get(t.Context())
		require.EqualError(t, err, "asking: no answer in time")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, fetchLimit, time.Since(began))
		close(deaf)
		synctest.Wait()
	})
}

func TestFetchEndsAtItsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shared[int]{op: "asking", life: t.Context(), limit: fetchLimit, fetch: func(ctx context.Context) (int, error) {
			<-ctx.Done()
			return 0, plainError("asking", ctx.Err())
		}}
		s.start() // for nobody
		<-time.After(fetchLimit)
		synctest.Wait()
		require.Nil(t, s.running)
	})
}

func TestPanicOfAFetchIsAnError(t *testing.T) {
	s := &shared[int]{op: "asking", life: t.Context(), limit: fetchLimit, fetch: func(context.Context) (int, error) { panic("CANARY") }}
	_, err := s.get(t.Context())
	require.EqualError(t, err, "asking: an internal failure")
	_, err = s.get(t.Context())
	require.Error(t, err, "the next one is tried")
}

func TestNobodyFetchesForAClientThatLeftBefore(t *testing.T) {
	s := &shared[int]{op: "asking", life: t.Context(), limit: fetchLimit, fetch: func(context.Context) (int, error) { panic("called") }}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.get(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.Nil(t, s.running)
}

// A service that is down must not be asked for every request while there is still
// something good to use.
func TestRenewalThatFailsIsTriedAgainAfterAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fetched atomic.Int64
		var r renewed[string]
		r.prepare(t.Context(), "asking", func(context.Context) (*lease[string], error) {
			if fetched.Add(1) > 1 {
				return nil, errors.New("down")
			}
			return &lease[string]{value: "good", renew: time.Now().Add(time.Minute), end: time.Now().Add(2 * time.Minute)}, nil
		})
		get := func() (string, error) {
			value, err := r.get(t.Context())
			synctest.Wait()
			return value, err
		}
		for range 10 {
			value, err := get()
			require.NoError(t, err)
			require.Equal(t, "good", value)
		}
		require.Equal(t, int64(1), fetched.Load())
		<-time.After(time.Minute)
		for range 10 {
			value, err := get()
			require.NoError(t, err)
			require.Equal(t, "good", value)
		}
		require.Equal(t, int64(2), fetched.Load())
		<-time.After(renewPause)
		_, err := get()
		require.NoError(t, err)
		require.Equal(t, int64(3), fetched.Load())
		<-time.After(time.Minute)
		_, err = get()
		require.EqualError(t, err, "down", "it has ended")
	})
}

func TestErrorCodesAreWords(t *testing.T) {
	for _, code := range []string{"AccessDenied", "invalid_grant", "AWS.SimpleQueueService.X"} {
		require.True(t, isCode(code), code)
	}
	for _, code := range []string{"", "two words", "sk-0123", "a\nb", "AKIAIOSFODNN7EXAMPLE"} {
		require.False(t, isCode(code), code)
	}
}
