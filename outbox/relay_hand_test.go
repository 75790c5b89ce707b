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

// These tests are about shards that change hands.

// TestRelayFinishes: when it has to end, calls under way are waited for, and what
// they published is not published again.
func TestRelayFinishes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := eventlogtest.New(t)
		b := &broker{plan: func(*message.Message) (before, after error) {
			time.Sleep(2 * time.Second)
			return nil, nil
		}}
		add(t, l, "a/1", 1)
		r := publishing(l, b)
		stop := startRun(t, r)
		time.Sleep(time.Second)
		begin := time.Now()
		stop()
		if d := time.Since(begin); d != time.Second || b.count() != 1 {
			t.Errorf("ends after %v with %d published", d, b.count())
		}
		startRun(t, r)
		time.Sleep(time.Minute)
		if b.count() != 1 {
			t.Errorf("published %q", b.list())
		}
	})
}

// TestRelayGoesOnInACommit: the cursor may stand between two events of a commit.
func TestRelayGoesOnInACommit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := eventlogtest.New(t)
		var mended atomic.Bool
		b := &broker{plan: failingAt("a/1", "3", &mended)}
		add(t, l, "a/1", 1, 2, 3, 4)
		r := publishing(l, b)
		r.Batch = 1
		stop := startRun(t, r)
		time.Sleep(time.Minute)
		stop()
		mended.Store(true)
		startRun(t, r)
		time.Sleep(time.Minute)
		if want := []string{"a/1 1", "a/1 2", "a/1 3", "a/1 4"}; !slices.Equal(b.list(), want) {
			t.Errorf("published %q", b.list())
		}
	})
}

// TestRelaysShareTheShards, and each reports what is held up in its own.
func TestRelaysShareTheShards(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memlog.NewStore()
		refusing := &broker{plan: func(*message.Message) (before, after error) { return errBroker, nil }}
		var all []*outbox.Relay
		streams := map[int]string{} // by shard
		for i := range 2 {
			r := quickRelay(openWith(t, store, few), refusing)
			r.Runner = fmt.Sprint("relay ", i)
			all = append(all, r)
		}
		for i := 0; len(streams) < 4; i++ {
			s := fmt.Sprintf("a/%d", i)
			if shard := all[0].Log.ShardOf(s); streams[shard] == "" {
				streams[shard] = s
				add(t, all[0].Log, s, 1)
			}
		}
		for i, want := range []int{4, 2} {
			startRun(t, all[i])
			time.Sleep(5 * time.Second)
			for _, r := range all[:i+1] {
				if n := strings.Count(r.Health(context.Background()).Error(), "held up"); n != want {
					t.Errorf("%d streams are held up, want %d: %v", n, want, r.Health(context.Background()))
				}
			}
		}
		list, err := all[0].Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		n := map[string]int{}
		for _, s := range list {
			n[s.Runner]++
		}
		if n["relay 0"] != 2 || n["relay 1"] != 2 {
			t.Errorf("shared as %v", n)
		}
	})
}

// TestRelayTakesTheLastSaving: what the holder before saves in the last moment is
// where the next one begins.
func TestRelayTakesTheLastSaving(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memlog.NewStore()
		l := openWith(t, store, &eventlog.Options{Shards: 1})
		add(t, l, "a/1", 1)
		add(t, l, "a/1", 2)
		f := drivertest.NewFaulty(store.Open(), nil)
		taker, err := eventlog.Open(t.Context(), f, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer taker.Close()
		var saved atomic.Bool
		f.Inject(func(c drivertest.Call) drivertest.Fault {
			if c.Method == "Write" && len(c.Write.Cells) == 3 && saved.CompareAndSwap(false, true) { // the taking of the lease
				if _, err := l.SwapCell(t.Context(), "$relay-all\x01cursor\x010000", 0, []byte(`{"revision":1,"epoch":0}`)); err != nil {
					t.Error(err)
				}
			}
			return drivertest.Fault{}
		})
		b := &broker{}
		stop := startRun(t, publishing(taker, b))
		defer stop()
		time.Sleep(time.Minute)
		if want := []string{"a/1 2"}; !saved.Load() || !slices.Equal(b.list(), want) {
			t.Errorf("published %q", b.list())
		}
		value, _, err := l.ReadCell(t.Context(), "$relay-all\x01cursor\x010000")
		if want := `{"revision":2,"epoch":1}`; string(value) != want || err != nil {
			t.Errorf("stored %s, want %s, %v", value, want, err)
		}
	})
}

// TestRelayCursorIsRemoved: who removes the cursor of a relay that runs changes
// nothing; of one that does not, lets it begin anew.
func TestRelayCursorIsRemoved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, b := eventlogtest.Open(t, &eventlog.Options{Shards: 1}), &broker{}
		remove := func() {
			_, version, err := l.ReadCell(t.Context(), "$relay-all\x01cursor\x010000")
			if err == nil {
				_, err = l.SwapCell(t.Context(), "$relay-all\x01cursor\x010000", version, nil)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		r := publishing(l, b)
		stop := startRun(t, r)
		for i := range 4 {
			add(t, l, "a/1", i)
			time.Sleep(time.Second)
			if i == 1 {
				remove()
			}
		}
		s, err := r.Status(t.Context())
		if err != nil || s[0].Revision != 4 || b.count() != 4 {
			t.Errorf("%+v, %v, %d published", s, err, b.count())
		}
		stop()
		remove()
		startRun(t, r)
		time.Sleep(time.Minute)
		if b.count() != 8 {
			t.Errorf("%d published", b.count())
		}
	})
}
