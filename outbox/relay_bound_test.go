package outbox_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/outbox"
)

// TestRelayWindow: behind an event that is not taken, no more than Window others
// of its shard are in hand; other shards do not notice.
func TestRelayWindow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := eventlogtest.New(t)
		var mended atomic.Bool
		b := &broker{plan: failingAt("a/1", "1", &mended)}
		r := publishing(l, b)
		r.Window = 50
		add(t, l, "a/1", 0)
		beside := streamIn(l, "b", l.ShardOf("a/1"), true)
		elsewhere := streamIn(l, "b", l.ShardOf("a/1"), false)
		for i := range 200 {
			add(t, l, beside, i)
			add(t, l, elsewhere, i)
		}
		startRun(t, r)
		time.Sleep(time.Minute)
		if x, y := len(b.firsts(t, beside)), len(b.firsts(t, elsewhere)); x != 49 || y != 200 {
			t.Errorf("%d and %d are published", x, y)
		}
		mended.Store(true)
		time.Sleep(2 * time.Minute)
		if got := b.firsts(t, beside); !slices.Equal(got, upTo(200)) {
			t.Errorf("mended: %v", got)
		}
	})
}

// TestRelayLargePayloads: a stream that is held up, or whose call hangs, does not
// fill the memory of its shard, however much is behind it; what was dropped from
// memory is published whole.
func TestRelayLargePayloads(t *testing.T) {
	t.Parallel()
	for _, hangs := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			l := eventlogtest.New(t)
			gate := make(chan struct{})
			var mended atomic.Bool
			plan := failingAt("a/1", "1", &mended)
			b := &broker{plan: func(m *message.Message) (error, error) {
				if hangs && m.Metadata[outbox.MetadataSubject] == "a/1" {
					<-gate
					return nil, nil
				}
				return plan(m)
			}}
			r := publishing(l, b)
			r.Types = nil
			large := eventlog.Raw{Type: "large", Data: []byte(`"` + strings.Repeat("x", 60_000) + `"`)}
			beside := streamIn(l, "b", l.ShardOf("a/1"), true)
			for i := range 100 {
				if _, err := l.Append(t.Context(), "a/1", nil, large); err != nil {
					t.Fatal(err)
				}
				add(t, l, beside, i)
			}
			startRun(t, r)
			time.Sleep(time.Minute)
			if got := b.firsts(t, beside); !slices.Equal(got, upTo(100)) {
				t.Errorf("hangs %v: beside it %v", hangs, got)
			}
			if err := r.Health(context.Background()); err == nil || !strings.Contains(err.Error(), "a/1") {
				t.Errorf("hangs %v: health: %v", hangs, err)
			}
			mended.Store(true)
			close(gate)
			time.Sleep(2 * time.Minute)
			if got := b.firsts(t, "a/1"); !slices.Equal(got, upTo(100)) {
				t.Errorf("hangs %v: a/1: %v", hangs, got)
			}
			for _, m := range b.all() {
				if m.Metadata[outbox.MetadataSubject] == "a/1" && len(m.Payload) != 60_002 {
					t.Fatalf("a payload of %d bytes", len(m.Payload))
				}
			}
		})
	}
}

// TestRelayBacklogIsBounded: while the broker takes nothing, a backlog stays in
// the store.
func TestRelayBacklogIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := drivertest.NewFaulty(memlog.Open(), nil)
		l, err := eventlog.Open(t.Context(), f, &eventlog.Options{Shards: 1})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		for i := range 200 {
			add(t, l, fmt.Sprintf("a/%d", i), make([]int, 100)...)
		}
		gate := make(chan struct{})
		b := &broker{plan: func(*message.Message) (before, after error) { <-gate; return nil, nil }}
		r := publishing(l, b)
		r.Window = 1000
		stop := startRun(t, r)
		defer stop()
		read := f.Calls("Read")
		time.Sleep(time.Minute)
		if n, most := f.Calls("Read")-read, b.peak(); n > 10 || most > 10 {
			t.Errorf("%d pages are read, %d calls at a time", n, most)
		}
		close(gate)
		time.Sleep(time.Minute)
		if n := b.count(); n != 20_000 {
			t.Errorf("%d published", n)
		}
	})
}

// TestRelayLargeBacklogIsBounded, also when each event is of a stream of its own.
func TestRelayLargeBacklogIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := drivertest.NewFaulty(memlog.Open(), nil)
		l, err := eventlog.Open(t.Context(), f, &eventlog.Options{Shards: 1})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		large := eventlog.Raw{Type: "large", Data: []byte(`"` + strings.Repeat("x", 300_000) + `"`)}
		for i := range 60 {
			if _, err := l.Append(t.Context(), fmt.Sprintf("a/%d", i), nil, large); err != nil {
				t.Fatal(err)
			}
		}
		gate := make(chan struct{})
		b := &broker{plan: func(*message.Message) (before, after error) { <-gate; return nil, nil }}
		r := publishing(l, b)
		r.Types = nil
		stop := startRun(t, r)
		defer stop()
		time.Sleep(time.Minute)
		if most := b.peak(); most < 2 || most > 4 {
			t.Errorf("%d calls, of 300 kB each, at a time", most)
		}
		close(gate)
		time.Sleep(time.Minute)
		if n := b.count(); n != 60 {
			t.Errorf("%d published", n)
		}
	})
}
