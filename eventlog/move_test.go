package eventlog_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/memlog"
)

// moving opens a log of two shards whose writes the store may move, as another
// process's beside it.
func moving(t *testing.T, store *memlog.Store) (*eventlog.Log, *drivertest.Faulty) {
	t.Helper()
	f := drivertest.NewFaulty(store.Open(), nil)
	l := over(t, f.Mover(), &eventlog.Options{Shards: 2})
	add(t, l, "warm", "1")
	return l, f
}

// asks checks what fn makes a process ask of the store.
func asks(t *testing.T, f *drivertest.Faulty, fn func(), want map[string]int) {
	t.Helper()
	before := make(map[string]int)
	for _, method := range []string{"Write", "Move", "Tail", "Read", "Find"} {
		before[method] = f.Calls(method)
	}
	fn()
	for method, n := range before {
		if n := f.Calls(method) - n; n != want[method] {
			t.Errorf("%d calls of %s, expected %d", n, method, want[method])
		}
	}
}

// holdMove holds the next Move back until the gate is closed.
func holdMove(f *drivertest.Faulty) (gate chan struct{}) {
	gate = make(chan struct{})
	f.Inject(drivertest.Nth("Move", f.Calls("Move")+1, drivertest.Fault{Before: gate}))
	return gate
}

// addBoth appends a second event to two streams.
func addBoth(t *testing.T, l *eventlog.Log, one, two string) (eventlog.Position, error) {
	return l.Update(t.Context(), func(tx *eventlog.Tx) error {
		return join(tx.Append(one, entry{"2"}), tx.Append(two, entry{"2"}))
	})
}

// TestMove: who does not know what others have written writes all the same, in one
// call, and knows it then.
func TestMove(t *testing.T) {
	t.Parallel()
	store := memlog.NewStore()
	a, _ := moving(t, store)
	b, f := moving(t, store)
	here := inShard(b, 0, "here")
	add(t, b, here, "1")
	for i := range 3 {
		add(t, a, inShard(a, 0, "there"), fmt.Sprint(i+1))
	}
	var p eventlog.Position
	asks(t, f, func() { p = add(t, b, here, "2", "3") }, map[string]int{"Move": 1})
	for r, err := range a.Read(t.Context(), eventlog.Query{Stream: here, From: 2}) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Revision != p.Revision(0) || r.Revision < 5 {
			t.Errorf("%s stands at revision %d, the append said %d", r.Data, r.Revision, p.Revision(0))
		}
	}
	asks(t, f, func() {
		_, err := b.Append(t.Context(), inShard(b, 0, "there"), &eventlog.AppendOptions{Expect: eventlog.Exactly(3)}, entry{"4"})
		is(t, err, nil)
		_, err = b.Append(t.Context(), here, &eventlog.AppendOptions{Expect: eventlog.Exactly(3)}, entry{"4"})
		is(t, err, nil)
	}, map[string]int{"Move": 2})
	want(t, a, here, "1 2 3 4")
	want(t, a, inShard(a, 0, "there"), "1 2 3 4")
}

// TestMoveConflicts: what others have written counts where it is asked for.
func TestMoveConflicts(t *testing.T) {
	t.Parallel()
	store := memlog.NewStore()
	a, _ := moving(t, store)
	b, _ := moving(t, store)
	add(t, b, "s", "1")
	add(t, a, "s", "2")
	_, err := b.Append(t.Context(), "s", &eventlog.AppendOptions{Expect: eventlog.Exactly(1)}, entry{"no"})
	var late *eventlog.VersionError
	if !errors.As(err, &late) || late.Have != 2 {
		t.Errorf("%v, expected version 2", err)
	}
	id := &eventlog.AppendOptions{ID: "x"}
	first, err := a.Append(t.Context(), "s", id, entry{"3"})
	is(t, err, nil)
	again, err := b.Append(t.Context(), "s", id, entry{"3"})
	is(t, err, nil)
	if s := b.ShardOf("s"); first.Revision(s) != again.Revision(s) {
		t.Errorf("the same id stands at %v and at %v", first, again)
	}
	runs := 0
	_, err = b.Update(t.Context(), func(tx *eventlog.Tx) error {
		d, err := diaries.Load(tx, "s")
		if runs++; runs == 1 {
			add(t, a, "s", "4")
		}
		return join(err, tx.Append("t", entry{d.Text}))
	})
	is(t, err, nil)
	want(t, b, "s", "1 2 3 4")
	want(t, b, "t", "1 2 3 4 ")
}

