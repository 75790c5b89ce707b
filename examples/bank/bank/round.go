package bank

import (
	"math"
	"math/bits"
)

// share returns part/whole of an amount, rounded to the nearest whole minor unit
// and where two are as near to the even one: so what is rounded up and what is
// rounded down even out over many accounts. It is exact whatever the amount;
// neither amount nor part is negative, and part is not more than whole.
func share(amount, part, whole int64) int64 {
	hi, lo := bits.Mul64(uint64(amount), uint64(part))
	q, r := bits.Div64(hi, lo, uint64(whole))
	if rest := uint64(whole) - r; r > rest || r == rest && q%2 == 1 {
		q++
	}
	return int64(q)
}

// plus adds, and stays at the end of what fits.
func plus(a, b int64) int64 {
	switch sum := a + b; {
	case b > 0 && sum < a:
		return math.MaxInt64
	case b < 0 && sum > a:
		return math.MinInt64
	default:
		return sum
	}
}
