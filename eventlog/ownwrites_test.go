package eventlog_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/rollforward/rollforward/eventlog"
)

// TestReadYourWrites: a transaction sees what it appended behind what is there,
// in every way of reading, with the place and the id that it will have.
func TestReadYourWrites(t *testing.T) {
	t.Parallel()
	eachDriver(t, nil, func(t *testing.T, l *eventlog.Log) {
		s := inShard(l, 3, "s")
		near, far := inShard(l, 3, "near"), inShard(l, 4, "far")
		update(t, l, func(tx *eventlog.Tx) error {
			return join(tx.Append(s, eventlog.Tagged(entry{"1"}, "tag"), entry{"2"}), tx.Append(far, eventlog.Tagged(entry{"3"}, "tag")))
		})
		var own []eventlog.Record
		update(t, l, func(tx *eventlog.Tx) error {
			err := join(tx.Append(near, eventlog.Tagged(entry{"4"}, "tag")), tx.Append(s, eventlog.Tagged(entry{"5"}, "tag")),
				tx.Append(far, entry{"6"}), tx.Append(s, eventlog.Raw{Type: "raw", Data: []byte(`{"Text":"7"}`)}))
			both := []int{3, 4}
			for _, c := range []struct {
				q    eventlog.Query
				want string
			}{
				{eventlog.Query{Stream: s}, "1 2 5 7"},
				{eventlog.Query{Stream: s, Backward: true}, "7 5 2 1"},
				{eventlog.Query{Stream: s, From: 2, To: 3}, "2 5"},
				{eventlog.Query{Stream: s, From: 3}, "5 7"},
				{eventlog.Query{Stream: s, Limit: 3}, "1 2 5"},
				{eventlog.Query{Stream: s, Limit: 3, Backward: true}, "7 5 2"},
				{eventlog.Query{Stream: s, Types: []string{"raw"}}, "7"},
				{eventlog.Query{Stream: near}, "4"},
				{eventlog.Query{Tag: "tag", Shards: []int{3}}, "1 4 5"},
				{eventlog.Query{Tag: "tag", Shards: both}, "1 3 4 5"},
				{eventlog.Query{Tag: "tag", Shards: both, Backward: true, Limit: 2}, "5 4"},
				{eventlog.Query{Shards: []int{3}}, "1 2 4 5 7"},
				{eventlog.Query{Shards: []int{3}, Category: "s"}, "1 2 5 7"},
				{eventlog.Query{Shards: []int{4}, Backward: true}, "6 3"},
				{eventlog.Query{Shards: []int{5}}, ""},
			} {
				if got := texts(t, tx.Read(c.q)); got != c.want {
					t.Errorf("%+v yields %q, expected %q", c.q, got, c.want)
				}
			}
			own = collect(t, tx.Read(eventlog.Query{Stream: s, From: 3}))
			return err
		})
		stored := collect(t, l.Read(t.Context(), eventlog.Query{Stream: s, From: 3}))
		for i, r := range stored {
			o := own[i]
			if o.ID != r.ID || o.Version != r.Version || o.Stream != r.Stream || o.Revision != r.Revision || o.Index != r.Index || o.Time.After(r.Time) {
				t.Errorf("the transaction saw %+v, stored is %+v", o, r)
			}
		}
	})
}

// TestLoadYourWrites: Load folds the transaction's own events, as often as it is
// asked and in savepoints too.
func TestLoadYourWrites(t *testing.T) {
	t.Parallel()
	l := fresh(t)
	add(t, l, "s", "1")
	update(t, l, func(tx *eventlog.Tx) error {
		saw := func(want string) {
			t.Helper()
			if d, err := diaries.Load(tx, "s"); err != nil || d.Text != want {
				t.Errorf("loaded %+v, %v, expected %q", d, err, want)
			}
		}
		saw("1 ")
		err := tx.Append("s", entry{"2"})
		saw("1 2 ")
		_ = tx.Savepoint(func() error {
			err := tx.Append("s", entry{"3"})
			saw("1 2 3 ")
			return join(err, errNo)
		})
		saw("1 2 ")
		if d, err := diaries.Load(tx, "new"); err != nil || d.Text != "" {
			t.Errorf("a new stream has %+v, %v", d, err)
		}
		err = join(err, tx.Append("new", entry{"4"}))
		if d, err := diaries.Load(tx, "new"); err != nil || d.Text != "4 " {
			t.Errorf("a new stream has %+v, %v", d, err)
		}
		return err
	})
	want(t, l, "s", "1 2")
	want(t, l, "new", "4")
}

