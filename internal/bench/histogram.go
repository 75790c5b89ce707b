package bench

import (
	"math/bits"
	"time"
)

// A histogram counts durations in buckets that are 1/32 of a power of two wide,
// so that a quantile is at most 3 % too high.
type histogram struct {
	counts [64 << subBits]uint32
	n      uint64
}

const subBits = 5

func bucket(ns uint64) int {
	shift := max(bits.Len64(ns)-subBits-1, 0)
	return shift<<subBits + int(ns>>shift)
}

// upper is the largest duration of a bucket.
func upper(b int) uint64 {
	shift := max(b>>subBits-1, 0)
	return uint64(b-shift<<subBits+1)<<shift - 1
}

func (h *histogram) add(d time.Duration) {
	h.counts[bucket(uint64(max(d, 0)))]++
	h.n++
}

func (h *histogram) merge(o *histogram) {
	for i, c := range o.counts {
		h.counts[i] += c
	}
	h.n += o.n
}

// quantile returns the duration, in microseconds, that a share q of all does not
// exceed.
func (h *histogram) quantile(q float64) float64 {
	rank := uint64(q * float64(h.n))
	for i, c := range h.counts {
		if uint64(c) > rank {
			return float64(upper(i)) / 1e3
		}
		rank -= uint64(c)
	}
	return 0
}
