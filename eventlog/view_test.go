package eventlog_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/rollforward/rollforward/eventlog"
)

// viewed is a log in which one Update moves everything from "old" to "new": two
// streams of one shard, one of another, and a table. The row of the table goes.
type viewed struct {
	log         *eventlog.Log
	a, b, other string
}

func newViewed(t *testing.T) *viewed {
	l := fresh(t)
	home := l.ShardOf(notes.Name) // the table's shard
	v := &viewed{log: l, a: inShard(l, home, "a"), b: inShard(l, home, "b"), other: inShard(l, 1-min(home, 1), "other")}
	v.set(t, "old")
	return v
}

func (v *viewed) set(t *testing.T, s string) {
	t.Helper()
	update(t, v.log, func(tx *eventlog.Tx) error {
		for _, stream := range []string{v.a, v.b, v.other} {
			if err := tx.Append(stream, eventlog.Tagged(entry{s}, "tag/"+stream)); err != nil {
				return err
			}
		}
		if s == "old" {
			return notes.Put(tx, "row", s)
		}
		if err := notes.Delete(tx, "row"); err != nil {
			return err
		}
		return notes.Put(tx, "another", s)
	})
}

// ways are ways to look at a part of it: each says "old" or "new".
func (v *viewed) ways() map[string]func(tx *eventlog.Tx) (string, error) {
	last := func(q eventlog.Query) func(tx *eventlog.Tx) (string, error) {
		return func(tx *eventlog.Tx) (s string, err error) {
			for r, err := range tx.Read(q) {
				if err != nil {
					return "", err
				}
				var e entry
				if err := r.Decode(&e); err != nil {
					return "", err
				}
				s = e.Text
			}
			return s, nil
		}
	}
	load := func(stream string) func(tx *eventlog.Tx) (string, error) {
		return func(tx *eventlog.Tx) (string, error) {
			d, err := diaries.Load(tx, stream)
			return map[string]string{"old ": "old", "old new ": "new"}[d.Text], err
		}
	}
	all := func(prefix, without, with string) func(tx *eventlog.Tx) (string, error) {
		return func(tx *eventlog.Tx) (string, error) {
			s := without
			for _, err := range notes.All(tx, prefix) {
				if err != nil {
					return "", err
				}
				s = with
			}
			return s, nil
		}
	}
	get := func(key, without, with string) func(tx *eventlog.Tx) (string, error) {
		return func(tx *eventlog.Tx) (string, error) {
			_, ok, err := notes.Get(tx, key)
			if ok {
				return with, err
			}
			return without, err
		}
	}
	shards := allShards(v.log)
	return map[string]func(tx *eventlog.Tx) (string, error){
		"Load a":            load(v.a),
		"Load other":        load(v.other),
		"Read b":            last(eventlog.Query{Stream: v.b}),
		"Read b backward":   last(eventlog.Query{Stream: v.b, Backward: true, Limit: 1}),
		"Read a tag":        last(eventlog.Query{Tag: "tag/" + v.a, Shards: []int{v.log.ShardOf(v.a)}}),
		"Read a tag widely": last(eventlog.Query{Tag: "tag/" + v.other, Shards: shards}),
		"Read a shard":      last(eventlog.Query{Shards: []int{v.log.ShardOf(v.a)}}),
		"Read all":          last(eventlog.Query{Shards: shards}),
		"Get what goes":     get("row", "new", "old"),
		"Get what comes":    get("another", "old", "new"),
		"All that goes":     all("row", "new", "old"),
		"All that comes":    all("an", "old", "new"),
	}
}

