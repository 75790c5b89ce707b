package outbox_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/outbox"
)

// TestReadLetter: all that happened to a dead letter is told, in order, also
// when it is none any more.
func TestReadLetter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := eventlogtest.New(t)
		begin := l.Now()
		enqueue(t, l, Fail{"a/1"})
		broken := new(atomic.Bool)
		broken.Store(true)
		h := moody(broken, &outbox.Policy{Attempts: 2, Backoff: time.Minute})
		id := pending(t, l)[0].ID
		if _, err := outbox.ReadLetter(t.Context(), l, id); !errors.Is(err, outbox.ErrNoLetter) {
			t.Errorf("a step that was never tried: %v", err)
		}
		stop := start(t, calm(l, h))
		sleep(time.Second)
		if _, err := outbox.ReadLetter(t.Context(), l, id); !errors.Is(err, outbox.ErrNoLetter) {
			t.Errorf("a step that waits for its next attempt: %v", err)
		}
		sleep(time.Hour)
		failed := outbox.Entry{What: "failed", Attempt: 1, Err: "out of order"}
		died := outbox.Entry{What: "dead", Attempt: 2, Err: "out of order"}
		redriven := outbox.Entry{What: "redriven", By: "ann", Why: "mended", Data: []byte(`{"To":"a/2"}`)}
		want := []outbox.Entry{failed, died}
		expect := func(when string, dead bool, attempts int, data string) {
			t.Helper()
			got, err := outbox.ReadLetter(t.Context(), l, id)
			if err != nil {
				t.Fatal(err)
			}
			if got.ID != id || got.Target != "a/1" || got.Dead != dead || got.Attempts != attempts || string(got.Data) != data {
				t.Errorf("%s: %+v", when, got.Info)
			}
			for n := range got.History {
				e := &got.History[n]
				if e.Time.Before(begin) || n > 0 && e.Time.Before(got.History[n-1].Time) || (e.What == "failed") != e.Due.After(e.Time) {
					t.Errorf("%s: times of %+v", when, *e)
				}
				e.Time, e.Due = time.Time{}, time.Time{}
			}
			if diff := cmp.Diff(want, got.History); diff != "" {
				t.Errorf("%s (-want +got):\n%s", when, diff)
			}
		}
		expect("dead", true, 2, `{"To":"a/1"}`)
		stop()
		redrive(t, l, outbox.Filter{ID: id}, outbox.Decision{By: "ann", Why: "mended", Data: []byte(`{"To":"a/2"}`)}, 1)
		want = append(want, redriven)
		expect("redriven", false, 0, `{"To":"a/2"}`)
		stop = start(t, calm(l, h))
		sleep(time.Hour)
		want = append(want, failed, died)
		expect("dead again", true, 2, `{"To":"a/2"}`)
		broken.Store(false)
		redrive(t, l, outbox.Filter{ID: id}, outbox.Decision{By: "bob"}, 1)
		sleep(time.Hour)
		want = append(want, outbox.Entry{What: "redriven", By: "bob"}, outbox.Entry{What: "done"})
		expect("done", false, 0, `{"To":"a/2"}`)
		stop()

		broken.Store(true)
		enqueue(t, l, Fail{"a/1"})
		id = pending(t, l)[0].ID
		start(t, calm(l, h))
		sleep(time.Hour)
		if n, err := outbox.Discard(t.Context(), l, outbox.Filter{ID: id}, outbox.Decision{By: "ann", Why: "a test"}); n != 1 || err != nil {
			t.Errorf("%d discarded: %v", n, err)
		}
		want = []outbox.Entry{failed, died, {What: "discarded", By: "ann", Why: "a test"}}
		expect("discarded", false, 2, `{"To":"a/1"}`)
		for _, id := range []eventlog.ID{{}, {1}} {
			if _, err := outbox.ReadLetter(t.Context(), l, id); !errors.Is(err, outbox.ErrNoLetter) {
				t.Errorf("%s: %v", id, err)
			}
		}
	})
}

// TestReadLetterOfAStepThatRan: what never failed for good is no letter.
func TestReadLetterOfAStepThatRan(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	enqueue(t, l, Relay{Way: []string{"a/1", "a/1"}, N: 1})
	id := pending(t, l)[0].ID
	drain(t, runner(l, relaying))
	if _, err := outbox.ReadLetter(t.Context(), l, id); !errors.Is(err, outbox.ErrNoLetter) {
		t.Errorf("%v", err)
	}
}
