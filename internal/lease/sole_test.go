package lease_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/rollforward/rollforward/internal/lease"
)

// There is one Run at a time.
func TestSole(t *testing.T) {
	t.Parallel()
	var s lease.Sole[int]
	one, two := 1, 2
	if s.Under() != nil || s.Begin(&one) != nil || s.Begin(&two) == nil || s.Under() != &one {
		t.Errorf("under way: %v", s.Under())
	}
	if s.End(); s.Under() != nil || s.Begin(&two) != nil || s.Under() != &two {
		t.Errorf("after the end: %v", s.Under())
	}
}

// Troubles last from the first one until all is well.
func TestTroubles(t *testing.T) {
	t.Parallel()
	var list lease.Troubles
	k := new(lease.Keeper)
	if err := list.Health(k); err != nil {
		t.Errorf("at first: %v", err)
	}
	first, last := errors.New("first"), errors.New("last")
	list.Note(3, first)
	list.Note(3, last)
	list.Note(1, first)
	err := list.Health(k)
	if !errors.Is(err, last) || !errors.Is(err, first) || !strings.HasPrefix(err.Error(), "shard 1 stands still since ") {
		t.Errorf("two: %v", err)
	}
	list.Well(1)
	list.Well(3)
	list.Well(9)
	if err := list.Health(k); err != nil {
		t.Errorf("all is well: %v", err)
	}
}
