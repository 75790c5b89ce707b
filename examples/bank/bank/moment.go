package bank

import (
	"cmp"
	"maps"
	"math/big"
	"slices"
	"time"
)

// A moment collects what was posted at one time.
type moment struct {
	time     time.Time
	sums     map[sumKey]*big.Int    // outside of sagas
	legs     map[string][]placedLeg // of sagas
	recorded int                    // postings that transactions claim
	posted   int                    // postings that name a transaction
}

// A sumKey names what must sum to zero: a transaction, or what was posted
// without one, in a currency.
type sumKey struct{ transaction, currency string }

func compareKeys(x, y sumKey) int {
	return cmp.Or(cmp.Compare(x.transaction, y.transaction), cmp.Compare(x.currency, y.currency))
}

func (m *moment) post(e Posted, currency string) {
	if m.sums == nil {
		m.sums = make(map[sumKey]*big.Int)
	}
	key := sumKey{e.Transaction, currency}
	if m.sums[key] == nil {
		m.sums[key] = new(big.Int)
	}
	m.sums[key].Add(m.sums[key], big.NewInt(e.Amount))
	if e.Transaction != "" {
		m.posted++
	}
}

// settle holds what was posted at one time against the rules.
func (b *Books) settle() {
	m := &b.now
	at := m.time.Format(time.RFC3339Nano)
	for _, key := range slices.SortedFunc(maps.Keys(m.sums), compareKeys) {
		if sum := m.sums[key]; sum.Sign() != 0 {
			b.problem("at %s transaction %q is off by %s %s", at, key.transaction, sum, key.currency)
		}
	}
	if m.posted != m.recorded {
		b.problem("at %s transactions claim %d postings and have %d", at, m.recorded, m.posted)
	}
	for saga, legs := range m.legs {
		b.legs[saga] = append(b.legs[saga], inPlace(legs)...)
	}
	b.now = moment{}
}
