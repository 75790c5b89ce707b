package eventlog_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/drivertest"
)

func actor(name string) eventlog.Meta { return eventlog.Meta{Actor: name} }

func chained(n byte) eventlog.Meta { return eventlog.Meta{Correlation: eventlog.ID{n}} }

// actors are those of the entries that a reading yields: "text/actor".
func actors(t failer, l *eventlog.Log, q eventlog.Query) string {
	t.Helper()
	var list []string
	for _, r := range collect(t, l.Read(context.Background(), q)) {
		list = append(list, text(t, r)+"/"+r.Meta.Actor)
	}
	return strings.Join(list, " ")
}

// TestScope: events have the metadata of the innermost scope in which they were
// appended, and what a failed one appended is gone.
func TestScope(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fn   func(tx *eventlog.Tx, put func(string) error) error
		want string
	}{
		"one": {func(tx *eventlog.Tx, put func(string) error) error {
			return tx.Scope(actor("a"), func() error { return put("1") })
		}, "1/a"},
		"two and around": {func(tx *eventlog.Tx, put func(string) error) error {
			return join(put("1"), tx.Scope(actor("a"), func() error { return put("2") }), put("3"),
				tx.Scope(actor("b"), func() error { return put("4") }), put("5"))
		}, "1/tx 2/a 3/tx 4/b 5/tx"},
		"nested": {func(tx *eventlog.Tx, put func(string) error) error {
			return tx.Scope(actor("a"), func() error {
				return join(put("1"), tx.Scope(actor("b"), func() error { return put("2") }), put("3"))
			})
		}, "1/a 2/b 3/a"},
		"only inside": {func(tx *eventlog.Tx, put func(string) error) error {
			return tx.Scope(actor("a"), func() error { return tx.Scope(actor("b"), func() error { return put("1") }) })
		}, "1/b"},
		"as it stands at the end": {func(tx *eventlog.Tx, put func(string) error) error {
			return tx.Scope(actor("a"), func() error {
				err := put("1")
				tx.Meta().Actor += "!"
				return err
			})
		}, "1/a!"},
		"the same twice": {func(tx *eventlog.Tx, put func(string) error) error {
			a := func(s string) error { return tx.Scope(actor("a"), func() error { return put(s) }) }
			return join(a("1"), put("2"), a("3"), tx.Scope(actor("tx"), func() error { return put("4") }))
		}, "1/a 2/tx 3/a 4/tx"},
		"error": {func(tx *eventlog.Tx, put func(string) error) error {
			err := put("1")
			if e := tx.Scope(actor("a"), func() error { return join(put("2"), errNo) }); e != errNo {
				return fmt.Errorf("error %v", e)
			}
			return join(err, tx.Scope(actor("b"), func() error { return put("3") }))
		}, "1/tx 3/b"},
		"error inside": {func(tx *eventlog.Tx, put func(string) error) error {
			return tx.Scope(actor("a"), func() error {
				_ = tx.Scope(actor("b"), func() error { return join(put("1"), errNo) })
				return put("2")
			})
		}, "2/a"},
		"error outside": {func(tx *eventlog.Tx, put func(string) error) error {
			_ = tx.Scope(actor("a"), func() error {
				return join(tx.Scope(actor("b"), func() error { return put("1") }), errNo)
			})
			return put("2")
		}, "2/tx"},
		"panic": {func(tx *eventlog.Tx, put func(string) error) error {
			func() {
				defer func() { recover() }()
				_ = tx.Scope(actor("a"), func() error {
					return tx.Scope(actor("b"), func() error { _ = put("1"); panic("!") })
				})
			}()
			return put("2")
		}, "2/tx"},
		"savepoint inside": {func(tx *eventlog.Tx, put func(string) error) error {
			return tx.Scope(actor("a"), func() error {
				_ = tx.Savepoint(func() error {
					err := put("1") // the first of the scope
					tx.Meta().Actor = "gone"
					return join(err, errNo)
				})
				return join(tx.Scope(actor("b"), func() error { return put("2") }),
					tx.Savepoint(func() error { tx.Meta().Actor += "!"; return put("3") }), put("4"))
			})
		}, "2/b 3/a! 4/a!"},
		"savepoint around": {func(tx *eventlog.Tx, put func(string) error) error {
			_ = tx.Savepoint(func() error {
				return join(tx.Scope(actor("a"), func() error { return put("1") }), errNo)
			})
			return tx.Scope(actor("b"), func() error { return put("2") })
		}, "2/b"},
		"an append that fails": {func(tx *eventlog.Tx, put func(string) error) error {
			return tx.Scope(actor("a"), func() error {
				if err := tx.Append("s", entry{"1"}, nil); err == nil {
					return errNo
				}
				return put("2")
			})
		}, "2/a"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachDriver(t, nil, func(t *testing.T, l *eventlog.Log) {
				update(t, l, func(tx *eventlog.Tx) error {
					outer := tx.Meta()
					tx.Meta().Actor = "tx"
					err := c.fn(tx, func(s string) error { return tx.Append("s", entry{s}) })
					if tx.Meta() != outer || outer.Actor != "tx" {
						t.Errorf("afterwards the metadata is %+v", *tx.Meta())
					}
					return err
				})
				if got := actors(t, l, eventlog.Query{Stream: "s"}); got != c.want {
					t.Errorf("the stream holds %q, expected %q", got, c.want)
				}
			})
		})
	}
}

