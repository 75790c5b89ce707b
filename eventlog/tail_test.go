package eventlog_test

import (
	"errors"
	"testing"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/memlog"
)

func TestTail(t *testing.T) {
	t.Parallel()
	l, err := eventlog.Open(t.Context(), memlog.Open(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := l.Append(t.Context(), "a/1", nil, eventlog.Raw{Type: "a", Data: []byte("1")}); err != nil {
			t.Fatal(err)
		}
	}
	at := l.ShardOf("a/1")
	if tail, err := l.Tail(t.Context(), at); tail != 2 || err != nil {
		t.Errorf("tail %d, %v", tail, err)
	}
	if tail, err := l.Tail(t.Context(), (at+1)%l.Shards()); tail != 0 || err != nil {
		t.Errorf("tail of an empty shard %d, %v", tail, err)
	}
	for _, s := range []int{-1, l.Shards()} {
		if _, err := l.Tail(t.Context(), s); err == nil {
			t.Errorf("shard %d has a tail", s)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Tail(t.Context(), 0); !errors.Is(err, eventlog.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}
