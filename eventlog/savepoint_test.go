package eventlog_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/memlog"
)

// everything writes in all ways, under a name.
func everything(tx *eventlog.Tx, name string) error {
	if _, err := tx.Once("s", name); err != nil {
		return err
	}
	if err := tx.Append("s", entries(name, name)...); err != nil {
		return err
	}
	if tx.Meta().Extra == nil {
		tx.Meta().Extra = make(map[string]string)
	}
	tx.Meta().Actor += name
	tx.Meta().Extra[name] = "x"
	if err := notes.Put(tx, "last", name); err != nil {
		return err
	}
	if err := notes.Delete(tx, "gone after "+name); err != nil {
		return err
	}
	return notes.Put(tx, name, "x")
}

// TestSavepoint: what a failed savepoint wrote is gone, of all kinds, and what
// came before and after it stays.
func TestSavepoint(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fn   func(tx *eventlog.Tx) error
		kept string // the names that stay, as the stream has them
		rows string
		gone []string // ids that were not recorded
	}{
		"success": {func(tx *eventlog.Tx) error {
			return tx.Savepoint(func() error { return everything(tx, "in") })
		}, "a a in in z z", "a= gone after out= in= last=z z=", []string{"out"}},
		"error": {func(tx *eventlog.Tx) error {
			err := tx.Savepoint(func() error { return join(everything(tx, "in"), errNo) })
			if err != errNo {
				return err
			}
			return nil
		}, "a a z z", "a= gone after in= gone after out= last=z z=", []string{"in", "out"}},
		"panic": {func(tx *eventlog.Tx) (err error) {
			defer func() { recover() }()
			return tx.Savepoint(func() error { _ = everything(tx, "in"); panic("!") })
		}, "a a z z", "a= gone after in= gone after out= last=z z=", []string{"in", "out"}},
		"inner error": {func(tx *eventlog.Tx) error {
			return tx.Savepoint(func() error {
				_ = tx.Savepoint(func() error { return join(everything(tx, "in"), errNo) })
				return everything(tx, "out")
			})
		}, "a a out out z z", "a= gone after in= last=z out= z=", []string{"in"}},
		"outer error": {func(tx *eventlog.Tx) error {
			_ = tx.Savepoint(func() error {
				return join(everything(tx, "out"), tx.Savepoint(func() error { return everything(tx, "in") }), errNo)
			})
			return nil
		}, "a a z z", "a= gone after in= gone after out= last=z z=", []string{"in", "out"}},
		"again after an error": {func(tx *eventlog.Tx) error {
			for _, err := range []error{errNo, errNo, nil} {
				if got := tx.Savepoint(func() error { return join(everything(tx, "in"), err) }); got != err {
					return got
				}
			}
			return nil
		}, "a a in in z z", "a= gone after out= in= last=z z=", []string{"out"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := fresh(t)
			update(t, l, func(tx *eventlog.Tx) error {
				return join(notes.Put(tx, "gone after in", ""), notes.Put(tx, "gone after out", ""), notes.Put(tx, "last", ""))
			})
			update(t, l, func(tx *eventlog.Tx) error {
				return join(everything(tx, "a"), c.fn(tx), everything(tx, "z"))
			})
			want(t, l, "s", c.kept)
			checkSavepointMeta(t, l, c.kept)
			rows := ""
			is(t, l.View(t.Context(), func(tx *eventlog.Tx) error {
				for _, row := range collect(t, notes.All(tx, "")) {
					if rows += row.Key + "="; row.Key == "last" {
						rows += row.Value
					}
					rows += " "
				}
				return nil
			}), nil)
			if rows != c.rows+" " {
				t.Errorf("rows %q, expected %q", rows, c.rows)
			}
			update(t, l, func(tx *eventlog.Tx) error {
				for _, id := range c.gone {
					if done, err := tx.Once("s", id); done || err != nil {
						t.Errorf("id %q is recorded: %t, %v", id, done, err)
					}
				}
				return nil
			})
		})
	}
}

