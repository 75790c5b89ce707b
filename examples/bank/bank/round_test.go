package bank

import (
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

func TestShare(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ amount, part, whole, want int64 }{
		{100, 0, 4, 0}, {100, 4, 4, 100}, {0, 1, 4, 0},
		{1, 1, 4, 0}, {2, 1, 4, 0}, {3, 1, 4, 1}, // 0.25, a half to the even 0, 0.75
		{6, 1, 4, 2}, {10, 1, 4, 2}, {14, 1, 4, 4}, // halves: 1.5, 2.5, 3.5
		{math.MaxInt64, 10_000, 10_000, math.MaxInt64}, {math.MaxInt64, 1, 2, math.MaxInt64/2 + 1},
	} {
		if got := share(c.amount, c.part, c.whole); got != c.want {
			t.Errorf("%d/%d of %d is %d, want %d", c.part, c.whole, c.amount, got, c.want)
		}
	}
}

// TestShareIsNearest: no whole number is nearer to the exact share.
func TestShareIsNearest(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		amount := rapid.Int64Range(0, math.MaxInt64).Draw(t, "amount")
		whole := rapid.Int64Range(1, 12*wholeRate).Draw(t, "whole")
		part := rapid.Int64Range(0, whole).Draw(t, "part")
		exact := new(big.Rat).Mul(new(big.Rat).SetInt64(amount), big.NewRat(part, whole))
		off := new(big.Rat).Sub(exact, new(big.Rat).SetInt64(share(amount, part, whole)))
		switch half := off.Abs(off).Cmp(big.NewRat(1, 2)); {
		case half > 0, half == 0 && share(amount, part, whole)%2 == 1:
			t.Errorf("%d/%d of %d is %d", part, whole, amount, share(amount, part, whole))
		}
	})
}

func TestPlus(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ a, b, want int64 }{
		{1, 2, 3}, {math.MaxInt64, 1, math.MaxInt64}, {math.MinInt64, -1, math.MinInt64},
		{math.MaxInt64, math.MinInt64, -1}, {math.MaxInt64, math.MaxInt64, math.MaxInt64}, {math.MinInt64, math.MinInt64, math.MinInt64},
	} {
		if got := plus(c.a, c.b); got != c.want {
			t.Errorf("%d + %d = %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
