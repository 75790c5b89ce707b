package outbox_test

import (
	"context"
	"iter"
	"testing"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
)

// slow is a store far away: what it reads of cells is on its way for a while, and
// so is the answer to a write of cells.
type slow struct {
	driver.Log
	read, write time.Duration
}

func (s slow) Cells(ctx context.Context, from, to string, limit int) iter.Seq2[driver.Cell, error] {
	return func(yield func(driver.Cell, error) bool) {
		var cells []driver.Cell
		for c, err := range s.Log.Cells(ctx, from, to, limit) {
			if err != nil {
				yield(c, err)
				return
			}
			cells = append(cells, c)
		}
		time.Sleep(s.read)
		for _, c := range cells {
			if !yield(c, nil) {
				return
			}
		}
	}
}

func (s slow) Write(ctx context.Context, w driver.Write) error {
	err := s.Log.Write(ctx, w)
	if len(w.Batches) == 0 {
		time.Sleep(s.write)
	}
	return err
}

// over opens a log over a store.
func over(t testing.TB, d driver.Log, o *eventlog.Options) *eventlog.Log {
	t.Helper()
	l, err := eventlog.Open(context.Background(), d, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := eventlog.Check(context.Background(), l); err != nil {
			t.Errorf("the log is damaged: %v", err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}