// join returns the first error.
func join(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// checkSavepointMeta: the metadata names those whose events are there.
func checkSavepointMeta(t *testing.T, l *eventlog.Log, kept string) {
	t.Helper()
	var actor string
	extra := make(map[string]string)
	var meta eventlog.Meta
	for i, r := range collect(t, l.Read(t.Context(), eventlog.Query{Stream: "s"})) {
		if meta = r.Meta; i%2 == 0 {
			actor += text(t, r)
			extra[text(t, r)] = "x"
		}
	}
	if meta.Actor != actor || !maps.Equal(meta.Extra, extra) {
		t.Errorf("events %q have actor %q and extra %v, expected %q and %v", kept, meta.Actor, meta.Extra, actor, extra)
	}
}

// TestSavepointReads: what a failed savepoint read stays a condition.
func TestSavepointReads(t *testing.T) {
	t.Parallel()
	for name, read := range map[string]func(tx *eventlog.Tx) error{
		"stream": func(tx *eventlog.Tx) error { _, err := diaries.Load(tx, "read"); return err },
		"row":    func(tx *eventlog.Tx) error { _, _, err := notes.Get(tx, "read"); return err },
		"put":    func(tx *eventlog.Tx) error { return notes.Put(tx, "read", "mine") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := fresh(t)
			runs := 0
			update(t, l, func(tx *eventlog.Tx) error {
				_ = tx.Savepoint(func() error { return join(read(tx), errNo) })
				if runs++; runs == 1 {
					update(t, l, func(tx *eventlog.Tx) error {
						return join(tx.Append("read", entry{"x"}), notes.Put(tx, "read", "x"))
					})
				}
				return tx.Append("s", entry{"x"})
			})
			if runs != 2 {
				t.Errorf("the function ran %d times, expected 2: what it read changed", runs)
			}
			want(t, l, "s", "x")
		})
	}
}

// TestSavepointsGiveRoomBack: what was rolled back does not count against the
// limits of a transaction, of whatever kind it was.
func TestSavepointsGiveRoomBack(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 900)
	for name, fn := range map[string]func(tx *eventlog.Tx, n int) error{
		"events":   func(tx *eventlog.Tx, n int) error { return tx.Append("s", large(300_000)) },
		"append":   func(tx *eventlog.Tx, n int) error { return tx.Append("s", large(300_000), nil) },
		"ids":      func(tx *eventlog.Tx, n int) error { return onces(tx, fmt.Sprint(n, long), 200) },
		"rows":     func(tx *eventlog.Tx, n int) error { return puts(tx, fmt.Sprint(n, long), 200) },
		"same row": func(tx *eventlog.Tx, n int) error { return puts(tx, long, 200) },
		"metadata": func(tx *eventlog.Tx, n int) error {
			return tx.Scope(actor(strings.Repeat("x", 300_000)), func() error { return tx.Append("s", entry{"no"}) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := over(t, memlog.Open(), &eventlog.Options{Shards: 1})
			update(t, l, func(tx *eventlog.Tx) error {
				first := tx.Append("s", entry{"1"})
				for n := range 12 {
					err := tx.Savepoint(func() error { return join(fn(tx, n), errNo) })
					if errors.Is(err, eventlog.ErrTooLarge) {
						return err
					}
				}
				return join(first, tx.Append("s", entry{"2"}))
			})
			want(t, l, "s", "1 2")
		})
	}
}

func onces(tx *eventlog.Tx, name string, n int) error {
	for i := range n {
		if _, err := tx.Once("s", fmt.Sprint(i, name)); err != nil {
			return err
		}
	}
	return nil
}

func puts(tx *eventlog.Tx, name string, n int) error {
	for i := range n {
		if err := notes.Put(tx, fmt.Sprint(i, name), "x"); err != nil {
			return err
		}
	}
	return nil
}

// TestOnRollback: what was said to be undone is undone when the savepoint in
// which it was said, or one around it, is rolled back, and not otherwise; the
// last first.
func TestOnRollback(t *testing.T) {
	t.Parallel()
	l := fresh(t)
	_, err := l.Update(t.Context(), func(tx *eventlog.Tx) error {
		var undone []int
		say := func(n int) { tx.OnRollback(func() { undone = append(undone, n) }) }
		say(1)
		_ = tx.Savepoint(func() error { say(2); return nil })
		_ = tx.Savepoint(func() error {
			say(3)
			_ = tx.Savepoint(func() error { say(4); return errNo })
			_ = tx.Savepoint(func() error { say(5); return nil })
			func() {
				defer func() { _ = recover() }()
				_ = tx.Savepoint(func() error { say(6); panic("out of paper") })
			}()
			say(7)
			return errNo
		})
		if want := []int{4, 6, 7, 5, 3}; !slices.Equal(undone, want) {
			t.Errorf("undone %v, want %v", undone, want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
