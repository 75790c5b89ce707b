package eventlog_test

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/memlog"
)

// again is a transaction that loads, appends and fails at random, beside what
// its streams must hold.
type again struct {
	*rapid.T
	tx      *eventlog.Tx
	n       int
	streams map[string]string
	counts  *eventlog.Model[cloneState]
	maps    *eventlog.Model[mapState]
}

// TestLoadAgain: however often a stream is loaded between appends and savepoints
// that fail, its state is that of the events which are there.
func TestLoadAgain(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		l, err := eventlog.Open(context.Background(), memlog.Open(), &eventlog.Options{Shards: 2})
		if err != nil {
			rt.Fatal(err)
		}
		defer l.Close()
		add(t, l, "a", "durable")
		a := &again{T: rt,
			counts: counting("counts", func(s *cloneState) *map[string]int { return &s.Texts }),
			maps:   counting("maps", func(s *mapState) *map[string]int { return &s.Texts })}
		update(t, l, func(tx *eventlog.Tx) error {
			a.tx, a.streams = tx, map[string]string{"a": "durable "}
			for n := range rapid.SampledFrom([]int{0, 5, 30, 40}).Draw(rt, "others") { // few and many events and states
				other := fmt.Sprint("other", n)
				if err := tx.Append(other, eventlog.Tagged(entry{"x"}, other)); err != nil {
					return err
				}
				if d, err := diaries.Load(tx, other); err != nil || d.Text != "x " {
					rt.Fatalf("%s holds %+v, %v", other, d, err)
				}
			}
			return a.some(3)
		})
		for stream, want := range a.streams {
			if d, err := diaries.At(t.Context(), l, eventlog.Query{Stream: stream}); err != nil || d.Text != want {
				rt.Fatalf("%s holds %+v, %v, expected %q", stream, d, err, want)
			}
		}
	})
}

// some does some things, with savepoints so deep.
func (a *again) some(depth int) error {
	for range rapid.IntRange(1, 12).Draw(a.T, "operations") {
		stream := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(a.T, "stream")
		var err error
		switch op := rapid.IntRange(0, 7).Draw(a.T, "operation"); {
		case op < 3:
			a.n++
			err = a.tx.Append(stream, entry{fmt.Sprint(a.n)})
			a.streams[stream] += fmt.Sprint(a.n, " ")
		case op < 6 || depth == 0:
			err = a.load(stream)
		default:
			before, fails := maps.Clone(a.streams), rapid.Bool().Draw(a.T, "fails")
			inside := func() error {
				if err := a.some(depth - 1); err != nil || !fails {
					return err
				}
				return errNo
			}
			if op == 6 {
				err = a.tx.Savepoint(inside)
			} else {
				err = a.tx.Scope(actor("x"), inside)
			}
			if err == errNo {
				a.streams, err = before, nil
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// load loads a stream with models of several kinds, and ruins what it gets.
func (a *again) load(stream string) error {
	d, err := diaries.Load(a.tx, stream)
	if err != nil {
		return err
	}
	if d.Text != a.streams[stream] {
		a.Fatalf("%s is %q, expected %q", stream, d.Text, a.streams[stream])
	}
	d.Text = "ruined"
	c, err := a.counts.Load(a.tx, stream)
	if err != nil {
		return err
	}
	m, err := a.maps.Load(a.tx, stream)
	if err != nil {
		return err
	}
	if len(c.Texts) != len(m.Texts) || len(m.Texts) != len(strings.Fields(a.streams[stream])) {
		a.Fatalf("%s has the texts %v and %v, expected those of %q", stream, c.Texts, m.Texts, a.streams[stream])
	}
	for _, texts := range []map[string]int{c.Texts, m.Texts} {
		if texts != nil {
			clear(texts)
			texts["ruined"] = 1
		}
	}
	return nil
}

// TestLoadAgainFoldsOnce: a transaction that loads, appends and loads again folds
// each of its events about once, savepoints that fail or not.
func TestLoadAgainFoldsOnce(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ savepoints, inside, every int }{{500, 2, 1000}, {500, 2, 2}, {500, 2, 1}, {60, 40, 2}} {
		l := fresh(t)
		folds, loads := 0, 0
		count := eventlog.Model[int]{Name: "count", Folds: eventlog.Folds[int]{eventlog.On(func(n *int, e entry) { *n++; folds++ })}}
		update(t, l, func(tx *eventlog.Tx) error {
			if err := tx.Append("s", entry{"0"}); err != nil {
				return err
			}
			kept := 1
			for i := range c.savepoints {
				err := tx.Savepoint(func() error {
					for range c.inside {
						n, err := count.Load(tx, "s")
						if err != nil {
							return err
						}
						if loads++; *n < kept {
							t.Errorf("savepoint %d sees %d events, expected %d", i, *n, kept)
						}
						if err := tx.Append("s", entry{"x"}); err != nil {
							return err
						}
					}
					if i%c.every == c.every-1 {
						return errNo
					}
					return nil
				})
				if err == nil {
					kept += c.inside
				}
			}
			return nil
		})
		if folds > 5*loads {
			t.Errorf("one of %d savepoints fails: %d events folded in %d loads", c.every, folds, loads)
		}
	}
}

// TestLoadAgainConflicts: what is loaded for the third time is a condition like
// before, and is new when the function runs again.
func TestLoadAgainConflicts(t *testing.T) {
	t.Parallel()
	l := fresh(t)
	add(t, l, "s", "1")
	runs := 0
	update(t, l, func(tx *eventlog.Tx) error {
		runs++
		for i := range 4 {
			if d, err := diaries.Load(tx, "s"); err != nil || d.Text != map[int]string{1: "1 ", 2: "1 2 "}[runs] {
				t.Errorf("run %d, load %d: %+v, %v", runs, i, d, err)
			}
		}
		if runs == 1 {
			add(t, l, "s", "2")
		}
		return tx.Append("out", entry{"x"})
	})
	if runs != 2 {
		t.Errorf("the function ran %d times, expected 2", runs)
	}
}

// TestLoadAgainFails: an event of the transaction's own that cannot be folded is
// an error each time, and none when it is rolled back.
func TestLoadAgainFails(t *testing.T) {
	t.Parallel()
	l := fresh(t)
	update(t, l, func(tx *eventlog.Tx) error {
		err := tx.Append("s", entry{"1"})
		for range 3 {
			_ = tx.Savepoint(func() error {
				_ = tx.Append("s", eventlog.Raw{Type: "strange", Data: []byte("{}")})
				for range 3 {
					_, err := diaries.Load(tx, "s")
					is(t, err, eventlog.ErrUnknownType)
				}
				return errNo
			})
			if d, err := diaries.Load(tx, "s"); err != nil || d.Text != "1 " {
				t.Errorf("without it %+v, %v", d, err)
			}
		}
		return err
	})
}
