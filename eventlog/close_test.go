package eventlog_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/drivertest"
)

// TestCloseWaits: writes under way get their answers, what comes later gets
// ErrClosed.
func TestCloseWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, f := faulty(t, nil)
		gate := make(chan struct{})
		f.Inject(holdWrites(gate))
		write := func(text string) <-chan error {
			answer := begin(func() error { _, err := l.Append(t.Context(), "s", nil, entry{text}); return err })
			synctest.Wait()
			return answer
		}
		a, b := write("in flight"), write("in queue")
		closing := begin(l.Close)
		synctest.Wait()
		late := write("late")
		unanswered(t, "a write in flight", a)
		unanswered(t, "a queued write", b)
		unanswered(t, "Close", closing)
		is(t, <-late, eventlog.ErrClosed)
		close(gate)
		is(t, <-a, nil)
		is(t, <-b, nil)
		is(t, <-closing, nil)
	})
}

// TestCloseGivesUp: a store that never answers holds Close up for a while only;
// the callers learn that nobody knows.
func TestCloseGivesUp(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]drivertest.Fault{
		"the write is held": {}, "it fails for ever": {Kind: drivertest.Drop},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l, f := faulty(t, nil)
				never := make(chan struct{})
				f.Inject(func(c drivertest.Call) drivertest.Fault {
					if c.Method == "Write" {
						if fault.Kind == drivertest.None {
							return drivertest.Fault{Before: never}
						}
						return fault
					}
					return drivertest.Fault{}
				})
				answer := begin(func() error { _, err := l.Append(t.Context(), "s", nil, entry{"x"}); return err })
				synctest.Wait()
				begun := time.Now()
				is(t, l.Close(), nil)
				is(t, <-answer, eventlog.ErrUnknown)
				if d := time.Since(begun); d > time.Minute {
					t.Errorf("Close took %s", d)
				}
			})
		})
	}
}

// TestClosed: every call after Close says so.
func TestClosed(t *testing.T) {
	t.Parallel()
	l := fresh(t)
	p := add(t, l, "s", "1")
	is(t, l.Close(), nil)
	ctx := t.Context()
	for name, call := range map[string]func() error{
		"Append": func() error { _, err := l.Append(ctx, "s", nil, entry{"2"}); return err },
		"Update": func() error {
			_, err := l.Update(ctx, func(tx *eventlog.Tx) error { return tx.Append("s", entry{"2"}) })
			return err
		},
		"Load": func() error {
			_, err := l.Update(ctx, func(tx *eventlog.Tx) error { _, err := diaries.Load(tx, "s"); return err })
			return err
		},
		"View": func() error {
			return l.View(ctx, func(tx *eventlog.Tx) error { _, err := diaries.Load(tx, "s"); return err })
		},
		"Get": func() error {
			return l.View(ctx, func(tx *eventlog.Tx) error { _, _, err := notes.Get(tx, "k"); return err })
		},
		"At":       func() error { _, err := diaries.At(ctx, l, eventlog.Query{Stream: "s"}); return err },
		"Position": func() error { _, err := l.Position(ctx); return err },
		"WaitFor":  func() error { return l.WaitFor(ctx, p) },
		"Check":    func() error { return eventlog.Check(ctx, l) },
		"ReadCell": func() error { _, _, err := l.ReadCell(ctx, "c"); return err },
		"SwapCell": func() error { _, err := l.SwapCell(ctx, "c", 0, []byte("x")); return err },
		"Read":     func() error { return last(l.Read(ctx, eventlog.Query{})) },
		"Follow":   func() error { return last(l.Read(ctx, eventlog.Query{Follow: true})) },
		"Streams":  func() error { return last(l.Streams(ctx, "")) },
	} {
		if err := call(); !errors.Is(err, eventlog.ErrClosed) {
			t.Errorf("%s after Close: %v, expected ErrClosed", name, err)
		}
	}
	is(t, l.Close(), nil)
}