// TestMoveAnswerLost: when the answer is lost the process finds out what has come of
// its write, among however many of others, and it happens once.
func TestMoveAnswerLost(t *testing.T) {
	t.Parallel()
	for _, kind := range []drivertest.Kind{drivertest.Lose, drivertest.Drop} {
		for _, others := range []int{0, 1, 9_000} { // more than the process remembers of a shard
			t.Run(fmt.Sprint(kind, " ", others), func(t *testing.T) {
				t.Parallel()
				store := memlog.NewStore()
				a, _ := moving(t, store)
				b, f := moving(t, store)
				here, there := inShard(b, 0, "here"), inShard(b, 1, "there")
				add(t, b, here, "1")
				add(t, b, there, "1")
				addMany(t, a, inShard(a, 0, "others"), others)
				f.Inject(drivertest.Nth("Move", f.Calls("Move")+1, drivertest.Fault{Kind: kind}))
				p, err := addBoth(t, b, here, there)
				is(t, err, nil)
				if f.Injected(kind) != 1 {
					t.Fatal("no answer was lost")
				}
				for r, err := range a.Read(t.Context(), eventlog.Query{Stream: here, From: 2}) {
					if is(t, err, nil); r.Revision != p.Revision(0) {
						t.Errorf("it stands at revision %d, the update said %d", r.Revision, p.Revision(0))
					}
				}
				for _, s := range []string{here, there} {
					_, err := b.Append(t.Context(), s, &eventlog.AppendOptions{Expect: eventlog.Exactly(2)}, entry{"3"})
					is(t, err, nil)
					want(t, a, s, "1 2 3")
				}
			})
		}
	}
}

// addMany appends so many events, each in a commit of its own.
func addMany(t *testing.T, l *eventlog.Log, stream string, n int) {
	t.Helper()
	var wg sync.WaitGroup
	for w := range 64 {
		wg.Go(func() {
			for i := w; i < n; i += 64 {
				if _, err := l.Append(t.Context(), stream, nil, entry{"x"}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// TestMoveAnswerLostForGood: when the store is gone with the answer, the caller is told
// that nobody knows.
func TestMoveAnswerLostForGood(t *testing.T) {
	t.Parallel()
	b, f := moving(t, memlog.NewStore())
	f.Inject(drivertest.Nth("Move", f.Calls("Move")+1, drivertest.Fault{Kind: drivertest.Fail, Err: errors.Join(driver.ErrUnknown, driver.ErrClosed)}))
	_, err := b.Append(t.Context(), "s", nil, entry{"1"})
	is(t, err, eventlog.ErrUnknown)
}

// TestMoveAnswerLostAndStoreGone: when the store is gone before the process has found out,
// the caller is told that nobody knows.
func TestMoveAnswerLostAndStoreGone(t *testing.T) {
	t.Parallel()
	for _, end := range []error{driver.ErrClosed, driver.ErrCorrupt} {
		b, f := moving(t, memlog.NewStore())
		move, reads := f.Calls("Move")+1, 0
		f.Inject(func(c drivertest.Call) drivertest.Fault {
			switch {
			case c.Method == "Move" && c.N == move:
				return drivertest.Fault{Kind: drivertest.Lose}
			case c.Method == "Read":
				if reads++; reads < 3 {
					return drivertest.Fault{Kind: drivertest.Fail}
				}
				return drivertest.Fault{Kind: drivertest.Fail, Err: end}
			}
			return drivertest.Fault{}
		})
		_, err := b.Append(t.Context(), "s", nil, entry{"1"})
		is(t, err, eventlog.ErrUnknown)
		is(t, err, end)
		f.Inject(nil)
	}
}

// TestMoveBeforeTheNext: what stands behind a write that was moved goes to the store when
// that one is over.
func TestMoveBeforeTheNext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memlog.NewStore()
		a, _ := moving(t, store)
		f := drivertest.NewFaulty(store.Open(), nil)
		told := make(chan struct{})
		o := &eventlog.Options{Hooks: eventlog.Hooks{Group: func(g eventlog.GroupInfo) {
			if g.Shards == 2 {
				<-told
			}
		}}}
		b := over(t, f.Mover(), o)
		one, two := inShard(b, 0, "one"), inShard(b, 1, "two")
		add(t, b, one, "1")
		add(t, b, two, "1")
		add(t, a, inShard(a, 0, "others"), "1")
		add(t, a, inShard(a, 1, "others"), "1")
		moves := f.Calls("Move")
		gate := holdMove(f)
		both := begin(func() error {
			_, err := addBoth(t, b, one, two)
			return err
		})
		synctest.Wait()
		var behind []<-chan error
		for _, s := range []string{one, two} {
			behind = append(behind, begin(func() error {
				_, err := b.Append(t.Context(), s, nil, entry{"3"})
				return err
			}))
		}
		synctest.Wait()
		close(gate)
		synctest.Wait()
		if n := f.Calls("Move") - moves; n != 1 {
			t.Errorf("%d moves before the first one is over", n)
		}
		close(told)
		is(t, <-both, nil)
		is(t, <-behind[0], nil)
		is(t, <-behind[1], nil)
		want(t, a, one, "1 2 3")
		want(t, a, two, "1 2 3")
	})
}

// TestMoveObserves: what a process writes is later than all that it knows of, also where
// it has only passed it with a condition.
func TestMoveObserves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memlog.NewStore()
		ahead := eventlog.Options{Shards: 2, MaxSkew: time.Minute}
		eventlog.SetNow(&ahead, func() time.Time { return time.Now().Add(10 * time.Second) })
		a := over(t, store.Open(), &ahead)
		f := drivertest.NewFaulty(store.Open(), nil)
		b := over(t, f.Mover(), &eventlog.Options{MaxSkew: time.Minute})
		here, there := inShard(b, 0, "here"), inShard(b, 1, "there")
		add(t, b, there, "1")
		late := a.Now()
		_, err := b.Update(t.Context(), func(tx *eventlog.Tx) error {
			d, err := diaries.Load(tx, there)
			add(t, a, inShard(a, 1, "others"), "1")
			return join(err, tx.Append(here, entry{d.Text}))
		})
		is(t, err, nil)
		if f.Calls("Move") != 2 {
			t.Errorf("%d moves, expected 2", f.Calls("Move"))
		}
		if !b.Now().After(late) {
			t.Errorf("the log's time is %v, and it knows of %v", b.Now(), late)
		}
	})
}

