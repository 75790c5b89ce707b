package eventlog_test

import (
	"testing"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/memlog"
)

func TestInstance(t *testing.T) {
	t.Parallel()
	store, seen := memlog.NewStore(), map[eventlog.ID]bool{}
	for range 3 {
		l, err := eventlog.Open(t.Context(), store.Open(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if id := l.Instance(); id != l.Instance() || id.IsZero() || seen[id] {
			t.Errorf("instance %v", id)
		}
		seen[l.Instance()] = true
		if l.Exclusive() {
			t.Error("a shared store is exclusive")
		}
	}
	l, err := eventlog.Open(t.Context(), memlog.Open(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if !l.Exclusive() {
		t.Error("a store of one's own is shared")
	}
}
