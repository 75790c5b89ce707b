package eventlog_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/internal/sys"
)

// freshEvent is a system event that is read a moment after it was written.
func freshEvent(n int) sys.Event { return sys.Event{Type: "$t", Data: []byte(fmt.Sprint(n))} }

// TestRecent: what is read from memory is what is stored: from any version on, up to any,
// inside and outside of transactions, with other events in the same commits and between,
// when little and when much is kept; and what was written a moment ago costs no look-up.
func TestRecent(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		finds := 0
		driver := drivertest.NewFaulty(memlog.Open(), func(c drivertest.Call) drivertest.Fault {
			if c.Method == "Find" {
				finds++
			}
			return drivertest.Fault{}
		})
		l, err := eventlog.Open(context.Background(), driver, &eventlog.Options{Shards: 1})
		if err != nil {
			rt.Fatal(err)
		}
		defer l.Close()
		stored := map[string][]int{"$steps/0": nil, "$steps/x": nil}
		n := 0
		for range rapid.IntRange(1, 30).Draw(rt, "rounds") {
			for range rapid.SampledFrom([]int{1, 1, 3, 150}).Draw(rt, "commits") {
				several := rapid.IntRange(0, 3).Draw(rt, "events")
				_, err := l.Update(context.Background(), func(tx *eventlog.Tx) error {
					for range several {
						stream := rapid.SampledFrom([]string{"$steps/0", "$steps/x"}).Draw(rt, "stream")
						n++
						stored[stream] = append(stored[stream], n)
						if err := tx.Append(stream, freshEvent(n)); err != nil {
							return err
						}
					}
					return tx.Append("user", entry{"between"})
				})
				if err != nil {
					rt.Fatal(err)
				}
			}
			for stream, all := range stored {
				from := rapid.IntRange(0, len(all)+2).Draw(rt, "from")
				to := rapid.IntRange(0, len(all)+2).Draw(rt, "to")
				limit := rapid.SampledFrom([]int{0, 1, 40}).Draw(rt, "limit")
				q := eventlog.Query{Stream: stream, From: uint64(from), To: uint64(to), Limit: limit}
				want := all[min(max(from-1, 0), len(all)):]
				if to > 0 {
					want = want[:min(len(want), max(0, to-max(from-1, 0)))]
				}
				if limit > 0 {
					want = want[:min(len(want), limit)]
				}
				var got []int
				read := func(r eventlog.Record) {
					var v int
					fmt.Sscan(string(r.Data), &v)
					got = append(got, v)
					if r.Stream != stream || r.Version != uint64(max(from, 1)+len(got)-1) {
						rt.Fatalf("%s: %+v is at place %d from %d", stream, r, len(got), from)
					}
				}
				if rapid.Bool().Draw(rt, "inside") {
					_, err = l.Update(context.Background(), func(tx *eventlog.Tx) error {
						got = nil
						for r, err := range tx.Read(q) {
							if err != nil {
								return err
							}
							read(r)
						}
						return nil
					})
				} else {
					for r, e := range l.Read(context.Background(), q) {
						if err = e; err == nil {
							read(r)
						}
					}
				}
				if err != nil || !slices.Equal(got, want) {
					rt.Fatalf("%+v: %v, %v, want %v", q, got, err, want)
				}
				if len(all) == 0 {
					continue
				}
				before := finds
				for r, err := range l.Read(context.Background(), eventlog.Query{Stream: stream, From: uint64(len(all))}) {
					if err != nil || string(r.Data) != fmt.Sprint(all[len(all)-1]) {
						rt.Fatalf("the last one is %s, %v", r.Data, err)
					}
				}
				if all[len(all)-1] > n-100 && finds > before {
					rt.Fatal("what was written a moment ago is looked up")
				}
			}
		}
	})
}

// TestRecentShowsWhatIsDurable: nobody reads from memory what is under way.
func TestRecentShowsWhatIsDurable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		faults := drivertest.NewFaulty(memlog.Open(), nil)
		l := over(t, faults, nil)
		write := func(n int) error {
			_, err := l.Update(t.Context(), func(tx *eventlog.Tx) error { return tx.Append("$steps/0", freshEvent(n)) })
			return err
		}
		if err := write(1); err != nil {
			t.Fatal(err)
		}
		gate := make(chan struct{})
		faults.Inject(holdWrites(gate))
		answer := begin(func() error { return write(2) })
		synctest.Wait()
		if n := len(collect(t, l.Read(t.Context(), eventlog.Query{Stream: "$steps/0", From: 1}))); n != 1 {
			t.Errorf("%d events are read, want 1: the other is under way", n)
		}
		close(gate)
		if err := <-answer; err != nil {
			t.Error(err)
		}
		if n := len(collect(t, l.Read(t.Context(), eventlog.Query{Stream: "$steps/0", From: 1}))); n != 2 {
			t.Errorf("%d events are read, want 2", n)
		}
	})
}

// TestOnPlaced: it is called while the write is still under way, and who begins then sees
// what was written; without a place it is not called.
func TestOnPlaced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := newEarly(t, drivertest.Fault{})
		placed := 0
		first := begin(func() error {
			_, err := e.log.Update(t.Context(), func(tx *eventlog.Tx) error {
				tx.OnPlaced(func() { placed++ })
				return tx.Append("s", entry{"2"})
			})
			return err
		})
		synctest.Wait()
		if placed != 1 {
			t.Errorf("called %d times before the answer, want once", placed)
		}
		saw, second := e.write("3", ok)
		if !slices.Equal(*saw, []string{"1 2 "}) {
			t.Errorf("who came then saw %q", *saw)
		}
		close(e.gate)
		for _, answer := range []<-chan error{first, second} {
			if err := <-answer; err != nil {
				t.Error(err)
			}
		}
		_, err := e.log.Update(t.Context(), func(tx *eventlog.Tx) error {
			tx.OnPlaced(func() { placed++ })
			return join(tx.Append("s", entry{"4"}), errNo)
		})
		if is(t, err, errNo); placed != 1 {
			t.Error("it was called for what came to nothing")
		}
	})
}