// TestMoveNotPastAFastClock: a store puts no commit behind one that is too late for the
// clock of its writer, who gets ErrClock, and nothing is written.
func TestMoveNotPastAFastClock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memlog.NewStore()
		fast := eventlog.Options{Shards: 1, MaxSkew: time.Minute}
		eventlog.SetNow(&fast, func() time.Time { return time.Now().Add(10 * time.Second) })
		f := drivertest.NewFaulty(store.Open(), nil)
		slow := over(t, f.Mover(), &eventlog.Options{Shards: 1, MaxSkew: time.Second})
		patient := over(t, store.Open(), &eventlog.Options{Shards: 1, MaxSkew: time.Minute})
		add(t, slow, "s", "1")
		add(t, over(t, store.Open(), &fast), "others", "1")
		_, err := slow.Append(t.Context(), "s", nil, entry{"2"})
		is(t, err, eventlog.ErrClock)
		if f.Calls("Move") != 2 {
			t.Errorf("%d moves, expected 2", f.Calls("Move"))
		}
		want(t, slow, "s", "1")
		add(t, patient, "patient", "1") // its writer does not mind
	})
}

// TestStoreWentBack: a store that shows an older state under a running process is found
// out by the next append, whether or not it can move that.
func TestStoreWentBack(t *testing.T) {
	t.Parallel()
	for _, moves := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			store := memlog.NewStore()
			back := new(replaced)
			back.Mover = store.Open().(driver.Mover)
			f := drivertest.NewFaulty(back, nil)
			d := driver.Log(f)
			if moves {
				d = f.Mover()
			}
			l, err := eventlog.Open(t.Context(), d, &eventlog.Options{Shards: 2})
			is(t, err, nil)
			defer l.Close()
			add(t, l, "s", "1")
			calls := f.Calls("Move") + f.Calls("Write")
			back.Mover = memlog.NewStore().Open().(driver.Mover)
			_, err = l.Append(t.Context(), "s", nil, entry{"2"})
			is(t, err, eventlog.ErrCorrupt)
			if n := f.Calls("Move") + f.Calls("Write") - calls; n != 1 {
				t.Errorf("%d writes, expected 1", n)
			}
			if n := f.Calls("Move"); moves != (n > 0) {
				t.Errorf("%d moves", n)
			}
		})
	}
}