// TestViewSeesOneMoment: an Update between two looks of a View is seen by both
// or by none, whatever the ways of looking.
func TestViewSeesOneMoment(t *testing.T) {
	t.Parallel()
	for first := range new(viewed).names(t) {
		for second := range new(viewed).names(t) {
			t.Run(first+", "+second, func(t *testing.T) {
				t.Parallel()
				v := newViewed(t)
				runs := 0
				var saw string
				err := v.log.View(t.Context(), func(tx *eventlog.Tx) error {
					one, err := v.ways()[first](tx)
					if err != nil {
						return err
					}
					if runs++; runs == 1 {
						v.set(t, "new")
					}
					two, err := v.ways()[second](tx)
					saw = one + " " + two
					return err
				})
				is(t, err, nil)
				if saw != "old old" && saw != "new new" {
					t.Errorf("a View saw %q", saw)
				}
			})
		}
	}
}

func (v *viewed) names(t *testing.T) map[string]func(tx *eventlog.Tx) (string, error) {
	v.log = fresh(t)
	return v.ways()
}

// TestViewReadsPastTheNews: more than a page of newer commits does not hide the
// older ones from a View that reads backward.
func TestViewReadsPastTheNews(t *testing.T) {
	t.Parallel()
	for _, news := range []int{15, 16, 17, 700} {
		t.Run(fmt.Sprint(news), func(t *testing.T) {
			t.Parallel()
			l := fresh(t)
			add(t, l, "s", "1")
			add(t, l, "s", "2")
			runs := 0
			err := l.View(t.Context(), func(tx *eventlog.Tx) error {
				if _, err := diaries.Load(tx, "s"); err != nil {
					return err
				}
				for range news {
					add(t, l, "s", "new")
				}
				runs++
				if got := texts(t, tx.Read(eventlog.Query{Stream: "s", Backward: true})); got != "2 1" {
					t.Errorf("a View reads %q backward, expected %q", got, "2 1")
				}
				return nil
			})
			is(t, err, nil)
			if runs != 1 {
				t.Errorf("the function ran %d times; a View of one shard needs one", runs)
			}
		})
	}
}

func TestViewCannotWrite(t *testing.T) {
	t.Parallel()
	l := fresh(t)
	add(t, l, "s", "1")
	update(t, l, func(tx *eventlog.Tx) error { return notes.Put(tx, "k", "v") })
	err := l.View(t.Context(), func(tx *eventlog.Tx) error {
		is(t, tx.Append("s", entry{"2"}), eventlog.ErrReadOnly)
		is(t, notes.Put(tx, "k", "w"), eventlog.ErrReadOnly)
		is(t, notes.Delete(tx, "k"), eventlog.ErrReadOnly)
		_, err := tx.Once("s", "id")
		is(t, err, eventlog.ErrReadOnly)
		return nil
	})
	is(t, err, nil)
	want(t, l, "s", "1")
}

// TestViewGivesUp: a View whose shards change all the time ends with
// ErrConflict, after Options.Attempts runs.
func TestViewGivesUp(t *testing.T) {
	t.Parallel()
	l, _ := faulty(t, &eventlog.Options{Attempts: 5})
	a, b := inShard(l, 1, "a"), inShard(l, 2, "b")
	runs := 0
	err := l.View(t.Context(), func(tx *eventlog.Tx) error {
		runs++
		if _, err := diaries.Load(tx, a); err != nil {
			return err
		}
		add(t, l, a, "x")
		_, err := diaries.Load(tx, b)
		return err
	})
	is(t, err, eventlog.ErrConflict)
	if runs != 5 {
		t.Errorf("the function ran %d times, expected 5", runs)
	}
}

// TestViewAnswers: errors and panics of the function come through, and a ctx
// that is done ends a View before it begins.
func TestViewAnswers(t *testing.T) {
	t.Parallel()
	l := fresh(t)
	is(t, l.View(t.Context(), func(*eventlog.Tx) error { return errNo }), errNo)
	is(t, <-begin(func() error {
		return l.View(t.Context(), func(*eventlog.Tx) error { panic("!") })
	}), errPanicked)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	is(t, l.View(ctx, func(*eventlog.Tx) error { t.Error("the function ran"); return nil }), context.Canceled)
}
