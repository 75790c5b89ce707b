package saga_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/outbox"
	"github.com/rollforward/rollforward/saga"
)

// failedSteps returns how many attempts of steps the log says failed.
func failedSteps(t testing.TB, l *eventlog.Log) (n int) {
	t.Helper()
	for shard := range l.Shards() {
		for _, err := range l.Read(context.Background(), eventlog.Query{Stream: fmt.Sprintf("$outcomes/%d", shard), Types: []string{"$step.failed"}}) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
	}
	return n
}

// TestRemovedStepUnderWay: an instance whose command was sent before its step was
// removed, or before its Undo was, is parked and says why, also where programs of before
// have left the command lying; it goes on when somebody retries it with a program that
// has the step.
func TestRemovedStepUnderWay(t *testing.T) {
	t.Parallel()
	whole := func() *saga.Saga[count] { return round(adding("one"), hear("a"), adding("two")) }
	less := map[string]*saga.Saga[count]{"removed": round(hear("a"), adding("two")), "another kind": round(hear("one"), hear("a"), adding("two"))}
	moved := round2(adding2("two"))
	moved.Migrations = []saga.Migration[count2]{moves}
	moved.Migrations[0].Steps = nil
	for name, s := range less {
		for _, back := range []bool{false, true} {
			for _, old := range []bool{false, true} {
				t.Run(fmt.Sprint(name, " back ", back, " old ", old), func(t *testing.T) {
					t.Parallel()
					l := eventlogtest.New(t)
					start(t, l, whole(), "x", count{})
					if back {
						drain(t, l, whole().Handlers()...)
						send(t, l, saga.Cancel{Saga: "round", ID: "x"})
						drain(t, l, only(whole().Handlers(), "cancel")...)
					}
					if old {
						drain(t, l, only(s.Handlers(), "reply")...)
					}
					for range 2 {
						drain(t, l, s.Handlers()...)
						st := status(t, l, s, "x")
						if st.State != saga.Parked || !strings.Contains(st.Err.Error(), `no step "one"`) && !strings.Contains(st.Err.Error(), "nothing to undo") && name == "removed" {
							t.Errorf("%s: %v", st.State, st.Err)
						}
						leftovers(t, l)
						if name != "removed" || !back { // it would go on, as the definition says now
							break
						}
						send(t, l, saga.Retry{Saga: "round", ID: "x"})
					}
					drain(t, l, s.Handlers()...)
					send(t, l, saga.Retry{Saga: "round", ID: "x"}, say("a", "1", "x"))
					drain(t, l, whole().Handlers()...)
					want, state := "one a:x two", saga.Completed
					if back {
						want, state = "one un-one", saga.Cancelled
					}
					if st := status(t, l, whole(), "x"); st.State != state || strings.Join(st.Data.Log, " ") != want {
						t.Errorf("%s: %v %v", st.State, st.Data, st.Err)
					}
					if n := failedSteps(t, l); n != 0 {
						t.Errorf("%d attempts failed", n)
					}
				})
			}
		}
	}
	l := eventlogtest.New(t)
	start(t, l, whole(), "x", count{})
	drain(t, l, moved.Handlers()...)
	if st := status(t, l, moved, "x"); st.State != saga.Parked || st.Version != 2 || !strings.Contains(st.Err.Error(), `version 2 has no step "one" any more`) {
		t.Errorf("moved: %s: %v", st.State, st.Err)
	}
	leftovers(t, l)
}

// TestRollingDeploy: what today's version has begun is left alone by the program of
// before, which holds the shard: it is pending and says why, no attempt counts; and it
// is done at once, hop by hop, when today's program runs beside.
func TestRollingDeploy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memlog.NewStore()
		one := &eventlog.Options{Shards: 1}
		open := func() *eventlog.Log {
			l, err := eventlog.Open(t.Context(), store.Open(), one)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := l.Close(); err != nil {
					t.Error(err)
				}
			})
			return l
		}
		l := open()
		old := round(adding("one"), hear("a"))
		today := round2(adding2("one"), adding2("two"), saga.Step[count2]{Name: "a", Signal: saga.On("a", func(c *count2, w word) error {
			c.Words = append(c.Words, "a:"+w.Text)
			return nil
		})}, adding2("three"))
		today.Earlier = []saga.Definition{old}
		stopOld := run(t, open(), old.Handlers()...)
		time.Sleep(time.Second)
		stopOther := run(t, open(), old.Handlers()...) // which looks at the first one's shard
		time.Sleep(10 * time.Second)
		const n = 20
		for i := range n {
			start(t, l, today, fmt.Sprint(i), count2{})
			send(t, l, today.Begin(fmt.Sprint("begun", i), count2{}), outbox.Raw{Type: "$saga/round/later", Stream: "$saga-round/later", Data: []byte("{}")})
		}
		start(t, l, old, "old", count{})
		time.Sleep(time.Hour)
		parked := make(map[string]int)
		for i, err := range outbox.Pending(t.Context(), l) {
			if err != nil || i.Parked == "" || i.Attempts != 0 {
				t.Fatalf("%+v (%v)", i, err)
			}
			parked[i.Type+": "+i.Parked]++
		}
		want := map[string]int{"$saga/round/one/do: saga round version 2: the version is newer than this program": n,
			"$saga/round/begin: the version is newer than this program":               n,
			"$saga/round/later: saga round: this program does not know what later is": n}
		if fmt.Sprint(parked) != fmt.Sprint(want) {
			t.Errorf("parked: %v", parked)
		}
		stopToday := run(t, open(), today.Handlers()...)
		hear := func(id string) { send(t, l, saga.Signal{Saga: "round", ID: id, Name: "a", Data: word{id}}) }
		for i := range n {
			hear(fmt.Sprint(i))
			hear(fmt.Sprint("begun", i))
		}
		hear("old")
		const hops = 9
		time.Sleep((hops + 1) * 6 * time.Second)
		for i := range n {
			for _, id := range []string{fmt.Sprint(i), fmt.Sprint("begun", i)} {
				if st := status(t, l, today, id); st.State != saga.Completed || strings.Join(st.Data.Words, " ") != "one' two' a:"+id+" three'" {
					t.Errorf("%s: %s: %v %v", id, st.State, st.Data, st.Err)
				}
			}
		}
		if st := status(t, l, old, "old"); st.State != saga.Completed {
			t.Errorf("old: %s: %v", st.State, st.Err)
		}
		if n := failedSteps(t, l); n != 0 {
			t.Errorf("%d attempts failed", n)
		}
		stopOld()
		stopOther()
		stopToday()
	})
}
