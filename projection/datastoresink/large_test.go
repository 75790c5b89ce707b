package datastoresink_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"cloud.google.com/go/datastore"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/emulator"
	"github.com/rollforward/rollforward/projection"
	"github.com/rollforward/rollforward/projection/datastoresink"
)

// A Page is a large row.
type Page struct {
	Text []byte `datastore:",noindex"`
}

// pages writes rows of the size that an event says.
func pages(size func(Posted) int) datastoresink.Projection {
	return datastoresink.Projection{Name: "pages", Version: 1, Reset: datastoresink.Empty,
		Handlers: datastoresink.Handlers{projection.On(func(tx *datastoresink.Tx, r eventlog.Record, e Posted) error {
			if err := add(tx, fmt.Sprint(r.Stream, " ", r.Version), 1); err != nil {
				return err
			}
			return tx.Put(datastore.NameKey("Page", fmt.Sprint(r.Stream, " ", r.Version), nil), &Page{make([]byte, size(e))})
		})},
	}
}

// TestBatchTooLarge: a batch that writes more than a transaction takes is applied in
// parts: 40 events, 9.4 MiB.
func TestBatchTooLarge(t *testing.T) {
	each(t, func(t *testing.T, l leg) {
		log, _, each := newLog(t, 1, 40)
		c := l.client(t, emulator.Project(), nil)
		s := newSink(t, c, nil)
		r := &datastoresink.Runner{Log: log, Sink: s, Attempts: 1, Projections: []datastoresink.Projection{pages(func(Posted) int { return 240 << 10 })}}
		if err := r.CatchUp(soon(t)); err != nil {
			t.Fatal(err)
		}
		wantItems(t, c, s, "pages", each)
	})
}

// TestCommitTooLarge: a commit whose rows no transaction takes stops the projection, and
// what is before it has taken effect.
func TestCommitTooLarge(t *testing.T) {
	each(t, func(t *testing.T, l leg) {
		log, _, each := newLog(t, 1, 10)
		var large []eventlog.Event
		for range 6 {
			large = append(large, Posted{-1})
		}
		if _, err := log.Append(t.Context(), "large", nil, large...); err != nil {
			t.Fatal(err)
		}
		c := l.client(t, emulator.Project(), nil)
		s := newSink(t, c, nil)
		r := &datastoresink.Runner{Log: log, Sink: s, Backoff: time.Millisecond, Projections: []datastoresink.Projection{pages(func(e Posted) int {
			if e.Amount < 0 {
				return 700 << 10
			}
			return 1
		})}}
		err := r.CatchUp(soon(t))
		var refused *projection.EventError
		if !errors.As(err, &refused) || !errors.Is(err, datastoresink.ErrTooLarge) || refused.Record.Stream != "large" || refused.Record.Version != 6 {
			t.Errorf("error %v", err)
		}
		wantItems(t, c, s, "pages", each)
		r.Sink = newSink(t, c, &datastoresink.Options{TxBytes: 9 << 20})
		if !l.small {
			if err := r.CatchUp(soon(t)); err != nil {
				t.Errorf("with more room: %v", err)
			}
		}
	})
}