// TestScopeOwnsItsMeta: nothing that a caller keeps of a scope's metadata, from
// before or after, changes what is stored.
func TestScopeOwnsItsMeta(t *testing.T) {
	t.Parallel()
	l := fresh(t)
	extra := map[string]string{"k": "given"}
	update(t, l, func(tx *eventlog.Tx) error {
		extra["k"] = "given"
		var kept *eventlog.Meta
		var inside map[string]string
		err := tx.Scope(eventlog.Meta{Actor: "a", Extra: extra}, func() error {
			kept, inside = tx.Meta(), tx.Meta().Extra
			extra["k"] = "changed outside"
			inside["more"] = "inside"
			return tx.Append("s", entry{"1"})
		})
		kept.Actor, inside["k"] = "changed later", "changed later"
		return err
	})
	if extra["more"] != "" {
		t.Errorf("the caller's map is %v", extra)
	}
	got := collect(t, l.Read(t.Context(), eventlog.Query{}))[0].Meta
	if diff := cmp.Diff(eventlog.Meta{Actor: "a", Extra: map[string]string{"k": "given", "more": "inside"}}, got); diff != "" {
		t.Errorf("metadata (-expected +stored):\n%s", diff)
	}
}

// TestScopeOfGoexit: a function that ends its goroutine inside a scope leaves
// nothing, and holds nobody up.
func TestScopeOfGoexit(t *testing.T) {
	t.Parallel()
	l := fresh(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = l.Update(t.Context(), func(tx *eventlog.Tx) error {
			return tx.Scope(actor("a"), func() error {
				_ = tx.Append("s", entry{"1"})
				runtime.Goexit()
				return nil
			})
		})
	}()
	<-done
	add(t, l, "s", "2")
	want(t, l, "s", "2")
}

// TestScopeRefuses: metadata that cannot be stored refuses its scope, of which
// nothing stays; the rest goes on. Without events it belongs to nothing.
func TestScopeRefuses(t *testing.T) {
	t.Parallel()
	l := fresh(t)
	update(t, l, func(tx *eventlog.Tx) error {
		for _, meta := range []eventlog.Meta{actor("\xff"), {Traceparent: "\xff"}, {Extra: map[string]string{"k": "\xff"}}, {Extra: map[string]string{"\xff": "v"}}} {
			is(t, tx.Scope(meta, func() error { return tx.Append("s", entry{"no"}) }), eventlog.ErrName)
			is(t, tx.Scope(meta, func() error { return nil }), nil)
		}
		return tx.Append("s", entry{"1"})
	})
	want(t, l, "s", "1")
	is(t, l.View(t.Context(), func(tx *eventlog.Tx) error {
		return tx.Scope(actor("a"), func() error {
			is(t, tx.Append("s", entry{"no"}), eventlog.ErrReadOnly)
			_, err := diaries.Load(tx, "s")
			return err
		})
	}), nil)
}

// TestScopeTooLarge: a scope that has no room with its metadata is refused where
// it ends, those before it are written.
func TestScopeTooLarge(t *testing.T) {
	t.Parallel()
	l := fresh(t)
	long := strings.Repeat("x", 200_000)
	refused := 0
	update(t, l, func(tx *eventlog.Tx) error {
		for i := range 6 {
			err := tx.Scope(actor(fmt.Sprint(i, long)), func() error { return tx.Append("s", entry{fmt.Sprint(i)}) })
			if err != nil {
				is(t, err, eventlog.ErrTooLarge)
				refused++
			}
		}
		return nil
	})
	if want(t, l, "s", "0 1 2 3"); refused != 2 {
		t.Errorf("%d scopes were refused, expected 2", refused)
	}
}

