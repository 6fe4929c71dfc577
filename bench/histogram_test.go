//go:build linux

package main

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestHistogramBucketsFollowEachOtherWithoutGap(t *testing.T) {
	last := bucketOf(0)
	require.Zero(t, last)
	for v := uint64(1); v < 1<<14; v++ {
		bucket := bucketOf(v)
		require.LessOrEqual(t, bucket-last, 1, "value %d", v)
		require.GreaterOrEqual(t, bucket, last, "value %d", v)
		last = bucket
	}
}

func TestHistogramBucketMiddleIsNearEveryValue(t *testing.T) {
	for shift := range 63 {
		for _, v := range []uint64{1 << shift, 1<<shift | 1<<shift>>1, 1<<(shift+1) - 1} {
			middle := float64(bucketMiddle(bucketOf(v)))
			require.InEpsilon(t, float64(v), middle, 0.008, "value %d", v)
		}
	}
}

func TestHistogramQuantilesAreThoseOfTheSortedValues(t *testing.T) {
	f := func(values []time.Duration) {
		t.Helper()
		var h histogram
		for _, v := range values {
			h.add(v)
		}
		slices.Sort(values)
		require.Equal(t, int64(len(values)), h.count())
		require.Equal(t, values[len(values)-1], h.max())
		require.Equal(t, h.max(), h.quantile(1))
		for _, q := range []float64{0.01, 0.5, 0.9, 0.99} {
			want := values[max(0, int(q*float64(len(values))+0.999999)-1)]
			require.InEpsilon(t, float64(want), float64(h.quantile(q)), 0.008, "quantile %v", q)
		}
	}

	f([]time.Duration{time.Millisecond})
	f([]time.Duration{3, 1, 2})
	f([]time.Duration{time.Second, time.Microsecond, time.Minute, time.Nanosecond})

	random := rand.New(rand.NewPCG(1, 2))
	many := make([]time.Duration, 10_000)
	for i := range many {
		many[i] = 1 + time.Duration(random.Int64N(int64(time.Second)))
	}
	f(many)
}

func TestHistogramTakesNegativeDurationsAsNone(t *testing.T) {
	var h histogram
	require.Zero(t, h.quantile(0.5))
	h.add(-time.Second)
	require.Zero(t, h.quantile(0.5))
	require.Equal(t, int64(1), h.count())
}

func TestHistogramCountsEveryConcurrentValue(t *testing.T) {
	var h histogram
	var adding sync.WaitGroup
	for i := range 8 {
		adding.Go(func() {
			for k := range 1000 {
				h.add(time.Duration(i*1000 + k))
			}
		})
	}
	adding.Wait()
	require.Equal(t, int64(8000), h.count())
	require.Equal(t, time.Duration(7999), h.max())
}
