package eventlog_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/memlog"
)

// arena is where conditions are tried: streams of one shard and of another, all
// with a tag, and rows of a table at home in a third.
type arena struct {
	l                              *eventlog.Log
	here, neighbour, new, far, out string
	tag, otherTag, row, newRow     string
	chain, otherChain              eventlog.ID
}

var arenaTable = eventlog.Table[string]{Name: "arena"}

// newArena makes an arena with a name of its own.
func newArena(l *eventlog.Log, name string) *arena {
	table := l.ShardOf(arenaTable.Name)
	at := func(n int, stream string) string { return inShard(l, (table+n)%l.Shards(), stream+"/"+name) }
	var chain, otherChain eventlog.ID
	copy(chain[:], "1"+name)
	copy(otherChain[:], "2"+name)
	return &arena{l: l, chain: chain, otherChain: otherChain, here: at(1, "here"), neighbour: at(1, "neighbour"), new: at(1, "new"), far: at(2, "far"), out: at(3, "out"),
		tag: "tag " + name, otherTag: "other " + name, row: "k " + name, newRow: "new " + name}
}

func (a *arena) fill(t *testing.T) {
	t.Helper()
	update(t, a.l, func(tx *eventlog.Tx) error {
		tagged := eventlog.Tagged(entry{"1"}, a.tag)
		_, err := tx.Once(a.here, "used")
		return join(err, tx.Append(a.here, tagged), tx.Append(a.neighbour, tagged), tx.Append(a.far, tagged), arenaTable.Put(tx, a.row, "1"))
	})
}

// looks are what a transaction may read.
func (a *arena) looks() map[string]func(tx *eventlog.Tx) error {
	read := func(q eventlog.Query) func(tx *eventlog.Tx) error {
		return func(tx *eventlog.Tx) error {
			for _, err := range tx.Read(q) {
				if err != nil {
					return err
				}
			}
			return nil
		}
	}
	home := []int{a.l.ShardOf(a.here)}
	return map[string]func(tx *eventlog.Tx) error{
		"nothing":               func(*eventlog.Tx) error { return nil },
		"load":                  func(tx *eventlog.Tx) error { _, err := diaries.Load(tx, a.here); return err },
		"load a new stream":     func(tx *eventlog.Tx) error { _, err := diaries.Load(tx, a.new); return err },
		"stream":                read(eventlog.Query{Stream: a.here}),
		"end of a stream":       read(eventlog.Query{Stream: a.here, Backward: true, Limit: 1}),
		"tag":                   read(eventlog.Query{Tag: a.tag, Shards: home}),
		"no such tag":           read(eventlog.Query{Tag: a.otherTag, Shards: home}),
		"tag everywhere":        read(eventlog.Query{Tag: a.tag, Shards: allShards(a.l)}),
		"no such tag anywhere":  read(eventlog.Query{Tag: a.otherTag, Shards: allShards(a.l)}),
		"chain":                 read(eventlog.Query{Correlation: a.chain, Shards: home}),
		"chain everywhere":      read(eventlog.Query{Correlation: a.chain, Shards: allShards(a.l)}),
		"shard":                 read(eventlog.Query{Shards: home}),
		"category in the shard": read(eventlog.Query{Shards: home, Category: "here"}),
		"row":                   func(tx *eventlog.Tx) error { _, _, err := arenaTable.Get(tx, a.row); return err },
		"no such row":           func(tx *eventlog.Tx) error { _, _, err := arenaTable.Get(tx, a.newRow); return err },
		"rows": func(tx *eventlog.Tx) error {
			for _, err := range arenaTable.All(tx, "") {
				if err != nil {
					return err
				}
			}
			return nil
		},
		"no such rows": func(tx *eventlog.Tx) error {
			for range arenaTable.All(tx, a.newRow) {
				return errors.New("a row")
			}
			return nil
		},
		"put":          func(tx *eventlog.Tx) error { return arenaTable.Put(tx, a.row, "mine") },
		"put a new":    func(tx *eventlog.Tx) error { return arenaTable.Put(tx, a.newRow, "mine") },
		"unused id":    func(tx *eventlog.Tx) error { _, err := tx.Once(a.here, "id"); return err },
		"used id":      func(tx *eventlog.Tx) error { _, err := tx.Once(a.here, "used"); return err },
		"blind append": func(tx *eventlog.Tx) error { return tx.Append(a.here, entry{"mine"}) },
	}
}

