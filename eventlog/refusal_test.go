package eventlog_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/memlog"
)

// TestRefusalsLeaveNothing: each error that is not ErrUnknown leaves the store as
// it was, to the last byte, and tells nobody.
func TestRefusalsLeaveNothing(t *testing.T) {
	t.Parallel()
	type run = func(t *testing.T, ctx context.Context, l *eventlog.Log) error
	appends := func(stream string, o *eventlog.AppendOptions, events ...eventlog.Event) run {
		return func(_ *testing.T, ctx context.Context, l *eventlog.Log) error {
			_, err := l.Append(ctx, stream, o, events...)
			return err
		}
	}
	// updates writes everything that can be written, and ends with what end does.
	updates := func(end func(tx *eventlog.Tx) error) run {
		return func(_ *testing.T, ctx context.Context, l *eventlog.Log) error {
			_, err := l.Update(ctx, func(tx *eventlog.Tx) error {
				if _, err := tx.Once("s/1", "id"); err != nil {
					return err
				}
				tx.Meta().Actor = "ada"
				err := errors.Join(tx.Append("s/1", eventlog.Tagged(entry{"x"}, "tag")), tx.Append("s/2", entry{"x"}),
					notes.Put(tx, "new", "x"), notes.Delete(tx, "old"))
				if err != nil {
					return err
				}
				return end(tx)
			})
			return err
		}
	}
	for name, c := range map[string]struct {
		run  run
		want error
	}{
		"the function's own error": {updates(func(*eventlog.Tx) error { return errNo }), errNo},
		"a panic": {func(t *testing.T, ctx context.Context, l *eventlog.Log) error {
			return <-begin(func() error { return updates(func(*eventlog.Tx) error { panic("!") })(t, ctx, l) })
		}, errPanicked},
		"a stream that exists":     {appends("s/1", &eventlog.AppendOptions{Expect: eventlog.NoStream}, entry{"x"}), eventlog.ErrConflict},
		"another version":          {appends("s/1", &eventlog.AppendOptions{Expect: eventlog.Exactly(7)}, entry{"x"}), eventlog.ErrConflict},
		"an id with other content": {appends("s/1", &eventlog.AppendOptions{ID: "used"}, entry{"other"}), eventlog.ErrIDReused},
		"a reserved stream":        {appends("$s/1", nil, entry{"x"}), eventlog.ErrName},
		"a reserved tag":           {appends("s/1", nil, entry{"x"}, eventlog.Tagged(entry{"x"}, "$t")), eventlog.ErrName},
		"an empty stream":          {appends("", nil, entry{"x"}), eventlog.ErrName},
		"an empty type":            {appends("s/1", nil, entry{"x"}, eventlog.Raw{}), eventlog.ErrName},
		"an actor that is no text": {appends("s/1", &eventlog.AppendOptions{Meta: eventlog.Meta{Actor: "\xff"}}, entry{"x"}), eventlog.ErrName},
		"metadata that is no text": {appends("s/1", &eventlog.AppendOptions{Meta: eventlog.Meta{Extra: map[string]string{"k": "\xff"}}}, entry{"x"}), eventlog.ErrName},
		"a key that is no text":    {appends("s/1", &eventlog.AppendOptions{Meta: eventlog.Meta{Extra: map[string]string{"\xff": ""}}}, entry{"x"}), eventlog.ErrName},
		"a trace that is no text":  {appends("s/1", &eventlog.AppendOptions{Meta: eventlog.Meta{Traceparent: "\xff"}}, entry{"x"}), eventlog.ErrName},
		"a codec that is no text":  {appends("s/1", nil, entry{"x"}, eventlog.Raw{Type: "t", Codec: "\xff"}), eventlog.ErrName},
		"an empty id":              {updates(func(tx *eventlog.Tx) error { _, err := tx.Once("s/1", ""); return err }), eventlog.ErrName},
		"a large event":            {appends("s/1", nil, entry{"x"}, entry{strings.Repeat("x", eventlog.MaxEvent)}), eventlog.ErrTooLarge},
		"an unknown type": {updates(func(tx *eventlog.Tx) error {
			_, err := (&eventlog.Model[diary]{Name: "none"}).Load(tx, "s/1")
			return err
		}), eventlog.ErrUnknownType},
		"a View that appends": {func(_ *testing.T, ctx context.Context, l *eventlog.Log) error {
			return l.View(ctx, func(tx *eventlog.Tx) error { return tx.Append("s/1", entry{"x"}) })
		}, eventlog.ErrReadOnly},
		"a ctx that is done": {func(t *testing.T, ctx context.Context, l *eventlog.Log) error {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			return appends("s/1", nil, entry{"x"})(t, ctx, l)
		}, context.Canceled},
		"a ctx that ends in the function": {func(t *testing.T, ctx context.Context, l *eventlog.Log) error {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			return updates(func(tx *eventlog.Tx) error { cancel(); return tx.Context().Err() })(t, ctx, l)
		}, context.Canceled},
		"a log that was closed": {func(t *testing.T, ctx context.Context, l *eventlog.Log) error {
			is(t, l.Close(), nil)
			return appends("s/1", nil, entry{"x"})(t, ctx, l)
		}, eventlog.ErrClosed},
		"a full disk": {func(t *testing.T, ctx context.Context, l *eventlog.Log) error {
			return appends("full", nil, entry{"x"})(t, ctx, l)
		}, eventlog.ErrDiskFull},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := memlog.NewStore()
			f := drivertest.NewFaulty(store.Open(), nil)
			told := 0
			l := over(t, f, &eventlog.Options{Shards: 4, Hooks: eventlog.Hooks{Group: func(eventlog.GroupInfo) { told++ }}})
			if _, err := l.Append(t.Context(), "s/1", &eventlog.AppendOptions{ID: "used"}, entry{"first"}); err != nil {
				t.Fatal(err)
			}
			update(t, l, func(tx *eventlog.Tx) error { return notes.Put(tx, "old", "x") })
			before, toldBefore := dump(t, store.Open()), told
			remove := l.OnCommit(func(h driver.Head) { t.Errorf("told of %+v", h) })
			defer remove()
			f.Inject(func(c drivertest.Call) drivertest.Fault {
				if name == "a full disk" && c.Method == "Write" {
					return drivertest.Fault{Kind: drivertest.Fail, Err: fmt.Errorf("store: %w", driver.ErrDiskFull)}
				}
				return drivertest.Fault{}
			})
			err := c.run(t, t.Context(), l)
			is(t, err, c.want)
			if errors.Is(err, eventlog.ErrUnknown) {
				t.Errorf("%v wraps ErrUnknown", err)
			}
			if after := dump(t, store.Open()); after != before {
				t.Errorf("the store is another one:\n%s\nwas:\n%s", after, before)
			}
			if told != toldBefore {
				t.Errorf("the Group hook was called %d times", told-toldBefore)
			}
		})
	}
}

