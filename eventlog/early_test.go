package eventlog_test

import (
	"testing"
	"testing/synctest"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/memlog"
)

// early is a log with a write in flight, and Updates that saw it and queue up
// behind it.
type early struct {
	t      *testing.T
	log    *eventlog.Log
	faults *drivertest.Faulty
	store  *memlog.Store
	gate   chan struct{}
}

func newEarly(t *testing.T, in drivertest.Fault) *early {
	e := &early{t: t, store: memlog.NewStore(), gate: make(chan struct{})}
	e.faults = drivertest.NewFaulty(e.store.Open(), nil)
	e.log = over(t, e.faults, nil)
	add(t, e.log, "s", "1")
	first := true
	e.faults.Inject(func(c drivertest.Call) drivertest.Fault {
		if c.Method != "Write" || !first {
			return drivertest.Fault{}
		}
		first = false
		in.Before = e.gate
		return in
	})
	return e
}

// write appends in an Update that loads the stream first, and returns what each
// run saw.
func (e *early) write(text string, end func() error) (saw *[]string, answer <-chan error) {
	saw = new([]string)
	answer = begin(func() error {
		_, err := e.log.Update(e.t.Context(), func(tx *eventlog.Tx) error {
			d, err := diaries.Load(tx, "s")
			if err != nil {
				return err
			}
			*saw = append(*saw, d.Text)
			return join(tx.Append("s", entry{text}), end())
		})
		return err
	})
	synctest.Wait()
	return saw, answer
}

func ok() error { return nil }

// TestEarlySight: Updates of one stream see each other before they are durable,
// run once each, and share a write.
func TestEarlySight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := newEarly(t, drivertest.Fault{})
		a, answerA := e.write("2", ok)
		b, answerB := e.write("3", ok)
		c, answerC := e.write("4", func() error { return errNo })
		d, answerD := e.write("5", ok)
		for _, x := range []<-chan error{answerA, answerB, answerC, answerD} {
			unanswered(t, "an Update", x)
		}
		writes := e.faults.Calls("Write")
		close(e.gate)
		is(t, <-answerA, nil)
		is(t, <-answerB, nil)
		is(t, <-answerC, errNo)
		is(t, <-answerD, nil)
		for i, saw := range []*[]string{a, b, c, d} {
			if want := []string{"1 ", "1 2 ", "1 2 3 ", "1 2 3 "}[i]; len(*saw) != 1 || (*saw)[0] != want {
				t.Errorf("Update %d saw %q, expected %q once", i, *saw, want)
			}
		}
		if n := e.faults.Calls("Write") - writes; n != 1 {
			t.Errorf("%d writes for all that queued up, expected 1", n)
		}
		want(t, e.log, "s", "1 2 3 5")
	})
}

// TestEarlySightOfALostWrite: when the write ahead fails, all that built on it
// runs again without it: what is appended, refused and panicked.
func TestEarlySightOfALostWrite(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		failure := driver.ErrDiskFull
		e := newEarly(t, drivertest.Fault{Kind: drivertest.Fail, Err: failure})
		a, answerA := e.write("2", ok)
		b, answerB := e.write("3", ok)
		c, answerC := e.write("4", func() error { return errNo })
		d, answerD := e.write("5", func() error { panic("!") })
		close(e.gate)
		is(t, <-answerA, failure)
		is(t, <-answerB, nil)
		is(t, <-answerC, errNo)
		is(t, <-answerD, errPanicked)
		if len(*a) != 1 {
			t.Errorf("the Update whose write failed ran %d times", len(*a))
		}
		for i, saw := range []*[]string{b, c, d} {
			for _, s := range (*saw)[1:] {
				if s != "1 " && s != "1 3 " {
					t.Errorf("Update %d saw %q in the end", i, s)
				}
			}
			if len(*saw) < 2 {
				t.Errorf("Update %d ran %d times, expected again", i, len(*saw))
			}
		}
		want(t, e.log, "s", "1 3")
	})
}

// TestEarlySightOfALostRace: another process takes the place of the write in
// flight; what does not depend on it goes on, what does runs again.
func TestEarlySightOfALostRace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := newEarly(t, drivertest.Fault{})
		blind := begin(func() error {
			_, err := e.log.Append(t.Context(), "s", nil, entry{"blind"})
			return err
		})
		synctest.Wait()
		saw, answer := e.write("3", ok)
		other, err := eventlog.Open(t.Context(), e.store.Open(), nil)
		is(t, err, nil)
		add(t, other, "s", "theirs")
		is(t, other.Close(), nil)
		close(e.gate)
		is(t, <-blind, nil)
		is(t, <-answer, nil)
		if len(*saw) != 2 || (*saw)[0] != "1 blind " || (*saw)[1] != "1 theirs blind " {
			t.Errorf("the Update saw %q, expected a run before and one after the race", *saw)
		}
		want(t, e.log, "s", "1 theirs blind 3")
	})
}

// TestEarlySightOfALostAnswer: nobody builds twice on a write whose answer is
// lost, however it arrives.
func TestEarlySightOfALostAnswer(t *testing.T) {
	t.Parallel()
	for _, kind := range []drivertest.Kind{drivertest.Lose, drivertest.Drop, drivertest.Late} {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				e := newEarly(t, drivertest.Fault{Kind: kind, N: 2})
				_, a := e.write("2", ok)
				saw, b := e.write("3", ok)
				close(e.gate)
				is(t, <-a, nil)
				is(t, <-b, nil)
				if (*saw)[len(*saw)-1] != "1 2 " {
					t.Errorf("the Update saw %q", *saw)
				}
				want(t, e.log, "s", "1 2 3")
			})
		})
	}
}