// A replaced store becomes another one under a running process.
type replaced struct{ driver.Mover }

// TestMoveOfWhatWasSeen: an Update that has seen an event which is not durable yet has
// seen its place, too. When the store moves it the function runs again.
func TestMoveOfWhatWasSeen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memlog.NewStore()
		a, _ := moving(t, store)
		b, f := moving(t, store)
		add(t, b, "s", "1")
		gate := holdMove(f)
		first := begin(func() error {
			_, err := b.Append(t.Context(), "s", nil, entry{"2"})
			return err
		})
		synctest.Wait()
		var saw []eventlog.Record
		second := begin(func() error {
			_, err := b.Update(t.Context(), func(tx *eventlog.Tx) error {
				for r, err := range tx.Read(eventlog.Query{Stream: "s", From: 2, Limit: 1}) {
					if err != nil {
						return err
					}
					saw = append(saw, r)
				}
				return tx.Append("seen", entry{"it"})
			})
			return err
		})
		third := begin(func() error { // it rests on nothing
			_, err := b.Append(t.Context(), "s", nil, entry{"3"})
			return err
		})
		synctest.Wait()
		shard := b.ShardOf("s")
		add(t, a, inShard(a, shard, "others"), "1")
		add(t, a, inShard(a, shard, "others"), "2")
		close(gate)
		is(t, <-first, nil)
		is(t, <-second, nil)
		is(t, <-third, nil)
		if n := len(saw); n < 2 || saw[0].Revision == saw[n-1].Revision || saw[0].Version != saw[n-1].Version {
			t.Errorf("the function saw %v", saw)
		}
		for r, err := range a.Read(t.Context(), eventlog.Query{Stream: "s", From: 2}) {
			if is(t, err, nil); r.Version == 2 && (r.Revision != saw[len(saw)-1].Revision || !r.Time.Equal(saw[len(saw)-1].Time)) {
				t.Errorf("it stands at %d, %v; what was seen in the end at %d, %v", r.Revision, r.Time, saw[len(saw)-1].Revision, saw[len(saw)-1].Time)
			}
		}
		want(t, a, "s", "1 2 3")
		want(t, a, "seen", "it")
	})
}

// TestMoveKeepsTimes: of a write that was moved in one shard, what somebody has seen of the
// other one keeps its time.
func TestMoveKeepsTimes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memlog.NewStore()
		a, _ := moving(t, store)
		b, f := moving(t, store)
		one, two := inShard(b, 0, "one"), inShard(b, 1, "two")
		add(t, b, one, "1")
		add(t, b, two, "1")
		add(t, a, inShard(a, 0, "others"), "1")
		time.Sleep(time.Second)
		gate := holdMove(f)
		both := begin(func() error {
			_, err := addBoth(t, b, one, two)
			return err
		})
		synctest.Wait()
		sees := begin(func() error {
			_, err := b.Update(t.Context(), func(tx *eventlog.Tx) error {
				_, err := diaries.Load(tx, two)
				return join(err, tx.Append("seen", entry{"it"}))
			})
			return err
		})
		synctest.Wait()
		close(gate)
		is(t, <-both, nil)
		is(t, <-sees, nil)
		var times [2]time.Time
		for i, l := range []*eventlog.Log{a, b} {
			for r, err := range l.Read(t.Context(), eventlog.Query{Stream: two, From: 2}) {
				is(t, err, nil)
				times[i] = r.Time
			}
		}
		if tail := eventlog.TailTime(b, 1); !times[0].Equal(times[1]) || tail.Before(times[0]) {
			t.Errorf("one process reads the time %v, the other %v, whose lane ends at %v", times[0], times[1], tail)
		}
	})
}

