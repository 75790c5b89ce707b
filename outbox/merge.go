package outbox

import (
	"iter"
	"slices"
)

// merge yields what sorted sequences yield, sorted. An error comes first, and is
// the last.
func merge[T any](list []iter.Seq2[T, error], order func(a, b T) int) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var heads []head[T]
		for _, seq := range list {
			next, stop := iter.Pull2(seq)
			defer stop()
			h := head[T]{next: next}
			if h.move() {
				heads = append(heads, h)
			}
		}
		for len(heads) > 0 {
			first := 0
			for i := range heads {
				if heads[first].err == nil && (heads[i].err != nil || order(heads[i].value, heads[first].value) < 0) {
					first = i
				}
			}
			h := &heads[first]
			if !yield(h.value, h.err) || h.err != nil {
				return
			}
			if !h.move() {
				heads = slices.Delete(heads, first, first+1)
			}
		}
	}
}

// A head is the first value of what is left of a sequence.
type head[T any] struct {
	value T
	err   error
	next  func() (T, error, bool)
}

// move goes on to the next value; false: there is none.
func (h *head[T]) move() (ok bool) {
	h.value, h.err, ok = h.next()
	return ok
}
