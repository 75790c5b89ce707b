package bank

import (
	"cmp"
	"slices"
	"strings"
)

// A leg is a posting of a saga.
type leg struct {
	account AccountID
	amount  int64
}

func compareLegs(x, y leg) int {
	return cmp.Or(cmp.Compare(x.account.Name, y.account.Name), cmp.Compare(x.account.Currency, y.account.Currency), cmp.Compare(x.amount, y.amount))
}

// leg takes a posting of a saga, before it is posted.
func (b *Books) leg(f *Folio, id AccountID, e Posted) {
	if b.now.legs == nil {
		b.now.legs = make(map[string][]leg)
	}
	b.now.legs[e.Saga] = append(b.now.legs[e.Saga], leg{id, e.Amount})
	switch kind, rest, _ := strings.Cut(e.Saga, "/"); kind {
	case "transfer":
		if e.Amount < 0 && f.Terms != (Terms{}) {
			b.terms[e.Saga] = f.Terms
		}
	case "interest":
		if _, known := b.bases[e.Saga]; !known && !Own(id) {
			month, _, _ := strings.Cut(rest, "/")
			b.bases[e.Saga] = f.turnover.until(Month(month))
		}
	}
}

// steps are what a saga posts, step by step, when it completes. Postings of one
// step are one commit.
type steps [][]leg

// moved is a step that moves money in one commit.
func moved(from, to AccountID, amount int64) []leg {
	return inOrder([]leg{{from, -amount}, {to, amount}})
}

// inOrder sorts the postings of a commit: over several shards they have no order.
func inOrder(commit []leg) []leg {
	slices.SortFunc(commit, compareLegs)
	return commit
}

// done returns the postings after the first n steps.
func (s steps) done(n int) []leg { return slices.Concat(s[:n]...) }

// undone returns the postings of a saga that went back behind the first n steps:
// theirs, and the same in reverse order and with the other sign.
func (s steps) undone(n int) []leg {
	list := s.done(n)
	for i := n - 1; i >= 0; i-- {
		var back []leg
		for _, l := range s[i] {
			back = append(back, leg{l.account, -l.amount})
		}
		list = append(list, inOrder(back)...)
	}
	return list
}

// wentBack reports whether postings are those of a saga that went back behind at
// most n steps.
func (s steps) wentBack(got []leg, n int) bool {
	for k := 0; k <= n; k++ {
		if slices.Equal(got, s.undone(k)) {
			return true
		}
	}
	return false
}