// TestMoveBesideABadRead: who asks for what cannot exist is answered, and those who share a
// write with it are, too.
func TestMoveBesideABadRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, f := moving(t, memlog.NewStore())
		gate := holdMove(f)
		var answers []<-chan error
		add := func(fn func(tx *eventlog.Tx) error) {
			answers = append(answers, begin(func() error {
				_, err := b.Update(t.Context(), fn)
				return err
			}))
			synctest.Wait()
		}
		add(func(tx *eventlog.Tx) error { return tx.Append("first", entry{"1"}) })
		for i, tag := range []string{"a\xff", "a\x00b", strings.Repeat("t", 2000), "good"} {
			add(func(tx *eventlog.Tx) error {
				for _, err := range tx.Read(eventlog.Query{Tag: tag, Shards: []int{0}}) {
					if err != nil {
						return err
					}
				}
				return tx.Append(fmt.Sprint("s", i), entry{"1"})
			})
		}
		close(gate)
		for i, answer := range answers {
			if err := <-answer; err != nil {
				t.Errorf("%d: %v", i, err)
			}
		}
	})
}

// TestMoveNotWithWhatWasSeen: when who has seen an event shares a write with it, the store
// must not move both: nobody runs again then.
func TestMoveNotWithWhatWasSeen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memlog.NewStore()
		a, _ := moving(t, store)
		b, f := moving(t, store)
		add(t, b, "s", "1")
		var gates []chan struct{}
		f.Inject(func(c drivertest.Call) drivertest.Fault {
			if c.Method != "Write" && c.Method != "Move" {
				return drivertest.Fault{}
			}
			gates = append(gates, make(chan struct{}))
			return drivertest.Fault{Before: gates[len(gates)-1]}
		})
		ahead := begin(func() error {
			_, err := b.Append(t.Context(), inShard(b, b.ShardOf("s"), "ahead"), nil, entry{"1"})
			return err
		})
		synctest.Wait()
		seen := begin(func() error {
			_, err := b.Append(t.Context(), "s", nil, entry{"2"})
			return err
		})
		synctest.Wait()
		var saw driver.Revision
		sees := begin(func() error {
			_, err := b.Update(t.Context(), func(tx *eventlog.Tx) error {
				for r, err := range tx.Read(eventlog.Query{Stream: "s", From: 2}) {
					if err != nil {
						return err
					}
					saw = r.Revision
				}
				return tx.Append("t", entry{"it"})
			})
			return err
		})
		synctest.Wait()
		close(gates[0])
		synctest.Wait() // both are under way
		add(t, a, inShard(a, b.ShardOf("s"), "others"), "1")
		for i := 1; i < len(gates); i++ {
			close(gates[i])
			synctest.Wait()
		}
		is(t, <-ahead, nil)
		is(t, <-seen, nil)
		is(t, <-sees, nil)
		for r, err := range a.Read(t.Context(), eventlog.Query{Stream: "s", From: 2}) {
			if is(t, err, nil); r.Revision != saw {
				t.Errorf("it stands at %d, and was seen at %d", r.Revision, saw)
			}
		}
	})
}

// TestMoveNot: what rests on a place, or on a cell, is written where it was made for.
func TestMoveNot(t *testing.T) {
	t.Parallel()
	store := memlog.NewStore()
	b, f := moving(t, store)
	for what, fn := range map[string]func(tx *eventlog.Tx) error{
		"everything of a shard": func(tx *eventlog.Tx) error {
			for _, err := range tx.Read(eventlog.Query{Shards: []int{0}}) {
				if err != nil {
					return err
				}
			}
			return tx.Append("s", entry{"1"})
		},
		"a table": func(tx *eventlog.Tx) error {
			return join(tx.Append("s", entry{"1"}), notes.Put(tx, "k", "v"))
		},
	} {
		asks := f.Calls("Move")
		if _, err := b.Update(t.Context(), fn); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if f.Calls("Move") != asks {
			t.Errorf("%s: the store was to move it", what)
		}
	}
}

// TestMoveUnsupported: a store that has the method and cannot do it is asked once.
func TestMoveUnsupported(t *testing.T) {
	t.Parallel()
	f := drivertest.NewFaulty(memlog.Open(), nil)
	l := over(t, f.Mover(), &eventlog.Options{Shards: 2})
	for i := range 3 {
		add(t, l, "s", fmt.Sprint(i+1))
	}
	want(t, l, "s", "1 2 3")
	if n := f.Calls("Write"); n != 4 {
		t.Errorf("%d writes, expected one for the manifest and 3", n)
	}
}
