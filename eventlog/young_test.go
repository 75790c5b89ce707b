package eventlog_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/memlog"
)

// young reads a tag that the caller knows not to be older than born.
func young(t *testing.T, tx *eventlog.Tx, tag string, born time.Time) string {
	t.Helper()
	return texts(t, tx.Read(eventlog.Query{Tag: tag, Shards: []int{tx.Log().ShardOf("s")}, Born: born}))
}

// TestYoungTags: what is asked for under a young tag is found wherever it is,
// and costs no look at the index where it is nowhere.
func TestYoungTags(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, f := faulty(t, nil)
		add(t, l, "s", "old")
		born := l.Now()
		put := func(tx *eventlog.Tx, tag string) error { return tx.Append("s", eventlog.Tagged(entry{tag}, tag)) }
		update(t, l, func(tx *eventlog.Tx) error { return put(tx, "durable") })
		gate := make(chan struct{})
		f.Inject(holdWrites(gate))
		pending := begin(func() error {
			_, err := l.Update(t.Context(), func(tx *eventlog.Tx) error { return put(tx, "pending") })
			return err
		})
		synctest.Wait()
		saw := make(map[string]string)
		finds := f.Calls("Find")
		reader := begin(func() error {
			_, err := l.Update(t.Context(), func(tx *eventlog.Tx) error {
				for i := range 100 {
					if got := young(t, tx, fmt.Sprint("none ", i), born); got != "" {
						t.Errorf("nothing has the tag, and there is %q", got)
					}
				}
				if n := f.Calls("Find") - finds; n != 0 {
					t.Errorf("%d looks at the index for what is nowhere", n)
				}
				err := put(tx, "own")
				for _, tag := range []string{"durable", "pending", "own", "none"} {
					saw[tag] = young(t, tx, tag, born)
				}
				return err
			})
			return err
		})
		synctest.Wait()
		close(gate)
		is(t, <-pending, nil)
		is(t, <-reader, nil)
		for tag, got := range saw {
			if want := map[bool]string{true: tag}[tag != "none"]; got != want {
				t.Errorf("under %s there is %q, expected %q", tag, got, want)
			}
		}
	})
}

// TestYoungTagsAreConditions: that nothing has a young tag stays true until the
// transaction is written, whoever writes meanwhile.
func TestYoungTagsAreConditions(t *testing.T) {
	t.Parallel()
	for _, process := range []string{"own process", "other process"} {
		for _, tag := range []string{"asked for", "another"} {
			t.Run(process+", "+tag, func(t *testing.T) {
				t.Parallel()
				store := memlog.NewStore()
				l := over(t, store.Open(), nil)
				other := l
				if process == "other process" {
					other = over(t, store.Open(), nil)
				}
				runs, saw := 0, ""
				update(t, l, func(tx *eventlog.Tx) error {
					saw = young(t, tx, "asked for", time.Now())
					if runs++; runs == 1 {
						update(t, other, func(tx *eventlog.Tx) error { return tx.Append("s", eventlog.Tagged(entry{"1"}, tag)) })
					}
					return tx.Append("out", entry{"x"})
				})
				if want := map[string]int{"asked for": 2, "another": 1}[tag]; runs != want {
					t.Errorf("the function ran %d times, expected %d", runs, want)
				}
				if want := map[string]string{"asked for": "1"}[tag]; saw != want {
					t.Errorf("in the end it saw %q, expected %q", saw, want)
				}
			})
		}
	}
}

// TestTagsOlderThanMemory: what a process does not remember it looks up, however
// young the caller says that the tag is not.
func TestTagsOlderThanMemory(t *testing.T) {
	t.Parallel()
	store := memlog.NewStore()
	first := over(t, store.Open(), nil)
	born := first.Now()
	update(t, first, func(tx *eventlog.Tx) error { return tx.Append("s", eventlog.Tagged(entry{"1"}, "tag")) })
	l := over(t, store.Open(), nil)
	look := func(tx *eventlog.Tx) error {
		if got := young(t, tx, "tag", born); got != "1" {
			t.Errorf("under the tag there is %q, expected 1", got)
		}
		for _, q := range []eventlog.Query{{Tag: "none", Shards: []int{99}, Born: time.Now()}, {Tag: "none", Shards: []int{0}, Born: time.Now(), Limit: -1}} {
			if last(tx.Read(q)) == nil {
				t.Errorf("%+v is not refused", q)
			}
		}
		return nil
	}
	update(t, l, look)
	is(t, l.View(t.Context(), look), nil)
	is(t, first.View(t.Context(), look), nil)
}

// TestYoungTagsCostLittle: the read of a tag that nothing has takes few
// allocations. Not parallel: it measures.
func TestYoungTagsCostLittle(t *testing.T) {
	l := fresh(t)
	born, tag, shards := time.Now().Add(time.Hour), "$step/0190a2f2-6038-758e-ac7c-5ed1b9d1c3a0", []int{0}
	update(t, l, func(tx *eventlog.Tx) error {
		got := testing.AllocsPerRun(1000, func() {
			for _, err := range tx.Read(eventlog.Query{Tag: tag, Shards: shards, Born: born}) {
				t.Errorf("a record, %v", err)
			}
		})
		if got > 3 {
			t.Errorf("%v allocations", got)
		}
		return nil
	})
}