// dump is all that a store holds.
func dump(t testing.TB, d driver.Log) string {
	t.Helper()
	ctx := context.Background()
	defer func() { is(t, d.Close(), nil) }()
	var b strings.Builder
	for shard := range 16 {
		for _, c := range collect(t, d.Read(ctx, shard, driver.Range{})) {
			fmt.Fprintf(&b, "shard %d revision %d: %q\n", shard, c.Revision, c.Data)
		}
		for _, k := range collect(t, d.Keys(ctx, shard, "", "")) {
			fmt.Fprintf(&b, "shard %d key %q at %d\n", shard, k.Name, k.Pos)
		}
	}
	for _, c := range collect(t, d.Cells(ctx, "", "", 0)) {
		fmt.Fprintf(&b, "cell %q version %d: %q\n", c.Key, c.Version, c.Value)
	}
	return b.String()
}

// TestClockSetBack: a clock that was set back beyond MaxSkew refuses writes
// with ErrClock, and leaves nothing; within MaxSkew time goes on rising.
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	wall := time.Now()
	o := eventlog.Options{MaxSkew: time.Minute}
	eventlog.SetNow(&o, func() time.Time { return wall })
	store := memlog.NewStore()
	l := over(t, store.Open(), &o)
	add(t, l, "s", "1")
	wall = wall.Add(-59 * time.Second)
	add(t, l, "s", "2")
	add(t, l, "s", "3")
	list := collect(t, l.Read(t.Context(), eventlog.Query{Stream: "s"}))
	for i := 1; i < len(list); i++ {
		if !list[i].Time.After(list[i-1].Time) {
			t.Errorf("version %d has time %s, version %d has %s", i, list[i-1].Time, i+1, list[i].Time)
		}
	}
	wall = wall.Add(-2 * time.Second)
	before := dump(t, store.Open())
	_, err := l.Append(t.Context(), "s", nil, entry{"refused"})
	is(t, err, eventlog.ErrClock)
	if after := dump(t, store.Open()); after != before {
		t.Errorf("the store is another one:\n%s\nwas:\n%s", after, before)
	}
	wall = wall.Add(time.Hour)
	add(t, l, "s", "4")
	want(t, l, "s", "1 2 3 4")
}

// TestClockOfAnotherWriter: a log whose last commit lies too far ahead of this
// machine's clock takes no writes from it until the clock has come near.
func TestClockOfAnotherWriter(t *testing.T) {
	t.Parallel()
	store := memlog.NewStore()
	here := time.Now()
	there := here.Add(time.Hour)
	var a, b eventlog.Options
	eventlog.SetNow(&a, func() time.Time { return here })
	eventlog.SetNow(&b, func() time.Time { return there })
	fast := over(t, store.Open(), &b)
	slow := over(t, store.Open(), &a)
	add(t, slow, "s", "1")
	add(t, fast, "s", "2")
	_, err := slow.Append(t.Context(), "s", nil, entry{"3"})
	is(t, err, eventlog.ErrClock)
	want(t, slow, "s", "1 2")
	here = there
	add(t, slow, "s", "3")
	want(t, fast, "s", "1 2 3")
}
