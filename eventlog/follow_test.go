package eventlog_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/memlog"
)

// A follower follows in a goroutine and notes what came.
type follower struct {
	mu   sync.Mutex
	seen []eventlog.Record
	end  chan error // what it ended with
}

func follow(ctx context.Context, l *eventlog.Log, q eventlog.Query) *follower {
	f := &follower{end: make(chan error, 1)}
	q.Follow = true
	go func() {
		var end error
		for r, err := range l.Read(ctx, q) {
			if end = err; err == nil {
				f.mu.Lock()
				f.seen = append(f.seen, r)
				f.mu.Unlock()
			}
		}
		f.end <- end
	}()
	return f
}

func (f *follower) records() []eventlog.Record {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.seen)
}

func (f *follower) texts(t *testing.T) string {
	t.Helper()
	var list []string
	for _, r := range f.records() {
		list = append(list, text(t, r))
	}
	return strings.Join(list, " ")
}

// follows are queries that select the same of what TestFollowWakes writes.
func follows(l *eventlog.Log) map[string]eventlog.Query {
	return map[string]eventlog.Query{
		"stream": {Stream: "s"}, "tag": {Tag: "tag"}, "shard": {Shards: []int{l.ShardOf("s")}, Category: "s"}, "log": {Category: "s"},
		"type": {Types: []string{"test.entry"}}, "from": {Stream: "s", From: 1}, "some shards": {Shards: allShards(l), Tag: "tag"},
	}
}

// TestFollowWakes: in its own process a follower gets a commit at once, with no
// time going by.
func TestFollowWakes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := fresh(t)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		put := func(s string) {
			o := &eventlog.AppendOptions{Tags: []string{"tag"}}
			_, err := l.Append(ctx, "s", o, entry{s})
			is(t, err, nil)
			_, err = l.Append(ctx, "else", nil, eventlog.Raw{Type: "else"})
			is(t, err, nil)
		}
		put("1")
		list := make(map[string]*follower)
		for name, q := range follows(l) {
			list[name] = follow(ctx, l, q)
		}
		begun, all := time.Now(), "1"
		for i := range 5 {
			synctest.Wait()
			for name, f := range list {
				if got := f.texts(t); got != all {
					t.Errorf("the follower of a %s has %q, expected %q", name, got, all)
				}
			}
			put(fmt.Sprint(i))
			all += " " + fmt.Sprint(i)
		}
		if d := time.Since(begun); d > 0 {
			t.Errorf("%s went by", d)
		}
		cancel()
		for _, f := range list {
			is(t, <-f.end, context.Canceled)
		}
	})
}

// TestFollowOrder: what a follower of many shards gets live is the order of a
// replay, each once, wherever it began.
func TestFollowOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := over(t, memlog.Open(), &eventlog.Options{Shards: 4})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		queries := []eventlog.Query{{}, {Shards: []int{3, 1}}, {Tag: "tag"}, {Shards: []int{2}}}
		var list []*follower
		for _, q := range queries {
			list = append(list, follow(ctx, l, q))
		}
		var wg sync.WaitGroup
		for w := range 6 {
			wg.Go(func() {
				for n := range 40 {
					_, err := l.Update(ctx, func(tx *eventlog.Tx) error {
						tagged := eventlog.Tagged(entry{"y"}, []string{"tag"}[:n%2]...)
						return join(tx.Append(fmt.Sprint("s/", (w+n)%9), entry{"x"}), tx.Append(fmt.Sprint("s/", w*n%9), tagged))
					})
					if err != nil {
						t.Error(err)
					}
				}
			})
			list, queries = append(list, follow(ctx, l, eventlog.Query{})), append(queries, eventlog.Query{}) // in the middle
		}
		wg.Wait()
		synctest.Wait()
		for i, f := range list {
			sameOrder(t, fmt.Sprintf("follower of %+v", queries[i]), f.records(), collect(t, l.Read(ctx, queries[i])))
		}
		cancel()
	})
}

func sameOrder(t *testing.T, who string, live, replay []eventlog.Record) {
	t.Helper()
	if !slices.EqualFunc(live, replay, func(a, b eventlog.Record) bool { return a.ID == b.ID }) {
		t.Errorf("%s has seen %d records, the replay has %d, or in another order", who, len(live), len(replay))
	}
}

// TestFollowEnds: with its limit, with ctx, and when the log is closed.
func TestFollowEnds(t *testing.T) {
	t.Parallel()
	for _, q := range []eventlog.Query{{Stream: "s"}, {}} {
		synctest.Test(t, func(t *testing.T) {
			l := fresh(t)
			limited := q
			limited.Limit = 3
			f := follow(t.Context(), l, limited)
			ctx, cancel := context.WithCancel(t.Context())
			waiting, cancelled := follow(t.Context(), l, q), follow(ctx, l, q)
			for range 4 {
				add(t, l, "s", "x")
			}
			is(t, <-f.end, nil)
			if n := len(f.records()); n != 3 {
				t.Errorf("%d records, expected 3", n)
			}
			cancel()
			is(t, <-cancelled.end, context.Canceled)
			synctest.Wait()
			is(t, l.Close(), nil)
			is(t, <-waiting.end, eventlog.ErrClosed)
			if n := len(waiting.records()); n != 4 {
				t.Errorf("%d records before Close, expected 4", n)
			}
		})
	}
}
