package eventlog_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog"
)

// TestTxIsOver: a Tx that outlives its function does nothing any more.
func TestTxIsOver(t *testing.T) {
	t.Parallel()
	l := fresh(t)
	var tx *eventlog.Tx
	update(t, l, func(inside *eventlog.Tx) error { tx = inside; return tx.Append("s", entry{"1"}) })
	uses := map[string]func() error{
		"Append": func() error { return tx.Append("s", entry{"2"}) },
		"Once":   func() error { _, err := tx.Once("s", "id"); return err },
		"Load":   func() error { _, err := diaries.Load(tx, "s"); return err },
		"Get":    func() error { _, _, err := notes.Get(tx, "k"); return err },
		"Put":    func() error { return notes.Put(tx, "k", "v") },
		"Delete": func() error { return notes.Delete(tx, "k") },
		"Read": func() error {
			for _, err := range tx.Read(eventlog.Query{Stream: "s"}) {
				return err
			}
			return nil
		},
		"All": func() error {
			for _, err := range notes.All(tx, "") {
				return err
			}
			return nil
		},
	}
	for name, use := range uses {
		if err := use(); err == nil || !strings.Contains(err.Error(), "the transaction is over") {
			t.Errorf("%s after the function: %v", name, err)
		}
	}
	is(t, l.View(t.Context(), func(inside *eventlog.Tx) error { tx = inside; return nil }), nil)
	for name, use := range uses {
		if err := use(); err == nil {
			t.Errorf("%s after a View's function works", name)
		}
	}
	want(t, l, "s", "1")
}

// TestTxErrorsLeaveTheRest: an Append that is refused leaves the transaction as
// it was, and the function may go on.
func TestTxErrorsLeaveTheRest(t *testing.T) {
	t.Parallel()
	l := fresh(t)
	update(t, l, func(tx *eventlog.Tx) error {
		err := tx.Append("s", entry{"1"})
		is(t, tx.Append("s", entry{"no"}, eventlog.Tagged(entry{"no"}, "$reserved")), eventlog.ErrName)
		if err := tx.Append("s", entry{"no"}, nil, entry{"no"}); err == nil {
			t.Error("a nil event was taken")
		}
		is(t, tx.Append("$s", entry{"no"}), eventlog.ErrName)
		is(t, notes.Put(tx, "", "no"), eventlog.ErrName)
		return join(err, tx.Append("s", entry{"2"}))
	})
	want(t, l, "s", "1 2")
}

// TestTxFields: what a Tx says about itself is what is stored.
func TestTxFields(t *testing.T) {
	t.Parallel()
	l := fresh(t)
	chain := eventlog.ID{1}
	var id eventlog.ID
	var at time.Time
	ctx := context.WithValue(t.Context(), entry{}, "value")
	_, err := l.Update(ctx, func(tx *eventlog.Tx) error {
		if tx.Context().Value(entry{}) != "value" || tx.Log() != l {
			t.Error("another context or log")
		}
		if shard, ok := tx.Shard(); ok {
			t.Errorf("at home in shard %d before it did anything", shard)
		}
		_, err := diaries.Load(tx, inShard(l, 5, "r"))
		if shard, ok := tx.Shard(); shard != 5 || !ok {
			t.Errorf("at home in shard %d, %t, expected that of its first read, 5", shard, ok)
		}
		id, at = tx.ID(), tx.Time()
		tx.Meta().Correlation, tx.Meta().Causation, tx.Meta().Actor, tx.Meta().Traceparent = chain, eventlog.ID{2}, "ada", "00-1-2-01"
		err = join(err, tx.Append(inShard(l, 6, "s"), entry{"1"}), tx.Append(inShard(l, 7, "s"), entry{"2"}))
		if shard, ok := tx.Shard(); shard != 6 || !ok {
			t.Errorf("at home in shard %d, %t, expected that of its first append, 6", shard, ok)
		}
		return err
	})
	is(t, err, nil)
	list := collect(t, l.Read(t.Context(), eventlog.Query{Correlation: chain}))
	if len(list) != 2 {
		t.Fatalf("%d records, expected 2", len(list))
	}
	for i, r := range list {
		if r.Commit() != id || r.Index != i || r.Time.Before(at) || !r.Time.Equal(list[0].Time) || !r.Last() {
			t.Errorf("record %+v of a transaction %v that began at %s", r, id, at)
		}
		if r.Meta.Correlation != chain || r.Meta.Causation != (eventlog.ID{2}) || r.Meta.Actor != "ada" || r.Meta.Traceparent != "00-1-2-01" {
			t.Errorf("metadata %+v", r.Meta)
		}
	}
}

// TestContextEnds: before the function, in the queue, and in flight.
func TestContextEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, f := faulty(t, nil)
		gate := make(chan struct{})
		f.Inject(holdWrites(gate))
		cause := errors.New("cause")
		ctx, cancel := context.WithCancelCause(t.Context())
		write := func(ctx context.Context, text string) <-chan error {
			answer := begin(func() error { _, err := l.Append(ctx, "s", nil, entry{text}); return err })
			synctest.Wait()
			return answer
		}
		look := func(end error) <-chan error {
			answer := begin(func() error {
				_, err := l.Update(ctx, func(tx *eventlog.Tx) error { _, err := diaries.Load(tx, "s"); return join(err, end) })
				return err
			})
			synctest.Wait()
			return answer
		}
		inFlight, inQueue := write(ctx, "in flight"), write(ctx, "in queue")
		reading, refused, patient := look(nil), look(errNo), write(t.Context(), "patient")
		cancel(cause)
		for _, a := range []<-chan error{inFlight, inQueue} {
			err := <-a
			is(t, err, eventlog.ErrUnknown)
			is(t, err, cause)
		}
		for _, a := range []<-chan error{reading, refused, write(ctx, "too late")} { // these leave nothing for certain
			err := <-a
			is(t, err, context.Canceled)
			if errors.Is(err, eventlog.ErrUnknown) {
				t.Errorf("%v wraps ErrUnknown", err)
			}
		}
		unanswered(t, "who waits", patient)
		close(gate)
		is(t, <-patient, nil)
		want(t, l, "s", "in flight in queue patient")
	})
}
