package remotelog_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/pebblelog"
)

// A held store keeps the Writes whose data contains "hold" under way until it is told
// how they end.
type held struct {
	*pebblelog.Log
	reached chan struct{} // such a Write is under way
	end     chan error    // nil: it is written
}

func (h *held) Start(ctx context.Context, w driver.Write) (wait func() error) {
	if !slices.ContainsFunc(w.Batches, func(b driver.Batch) bool {
		return slices.ContainsFunc(b.Commits, func(c driver.Commit) bool { return bytes.Contains(c.Data, []byte("hold")) })
	}) {
		return h.Log.Start(ctx, w)
	}
	h.reached <- struct{}{}
	err := <-h.end
	if err != nil {
		return func() error { return err }
	}
	return h.Log.Start(ctx, w)
}

// neighbours are two logs of one store that a third process serves.
func neighbours(t *testing.T) (a, b *eventlog.Log, store *held) {
	t.Helper()
	d, err := pebblelog.Open(t.TempDir(), &pebblelog.Options{MemTableSize: 1 << 20, Reserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	store = &held{Log: d, reached: make(chan struct{}), end: make(chan error)}
	url := serve(t, store, nil)
	open := func() *eventlog.Log {
		l, err := eventlog.Open(t.Context(), dial(t, url, nil), &eventlog.Options{Shards: 1})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		return l
	}
	a, b = open(), open()
	for _, l := range []*eventlog.Log{a, b} {
		if _, err := l.Append(t.Context(), "warm/1", nil, happened("{}")); err != nil {
			t.Fatal(err)
		}
	}
	return a, b, store
}

func happened(data string) eventlog.Raw {
	return eventlog.Raw{Type: "test.happened", Data: []byte(data)}
}

// dataOf returns what a transaction sees of a stream.
func dataOf(tx *eventlog.Tx, stream string) (list []string, err error) {
	for r, err := range tx.Read(eventlog.Query{Stream: stream}) {
		if err != nil {
			return nil, err
		}
		list = append(list, string(r.Data))
	}
	return list, nil
}

// TestBehindWhatIsUnderWay: a process sees what another one is writing before it is
// durable, and writes behind it; nobody is answered before it is. When that fails, what
// was seen was nothing.
func TestBehindWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	for _, fails := range []error{nil, driver.ErrDiskFull} {
		t.Run(fmt.Sprint(fails), func(t *testing.T) {
			t.Parallel()
			a, b, store := neighbours(t)
			first := make(chan error, 1)
			go func() {
				_, err := a.Append(t.Context(), "s/1", nil, happened(`"hold"`))
				first <- err
			}()
			<-store.reached

			var over atomic.Bool
			saw := make(chan []string)
			second, read, looked := make(chan error, 1), make(chan error, 1), make(chan struct{}, 1)
			go func() {
				_, err := b.Update(t.Context(), func(tx *eventlog.Tx) error {
					list, err := dataOf(tx, "s/1")
					if err != nil {
						return err
					}
					if !over.Load() && len(list) > 0 {
						saw <- list
					}
					return tx.Append("s/1", happened(fmt.Sprintf(`%d`, len(list))))
				})
				if err == nil && !over.Load() {
					err = errors.New("it is said to be written")
				}
				second <- err
			}()
			if list := <-saw; !slices.Equal(list, []string{`"hold"`}) {
				t.Errorf("under way: %q", list)
			}
			go func() {
				var list []string
				_, err := b.Update(t.Context(), func(tx *eventlog.Tx) (err error) {
					if list, err = dataOf(tx, "s/1"); !over.Load() {
						looked <- struct{}{}
					}
					return err
				})
				if early := len(list) > 0; err == nil && early && !over.Load() {
					err = fmt.Errorf("answered with %q", list)
				}
				if err == nil && fails != nil && slices.Contains(list, `"hold"`) {
					err = fmt.Errorf("answered with %q, which failed", list)
				}
				read <- err
			}()

			<-looked

			over.Store(true)
			store.end <- fails
			if err := <-first; !errors.Is(err, fails) {
				t.Errorf("the first one: %v", err)
			}
			if err := <-second; err != nil {
				t.Errorf("behind it: %v", err)
			}
			if err := <-read; err != nil {
				t.Errorf("a reader: %v", err)
			}
			want := []string{`"hold"`, `1`}
			if fails != nil {
				want = []string{`0`}
			}
			for _, l := range []*eventlog.Log{a, b} {
				var got []string
				for r, err := range l.Read(t.Context(), eventlog.Query{Stream: "s/1"}) {
					if err != nil {
						t.Fatal(err)
					}
					got = append(got, string(r.Data))
				}
				if !slices.Equal(got, want) {
					t.Errorf("in the end: %q", got)
				}
			}
		})
	}
}
