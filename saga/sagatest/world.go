package sagatest

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/outbox"
	"github.com/rollforward/rollforward/saga"
)

// A World is what a scenario runs in: a log, processes that roll its steps forward,
// and a clock. The scenario's own hands have no faults: what it does is done. It belongs
// to the goroutine of the scenario.
type World struct {
	testing.TB
	opts     Options
	store    *memlog.Store
	gate     *turnstile
	seed     uint64
	handlers []outbox.Handler
	trouble  *trouble

	log       *eventlog.Log // the scenario's own
	processes []*process
	halt      func()
	peace     atomic.Int64 // from when on there are no more faults
	rand      *rand.Rand
}

// EventLog returns the log as the scenario sees it, without faults.
func (w *World) EventLog() *eventlog.Log { return w.log }

func (w *World) open() {
	l, err := eventlog.Open(context.Background(), &gated{w.store.Open(), w.gate, "test"}, w.opts.Log)
	if err != nil {
		w.Fatal("sagatest: ", err)
	}
	w.log, w.rand = l, rand.New(rand.NewPCG(w.seed, 0))
	w.stir()
}

func (w *World) close() {
	w.stop()
	if err := w.log.Close(); err != nil {
		w.Error("sagatest: ", err)
	}
}

// uproar is how long faults go on after something was done; the rest is done in peace,
// so that it comes to an end.
const uproar = 3 * time.Second

func (w *World) stir() { w.peace.Store(time.Now().Add(uproar).UnixNano()) }

func (w *World) calm() bool { return time.Now().UnixNano() >= w.peace.Load() }

// Given appends events to a stream.
func (w *World) Given(stream string, events ...eventlog.Event) {
	w.Helper()
	if _, err := w.log.Append(context.Background(), stream, nil, events...); err != nil {
		w.Fatal("given: ", err)
	}
}

// When does something in a transaction. An error ends the test.
func (w *World) When(fn func(tx *eventlog.Tx) error) {
	w.Helper()
	if _, err := w.log.Update(context.Background(), fn); err != nil {
		w.Fatal("when: ", err)
	}
	w.stir()
}

// Send enqueues steps, such as a saga.Signal or a saga.Cancel.
func (w *World) Send(steps ...outbox.Step) {
	w.Helper()
	w.When(func(tx *eventlog.Tx) error {
		for _, s := range steps {
			if err := outbox.Enqueue(tx, s); err != nil {
				return err
			}
		}
		return nil
	})
}

// Settle waits until nothing is to be done: what is left waits for its time or for a
// signal.
func (w *World) Settle() {
	w.Helper()
	if w.opts.Jump > 0 && w.seed != 0 {
		w.skip(w.log.Now().Add(time.Duration(w.rand.Int64N(int64(w.opts.Jump)))))
	}
	for end := time.Now().Add(patience); ; {
		before := w.position()
		busy, _ := w.pending()
		switch over := w.trouble.over(w.log.Now()); {
		case busy == nil && over && w.position() == before: // else a step may have gone from shard to shard
			return
		case busy != nil && time.Now().After(end):
			w.Fatalf("sagatest: a step is not done after %v: %s for %s: %d attempts: %s", patience, busy.Type, busy.Target, busy.Attempts, busy.Err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

const patience = 20 * time.Minute

// position is how far the log reaches.
func (w *World) position() string {
	w.Helper()
	p, err := w.log.Position(context.Background())
	if err != nil {
		w.Fatal("sagatest: ", err)
	}
	return p.String()
}

// pending returns a step that is being done, or tried again, if there is one, and when
// the next one that waits is due.
func (w *World) pending() (busy *outbox.Info, next time.Time) {
	w.Helper()
	now := w.log.Now()
	for i, err := range outbox.Pending(context.Background(), w.log) {
		switch {
		case err != nil:
			w.Fatal("sagatest: ", err)
		case i.Parked != "":
		case i.Attempts == 0 && i.Due.After(now):
			if next.IsZero() || i.Due.Before(next) {
				next = i.Due
			}
		default:
			return &i, next
		}
	}
	return nil, next
}

// Sleep lets time go by: what becomes due meanwhile is done at its time. It does not
// cost what the time would cost.
func (w *World) Sleep(d time.Duration) {
	w.Helper()
	end := time.Now().Add(d)
	for {
		w.Settle()
		_, next := w.pending()
		if next.IsZero() || next.After(end) {
			break
		}
		w.skip(next)
	}
	w.skip(end)
}

// skip stops the processes until it is time.
func (w *World) skip(t time.Time) {
	if pause := t.Sub(w.log.Now()); pause > uproar {
		w.stop()
		time.Sleep(t.Sub(w.log.Now()))
		w.start()
	} else if pause > 0 {
		time.Sleep(pause)
	}
	w.stir()
}

// Then waits until nothing is to be done, and expects exactly these events in a stream.
func (w *World) Then(stream string, events ...eventlog.Event) {
	w.Helper()
	w.Settle()
	if diff := cmp.Diff(w.encode(stream, events), w.read(w.log, stream)); diff != "" {
		w.Errorf("then: %s (-want +got):\n%s", stream, diff)
	}
}

// Ended waits until nothing is to be done (see Settle, for what does not end, such as an
// instance that is parked), expects an instance of s to have ended so, and
// returns its status.
func Ended[S any](w *World, s *saga.Saga[S], id string, state saga.State) saga.Status[S] {
	w.Helper()
	w.Settle()
	st, err := s.Status(context.Background(), w.log, id)
	if err != nil {
		w.Fatal("then: ", err)
	}
	if st.State != state {
		w.Errorf("then: %s/%s is %s at step %q, want %s: %v", s.Name, id, st.State, st.Step, state, st.Err)
	}
	return st
}

type stored struct {
	Type, Data string
	Tags       []string
}

// encode writes events to a log of their own, to compare what is stored.
func (w *World) encode(stream string, events []eventlog.Event) []stored {
	w.Helper()
	l, err := eventlog.Open(context.Background(), memlog.Open(), w.opts.Log)
	if err != nil {
		w.Fatal("then: ", err)
	}
	defer l.Close()
	if _, err := l.Append(context.Background(), stream, nil, events...); err != nil {
		w.Fatal("then: ", err)
	}
	return w.read(l, stream)
}

func (w *World) read(l *eventlog.Log, stream string) (list []stored) {
	w.Helper()
	for r, err := range l.Read(context.Background(), eventlog.Query{Stream: stream}) {
		if err != nil {
			w.Fatal("then: ", err)
		}
		list = append(list, stored{r.Type, string(r.Data), r.Tags})
	}
	return list
}