// TestTableYourWrites: Get and All show what the transaction did to the rows.
func TestTableYourWrites(t *testing.T) {
	t.Parallel()
	eachDriver(t, nil, func(t *testing.T, l *eventlog.Log) {
		update(t, l, func(tx *eventlog.Tx) error {
			return join(notes.Put(tx, "a", "1"), notes.Put(tx, "b", "2"), notes.Put(tx, "bb", "3"), notes.Put(tx, "c", "4"))
		})
		all := func(tx *eventlog.Tx, prefix string) string {
			var list []string
			for _, row := range collect(t, notes.All(tx, prefix)) {
				v, ok, err := notes.Get(tx, row.Key)
				if v != row.Value || !ok || err != nil {
					t.Errorf("Get %q is %q, %t, %v; All says %q", row.Key, v, ok, err, row.Value)
				}
				list = append(list, row.Key+"="+v)
			}
			return strings.Join(list, " ")
		}
		expect := func(tx *eventlog.Tx, prefix, want string) {
			t.Helper()
			if got := all(tx, prefix); got != want {
				t.Errorf("rows %q, expected %q", got, want)
			}
		}
		update(t, l, func(tx *eventlog.Tx) error {
			expect(tx, "", "a=1 b=2 bb=3 c=4")
			expect(tx, "b", "b=2 bb=3")
			err := join(notes.Put(tx, "b", "5"), notes.Delete(tx, "bb"), notes.Put(tx, "ba", "6"), notes.Delete(tx, "none"))
			expect(tx, "b", "b=5 ba=6")
			err = join(err, notes.Put(tx, "bb", "7"), notes.Delete(tx, "ba"), notes.Put(tx, "z", "8"), notes.Delete(tx, "z"), notes.Delete(tx, "z"))
			expect(tx, "", "a=1 b=5 bb=7 c=4")
			return err
		})
		is(t, l.View(t.Context(), func(tx *eventlog.Tx) error { expect(tx, "", "a=1 b=5 bb=7 c=4"); return nil }), nil)
		update(t, l, func(tx *eventlog.Tx) error { return join(notes.Delete(tx, "a"), notes.Put(tx, "a", "9")) })
		update(t, l, func(tx *eventlog.Tx) error { return notes.Delete(tx, "c") })
		is(t, l.View(t.Context(), func(tx *eventlog.Tx) error { expect(tx, "", "a=9 b=5 bb=7"); return nil }), nil)
	})
}

// TestReadNamesItsShards: inside a transaction a reading that would take part in
// every shard by accident is refused.
func TestReadNamesItsShards(t *testing.T) {
	t.Parallel()
	l := fresh(t)
	update(t, l, func(tx *eventlog.Tx) error {
		for _, q := range []eventlog.Query{{}, {Tag: "t"}, {Category: "c"}, {Shards: []int{}}, {Stream: "s", Follow: true}, {Shards: []int{99}}} {
			n := 0
			for _, err := range tx.Read(q) {
				if n++; err == nil {
					t.Errorf("%+v yields a record", q)
				}
			}
			if n != 1 {
				t.Errorf("%+v yields %d times, expected one error", q, n)
			}
		}
		return nil
	})
}

// TestUniqueTag is how a dynamic consistency boundary is used: an e-mail address
// is claimed by one stream at a time, whoever claims it.
func TestUniqueTag(t *testing.T) {
	t.Parallel()
	for _, scope := range []string{"a shard", "the log"} {
		t.Run(scope, func(t *testing.T) {
			t.Parallel()
			l := fresh(t)
			shards := allShards(l)
			name := func(i int) string { return fmt.Sprintf("user/%d", i) }
			if scope == "a shard" {
				name = func(i int) string { return fmt.Sprintf("user/{acme}/%d", i) }
				shards = []int{l.ShardOf(name(0))}
			}
			const users = 20
			answers := make([]<-chan error, users)
			for i := range users {
				answers[i] = begin(func() error {
					_, err := l.Update(t.Context(), func(tx *eventlog.Tx) error {
						for _, err := range tx.Read(eventlog.Query{Tag: "mail/ada", Shards: shards}) {
							return join(err, errNo) // taken
						}
						return tx.Append(name(i), eventlog.Tagged(entry{fmt.Sprint(i)}, "mail/ada"))
					})
					return err
				})
			}
			claimed := 0
			for _, a := range answers {
				if err := <-a; err == nil {
					claimed++
				} else {
					is(t, err, errNo)
				}
			}
			if list := collect(t, l.Read(t.Context(), eventlog.Query{Tag: "mail/ada"})); claimed != 1 || len(list) != 1 {
				t.Errorf("%d users were told that they have the address, %d have it", claimed, len(list))
			}
		})
	}
}
