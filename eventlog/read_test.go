package eventlog_test

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"
	"testing"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/memlog"
)

// fillShards appends n entries "0", "1" … to one stream a shard, all with a tag.
func fillShards(t testing.TB, l *eventlog.Log, n int) (streams []string) {
	t.Helper()
	for shard := range l.Shards() {
		streams = append(streams, inShard(l, shard, "s"))
	}
	for i := range n {
		o := &eventlog.AppendOptions{Tags: []string{"tag"}}
		if _, err := l.Append(t.Context(), streams[i%len(streams)], o, entry{fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	return streams
}

// TestNoHiddenLimit: readings go over any number of pages, of many small
// commits and of few large ones.
func TestNoHiddenLimit(t *testing.T) {
	t.Parallel()
	eachDriver(t, &eventlog.Options{Shards: 1}, func(t *testing.T, l *eventlog.Log) {
		const n = 1300
		s := fillShards(t, l, n)[0]
		for range 5 {
			_, err := l.Append(t.Context(), s, &eventlog.AppendOptions{Tags: []string{"tag"}}, large(700_000))
			is(t, err, nil)
		}
		for name, q := range map[string]eventlog.Query{"stream": {Stream: s}, "tag": {Tag: "tag"}, "log": {}} {
			for _, backward := range []bool{false, true} {
				q.Backward = backward
				if list := collect(t, l.Read(t.Context(), q)); len(list) != n+5 {
					t.Errorf("%s, backward %t: %d records, expected %d", name, backward, len(list), n+5)
				}
			}
		}
	})
}

// TestReadStopsAtItsBounds: a reading that ends early does not read on, and one
// that begins late does not read what lies before.
func TestReadStopsAtItsBounds(t *testing.T) {
	t.Parallel()
	f := drivertest.NewFaulty(memlog.Open(), nil)
	l := over(t, f, &eventlog.Options{Shards: 2})
	streams := fillShards(t, l, 3000)
	all := collect(t, l.Read(t.Context(), eventlog.Query{}))
	early, late := all[10].Time, all[len(all)-10].Time
	for name, c := range map[string]struct {
		q     eventlog.Query
		want  int
		calls int // of Read and Find, at most
	}{
		"limit":                   {eventlog.Query{Limit: 5}, 5, 2},
		"limit backward":          {eventlog.Query{Limit: 5, Backward: true}, 5, 2},
		"until":                   {eventlog.Query{Until: early}, 10, 4},
		"until, one shard":        {eventlog.Query{Until: early, Shards: []int{0}}, 5, 2},
		"since, backward":         {eventlog.Query{Since: late, Backward: true}, 10, 4},
		"since":                   {eventlog.Query{Since: late}, 10, 30},                                // a search in each shard
		"until, backward":         {eventlog.Query{Until: early, Backward: true}, 10, 30},               //
		"from":                    {eventlog.Query{Shards: []int{0}, From: 1495}, 6, 2},                 //
		"to":                      {eventlog.Query{Shards: []int{0}, To: 5}, 5, 1},                      //
		"last version":            {eventlog.Query{Stream: streams[0], Backward: true, Limit: 1}, 1, 1}, //
		"versions":                {eventlog.Query{Stream: streams[0], From: 1000, To: 1003}, 4, 1},
		"versions backward":       {eventlog.Query{Stream: streams[0], From: 1000, To: 1003, Backward: true}, 4, 2},
		"after":                   {eventlog.Query{After: eventlog.Position{}.With(0, 1498).With(1, 1500)}, 2, 2},
		"tag after, with a limit": {eventlog.Query{Tag: "tag", After: eventlog.Position{}.With(0, 1000), Limit: 3}, 3, 2},
	} {
		before := f.Calls("Read") + f.Calls("Find")
		if list := collect(t, l.Read(t.Context(), c.q)); len(list) != c.want {
			t.Errorf("%s: %d records, expected %d", name, len(list), c.want)
		}
		if calls := f.Calls("Read") + f.Calls("Find") - before; calls > c.calls {
			t.Errorf("%s: %d calls of the driver, expected %d at most", name, calls, c.calls)
		}
	}
}

// TestReadsCanBeDropped at every record, by a caller that writes meanwhile and
// reads with another one.
func TestReadsCanBeDropped(t *testing.T) {
	t.Parallel()
	l := over(t, memlog.Open(), &eventlog.Options{Shards: 3})
	streams := fillShards(t, l, 40)
	for name, q := range map[string]eventlog.Query{
		"stream": {Stream: streams[0]}, "tag": {Tag: "tag"}, "log": {}, "backward": {Backward: true}, "follow": {Follow: true},
	} {
		seq := l.Read(t.Context(), q)
		for stop := 1; stop <= 10; stop++ {
			n := 0
			for _, err := range seq { // a sequence can be ranged over again
				is(t, err, nil)
				add(t, l, "meanwhile", name)
				if n++; n == stop {
					break
				}
			}
			if n != stop {
				t.Errorf("%s: %d records, expected %d", name, n, stop)
			}
		}
		next, stop := iter.Pull2(seq)
		if _, err, ok := next(); err != nil || !ok {
			t.Errorf("%s: pulled %v, %t", name, err, ok)
		}
		stop()
	}
	for range l.Streams(t.Context(), "") {
		break
	}
}

// TestReadsEndWithContext: the error of ctx is the last thing that is yielded.
func TestReadsEndWithContext(t *testing.T) {
	t.Parallel()
	l := over(t, memlog.Open(), &eventlog.Options{Shards: 3})
	streams := fillShards(t, l, 90)
	for name, q := range map[string]eventlog.Query{
		"stream": {Stream: streams[0]}, "tag": {Tag: "tag"}, "log": {}, "backward": {Backward: true}, "follow": {Follow: true},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		var errs []error
		n := 0
		for _, err := range l.Read(ctx, q) {
			if err != nil {
				errs = append(errs, err)
			} else if n++; n == 5 {
				cancel()
			}
		}
		cancel()
		if len(errs) != 1 || errs[0] != context.Canceled {
			t.Errorf("%s: %d records, then %v, expected context.Canceled once", name, n, errs)
		}
	}
}

// TestReadsTellErrors: what the driver says in the middle is yielded, once,
// behind what came before it.
func TestReadsTellErrors(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 20} {
		l, f := faulty(t, &eventlog.Options{Shards: 1})
		s := fillShards(t, l, 40)[0]
		f.Inject(func(c drivertest.Call) drivertest.Fault { return drivertest.Fault{Kind: drivertest.Fail, N: n} })
		for name, seq := range map[string]iter.Seq2[eventlog.Record, error]{
			"stream": l.Read(t.Context(), eventlog.Query{Stream: s}), "tag": l.Read(t.Context(), eventlog.Query{Tag: "tag"}),
			"log": l.Read(t.Context(), eventlog.Query{}), "backward": l.Read(t.Context(), eventlog.Query{Backward: true}),
		} {
			errs := 0
			for r, err := range seq {
				if err == nil && errs > 0 {
					t.Errorf("%s: record %s after the error", name, r.ID)
				} else if err != nil {
					errs++
					is(t, err, drivertest.ErrInjected)
				}
			}
			if errs != 1 {
				t.Errorf("%s, broken after %d commits: %d errors, expected 1", name, n, errs)
			}
		}
		is(t, last(l.Streams(t.Context(), "")), drivertest.ErrInjected)
		_, err := diaries.At(t.Context(), l, eventlog.Query{Stream: s})
		is(t, err, drivertest.ErrInjected)
		f.Inject(nil)
	}
}

// TestMergedOrder: records of several shards come by (time, shard, revision),
// the parts of one transaction beside each other.
func TestMergedOrder(t *testing.T) {
	t.Parallel()
	l := over(t, memlog.Open(), &eventlog.Options{Shards: 4})
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for n := range 20 {
				_, err := l.Update(t.Context(), func(tx *eventlog.Tx) error {
					for i := range 1 + (w+n)%4 {
						if err := tx.Append(fmt.Sprintf("s/%d", (w+n*i)%7), entry{"x"}); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	forward := collect(t, l.Read(t.Context(), eventlog.Query{}))
	before := func(a, b eventlog.Record) int {
		if c := a.Time.Compare(b.Time); c != 0 {
			return c
		}
		if a.Shard != b.Shard {
			return a.Shard - b.Shard
		}
		return int(a.Revision) - int(b.Revision)
	}
	if !slices.IsSortedFunc(forward, before) {
		t.Error("records are not in the order of time, shard, revision")
	}
	for i := 1; i < len(forward); i++ {
		a, b := forward[i-1], forward[i]
		if a.Time.Equal(b.Time) != (a.Commit() == b.Commit()) {
			t.Errorf("records %v and %v have times %s and %s", a.ID, b.ID, a.Time, b.Time)
		}
	}
	backward := collect(t, l.Read(t.Context(), eventlog.Query{Backward: true}))
	slices.Reverse(backward)
	if !slices.EqualFunc(forward, backward, func(a, b eventlog.Record) bool { return a.ID == b.ID }) {
		t.Error("backward is not forward, reversed")
	}
}
