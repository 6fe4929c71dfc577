//go:build linux

package main

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"
)

// A histogram counts durations in buckets whose width is 1/64 of their value, so
// that a quantile is off by less than 0.8 %. Any number of goroutines may add.
type histogram struct {
	counts  [(64 - bucketBits) << bucketBits]atomic.Uint64
	total   atomic.Uint64
	highest atomic.Int64
}

const bucketBits = 6

// add counts one duration; a negative one counts as 0.
func (h *histogram) add(d time.Duration) {
	d = max(d, 0)
	h.counts[bucketOf(uint64(d))].Add(1)
	h.total.Add(1)
	for {
		seen := h.highest.Load()
		if int64(d) <= seen || h.highest.CompareAndSwap(seen, int64(d)) {
			return
		}
	}
}

// bucketOf gives values below 64 a bucket of their own; above, each power of two
// is divided into 64 buckets.
func bucketOf(v uint64) int {
	shift := max(bits.Len64(v)-bucketBits-1, 0)
	return shift<<bucketBits + int(v>>shift)
}

// bucketMiddle is the value that stands for a bucket.
func bucketMiddle(bucket int) time.Duration {
	shift := max(bucket>>bucketBits-1, 0)
	low := uint64(bucket-shift<<bucketBits) << shift
	return time.Duration(low + (uint64(1)<<shift)/2)
}

// count is the number of durations added so far.
func (h *histogram) count() int64 { return int64(h.total.Load()) }

// max is the longest duration, exactly.
func (h *histogram) max() time.Duration { return time.Duration(h.highest.Load()) }

// quantile is the smallest value that at least the share q of all values does not
// exceed, within the width of a bucket; 0 without values.
func (h *histogram) quantile(q float64) time.Duration {
	total := h.total.Load()
	rank := uint64(math.Ceil(q * float64(total)))
	if rank >= total {
		return h.max()
	}
	var seen uint64
	for i := range h.counts {
		if seen += h.counts[i].Load(); seen >= rank {
			return min(bucketMiddle(i), h.max())
		}
	}
	return h.max()
}