// changes are what somebody else may do meanwhile, with the looks that they
// make untrue.
func (a *arena) changes() map[string]struct {
	do     func(tx *eventlog.Tx) error
	breaks []string
} {
	appends := func(stream string, tags ...string) func(tx *eventlog.Tx) error {
		return func(tx *eventlog.Tx) error { return tx.Append(stream, eventlog.Tagged(entry{"2"}, tags...)) }
	}
	scoped := func(stream string, chains ...eventlog.ID) func(tx *eventlog.Tx) error {
		return func(tx *eventlog.Tx) error {
			for _, chain := range chains {
				if err := tx.Scope(eventlog.Meta{Correlation: chain}, func() error { return tx.Append(stream, entry{"2"}) }); err != nil {
					return err
				}
			}
			return nil
		}
	}
	shard := []string{"shard", "category in the shard"}
	return map[string]struct {
		do     func(tx *eventlog.Tx) error
		breaks []string
	}{
		"append":            {appends(a.here), append(shard, "load", "stream", "end of a stream")},
		"tagged append":     {appends(a.here, a.tag), append(shard, "load", "stream", "end of a stream", "tag", "tag everywhere")},
		"neighbour":         {appends(a.neighbour), shard},
		"tagged neighbour":  {appends(a.neighbour, a.tag, a.otherTag), append(shard, "tag", "no such tag", "tag everywhere", "no such tag anywhere")},
		"new stream":        {appends(a.new), append(shard, "load a new stream")},
		"far append":        {appends(a.far), nil},
		"tagged far append": {appends(a.far, a.tag, a.otherTag), []string{"tag everywhere", "no such tag anywhere"}},
		"chained neighbour": {scoped(a.neighbour, a.otherChain, a.chain), append(shard, "chain", "chain everywhere")},
		"other chain":       {scoped(a.neighbour, a.otherChain), shard},
		"chained far":       {scoped(a.far, a.otherChain, a.chain), []string{"chain everywhere"}},
		"put":               {func(tx *eventlog.Tx) error { return arenaTable.Put(tx, a.row, "2") }, []string{"row", "rows", "put"}},
		"same again":        {func(tx *eventlog.Tx) error { return arenaTable.Put(tx, a.row, "1") }, []string{"row", "rows", "put"}},
		"delete":            {func(tx *eventlog.Tx) error { return arenaTable.Delete(tx, a.row) }, []string{"row", "rows", "no such rows", "put"}},
		"insert": {func(tx *eventlog.Tx) error { return arenaTable.Put(tx, a.newRow, "2") },
			[]string{"no such row", "rows", "no such rows", "put a new"}},
		"id":       {func(tx *eventlog.Tx) error { _, err := tx.Once(a.here, "id"); return err }, append(shard, "unused id")},
		"other id": {func(tx *eventlog.Tx) error { _, err := tx.Once(a.here, "other"); return err }, shard},
	}
}

// TestConditions: an Update runs again when something that it read was changed
// meanwhile, by its own process or another one, and only then.
func TestConditions(t *testing.T) {
	t.Parallel()
	for _, process := range []string{"own process", "other process"} {
		t.Run(process, func(t *testing.T) {
			t.Parallel()
			names := newArena(fresh(t), "")
			for look := range names.looks() {
				for change, c := range names.changes() {
					broken := slices.Contains(c.breaks, look)
					store := memlog.NewStore()
					own := over(t, store.Open(), nil)
					other := own
					if process == "other process" {
						other = over(t, store.Open(), nil)
					}
					a := newArena(own, "")
					a.fill(t)
					runs, err := a.meet(look, func() { update(t, other, a.changes()[change].do) })
					is(t, err, nil)
					if want := map[bool]int{false: 1, true: 2}[broken]; runs != want {
						t.Errorf("read %s, meanwhile %s: the function ran %d times, expected %d", look, change, runs, want)
					}
				}
			}
		})
	}
}

// meet looks, lets others do something meanwhile, and writes elsewhere. It
// returns how often the function ran.
func (a *arena) meet(look string, meanwhile func()) (runs int, err error) {
	_, err = a.l.Update(context.Background(), func(tx *eventlog.Tx) error {
		if err := a.looks()[look](tx); err != nil && runs == 0 {
			return err
		}
		if runs++; runs == 1 {
			meanwhile()
		}
		return tx.Append(a.out, entry{look})
	})
	return runs, err
}

// TestConflictGivesUp: an Update that loses every race ends with ErrConflict
// after Options.Attempts runs, and leaves nothing; the hook counts the losses.
func TestConflictGivesUp(t *testing.T) {
	t.Parallel()
	conflicts := 0
	l := over(t, memlog.Open(), &eventlog.Options{Attempts: 7, Hooks: eventlog.Hooks{Conflict: func() { conflicts++ }}})
	runs := 0
	_, err := l.Update(t.Context(), func(tx *eventlog.Tx) error {
		if _, err := diaries.Load(tx, "s"); err != nil {
			return err
		}
		runs++
		add(t, l, "s", fmt.Sprint(runs))
		return tx.Append("s", entry{"never"})
	})
	is(t, err, eventlog.ErrConflict)
	if runs != 7 || conflicts != 7 {
		t.Errorf("the function ran %d times, the hook %d times, expected 7", runs, conflicts)
	}
	want(t, l, "s", "1 2 3 4 5 6 7")
}

// TestRefusalsAreAnswersToo: an error that the function returns because of what
// it read is given only if that is still true.
func TestRefusalsAreAnswersToo(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func() error{
		"error": func() error { return errNo },
		"panic": func() error { panic("!") },
		"nil":   func() error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := fresh(t)
			runs := 0
			err := <-begin(func() error {
				_, err := l.Update(t.Context(), func(tx *eventlog.Tx) error {
					d, err := diaries.Load(tx, "s")
					if err != nil {
						return err
					}
					if runs++; runs == 1 {
						add(t, l, "s", "x")
					}
					if d.Text == "" { // no longer true when it is said
						return end()
					}
					return tx.Append("s", entry{"y"})
				})
				return err
			})
			is(t, err, nil)
			want(t, l, "s", "x y")
		})
	}
}
