package bank

import (
	"cmp"
	"slices"
	"strings"

	"github.com/rollforward/rollforward/eventlog"
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
func (b *Books) leg(r *eventlog.Record, f *Folio, id AccountID, e Posted) {
	if b.now.legs == nil {
		b.now.legs = make(map[string][]placedLeg)
	}
	b.now.legs[e.Saga] = append(b.now.legs[e.Saga], placedLeg{leg{id, e.Amount}, r.Index})
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

// A placedLeg says which event of its transaction the posting is.
type placedLeg struct {
	leg
	index int
}

// inPlace returns the postings of a transaction in the order in which it wrote them.
func inPlace(list []placedLeg) (legs []leg) {
	slices.SortFunc(list, func(x, y placedLeg) int { return cmp.Compare(x.index, y.index) })
	for _, p := range list {
		legs = append(legs, p.leg)
	}
	return legs
}

// steps are what a saga posts, step by step, when it completes. Postings of one
// step are in one commit, which may hold those of several steps.
type steps [][]leg

// moved is a step that moves money in one commit.
func moved(from, to AccountID, amount int64) []leg {
	return inOrder([]leg{{from, -amount}, {to, amount}})
}

// inOrder sorts the postings of a step.
func inOrder(commit []leg) []leg {
	slices.SortFunc(commit, compareLegs)
	return commit
}

// done returns the postings of the first n steps.
func (s steps) done(n int) steps { return s[:n:n] }

// undone returns the postings of a saga that went back behind the first n steps:
// theirs, and the same in reverse order and with the other sign.
func (s steps) undone(n int) steps {
	list := s.done(n)
	for i := n - 1; i >= 0; i-- {
		var back []leg
		for _, l := range s[i] {
			back = append(back, leg{l.account, -l.amount})
		}
		list = append(list, inOrder(back))
	}
	return list
}

// are reports whether postings, in the order in which they were written, are those of
// the steps: of the postings of one step the order does not matter.
func (s steps) are(got []leg) bool {
	for _, step := range s {
		if len(got) < len(step) || !slices.Equal(inOrder(slices.Clone(got[:len(step)])), step) {
			return false
		}
		got = got[len(step):]
	}
	return len(got) == 0
}

// wentBack reports whether postings are those of a saga that went back behind at
// most n steps.
func (s steps) wentBack(got []leg, n int) bool {
	for k := 0; k <= n; k++ {
		if s.undone(k).are(got) {
			return true
		}
	}
	return false
}