// TestScopesOverShards: each shard's commit has the metadata of its own events,
// and a chain is found in all of them and only there.
func TestScopesOverShards(t *testing.T) {
	t.Parallel()
	for _, ix := range []eventlog.Index{{}, {Correlations: true}} {
		eachDriver(t, &eventlog.Options{Index: ix}, func(t *testing.T, l *eventlog.Log) {
			a, b, c := inShard(l, 1, "a"), inShard(l, 2, "b"), inShard(l, 3, "c")
			var id eventlog.ID
			update(t, l, func(tx *eventlog.Tx) error {
				id = tx.ID()
				put := func(n byte, text string, streams ...string) error {
					return tx.Scope(chained(n), func() (err error) {
						for _, s := range streams {
							err = join(err, tx.Append(s, entry{text}))
						}
						return err
					})
				}
				return join(put(1, "1", a, b), tx.Append(a, entry{"first"}), put(2, "2", b, c), put(1, "3", c, a))
			})
			first := ""
			if ix.Correlations {
				first = "first"
			}
			for q, want := range map[eventlog.ID]string{{1}: "1 3 1 3", {2}: "2 2", id: first, {3}: ""} {
				query := eventlog.Query{Correlation: q}
				if got := texts(t, l.Read(t.Context(), query)); got != want {
					t.Errorf("chain %x has %q, expected %q", q[:1], got, want)
				}
			}
			for _, r := range collect(t, l.Read(t.Context(), eventlog.Query{Correlation: eventlog.ID{1}})) {
				if r.Meta.Correlation != (eventlog.ID{1}) || r.Commit() != id {
					t.Errorf("record %+v", r)
				}
			}
			for q, want := range map[string]string{"a": "1 3", "b": "1", "c": "3"} {
				query := eventlog.Query{Correlation: eventlog.ID{1}, Category: q, Backward: false}
				if got := texts(t, l.Read(t.Context(), query)); got != want {
					t.Errorf("in category %s chain 1 has %q, expected %q", q, got, want)
				}
			}
			query := eventlog.Query{Correlation: eventlog.ID{1}, Backward: true, Limit: 3}
			if got := texts(t, l.Read(t.Context(), query)); got != "3 1 3" {
				t.Errorf("backward chain 1 ends with %q", got)
			}
			is(t, eventlog.Check(t.Context(), l), nil)
		})
	}
}

// TestLastOfAChain: the last record of a commit is that of those which a reading
// selects.
func TestLastOfAChain(t *testing.T) {
	t.Parallel()
	l := fresh(t)
	update(t, l, func(tx *eventlog.Tx) error {
		one := func(s string) error {
			return tx.Scope(chained(1), func() error { return tx.Append("s", entry{s}) })
		}
		return join(one("1"), tx.Append("s", entry{"2"}), one("3"), tx.Append("s", entry{"4"}))
	})
	list := collect(t, l.Read(t.Context(), eventlog.Query{Correlation: eventlog.ID{1}}))
	if len(list) != 2 || list[0].Last() || !list[1].Last() {
		t.Errorf("records %+v", list)
	}
}

// TestFollowAChain: a follower gets the events of its chain, out of commits that
// hold others too.
func TestFollowAChain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := fresh(t)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		put := func(i int) {
			update(t, l, func(tx *eventlog.Tx) error {
				for n := range byte(3) {
					if err := tx.Scope(chained(n+1), func() error {
						return tx.Append(fmt.Sprint("s/", i%5), entry{fmt.Sprint(n+1, ".", i)})
					}); err != nil {
						return err
					}
				}
				return nil
			})
		}
		put(0)
		f := follow(ctx, l, eventlog.Query{Correlation: eventlog.ID{2}})
		all := "2.0"
		for i := 1; i < 10; i++ {
			put(i)
			synctest.Wait()
			if all += fmt.Sprint(" 2.", i); f.texts(t) != all {
				t.Errorf("the follower has %q, expected %q", f.texts(t), all)
			}
		}
		cancel()
		is(t, <-f.end, context.Canceled)
	})
}

// TestEarlySightOfAChain: an Update sees the events of a chain in commits that are
// under way, and runs again without them when they are lost.
func TestEarlySightOfAChain(t *testing.T) {
	t.Parallel()
	for _, lost := range []bool{false, true} {
		t.Run(fmt.Sprint("lost ", lost), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				fault := drivertest.Fault{}
				if lost {
					fault = drivertest.Fault{Kind: drivertest.Fail, Err: driver.ErrDiskFull}
				}
				e := newEarly(t, fault)
				shards := []int{e.log.ShardOf("s")}
				first := begin(func() error {
					_, err := e.log.Update(t.Context(), func(tx *eventlog.Tx) error {
						return join(tx.Scope(chained(1), func() error { return tx.Append("s", entry{"2"}) }),
							tx.Scope(chained(2), func() error { return tx.Append("s", entry{"3"}) }))
					})
					return err
				})
				synctest.Wait()
				var saw []string
				second := begin(func() error {
					_, err := e.log.Update(t.Context(), func(tx *eventlog.Tx) error {
						one := texts(t, tx.Read(eventlog.Query{Correlation: eventlog.ID{1}, Shards: shards}))
						two := texts(t, tx.Read(eventlog.Query{Correlation: eventlog.ID{2}, Shards: shards}))
						saw = append(saw, one+"|"+two)
						return tx.Scope(chained(2), func() error { return tx.Append("s", entry{"4"}) })
					})
					return err
				})
				synctest.Wait()
				unanswered(t, "who saw a chain early", second)
				close(e.gate)
				<-first
				is(t, <-second, nil)
				expected, chain := []string{"2|3"}, "3 4"
				if lost {
					expected, chain = []string{"2|3", "|"}, "4"
				}
				if diff := cmp.Diff(expected, saw); diff != "" {
					t.Errorf("the Update saw (-expected +saw):\n%s", diff)
				}
				if got := texts(t, e.log.Read(t.Context(), eventlog.Query{Correlation: eventlog.ID{2}})); got != chain {
					t.Errorf("chain 2 has %q, expected %q", got, chain)
				}
			})
		})
	}
}
