package drivertest

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/rollforward/rollforward/eventlog/driver"
)

func TestCut(t *testing.T) {
	t.Parallel()
	f, log := faulty(t, nil)
	iterable(t, log)
	for _, c := range []struct{ n, items int }{{0, 0}, {1, 1}, {7, 7}, {iterated, iterated}, {iterated + 5, iterated}} {
		f.Inject(func(Call) Fault { return Fault{Kind: Fail, N: c.n} })
		for _, it := range iterations(t.Context(), f) {
			if n, err := ended(t, it, nil); n != c.items || !errors.Is(err, ErrInjected) {
				t.Errorf("%s, cut at %d: %d items, then %v", it.name, c.n, n, err)
			}
		}
	}
	for i := range iterations(t.Context(), f) { // a real error comes first
		ctx, cancel := context.WithCancel(t.Context())
		it := iterations(ctx, f)[i]
		if n, err := ended(t, it, func(int) { cancel() }); n != 1 || !errors.Is(err, context.Canceled) {
			t.Errorf("%s, cancelled at its first item: %d items, then %v", it.name, n, err)
		}
		cancel()
	}
	for _, it := range iterations(t.Context(), f) { // dropped before it fails
		for _, err := range it.seq {
			if err != nil {
				t.Errorf("%s: %v", it.name, err)
			}
			break
		}
	}
	f.Inject(nil)
	equal(t, "commits without faults", len(look(t, f, 0).Rows[0]), iterated+1)
}

// hear collects what a Watch yields while the test writes one commit after the
// other, then ends it.
func hear(t *testing.T, f *Faulty, log driver.Log) (heads []driver.Head, err error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for h, e := range f.Watch(ctx) {
			if err = e; e == nil {
				heads = append(heads, h)
			}
		}
	}()
	for rev := driver.Revision(1); rev <= 3; rev++ {
		synctest.Wait()
		write(t, log, batch(0, rev, text(rev)))
	}
	synctest.Wait()
	cancel()
	<-done
	return heads, err
}

func TestWatchFaults(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		fault Fault
		revs  []driver.Revision
		err   error
	}{
		{"none", Fault{}, []driver.Revision{1, 2, 3}, context.Canceled},
		{"hide", Fault{Kind: Hide}, nil, context.Canceled},
		{"ahead", Fault{Kind: Ahead}, []driver.Revision{1, 2, 2, 3, 3, 4}, context.Canceled},
		{"far ahead", Fault{Kind: Ahead, N: 10}, []driver.Revision{1, 11, 2, 12, 3, 13}, context.Canceled},
		{"fail", Fault{Kind: Fail}, nil, ErrInjected},
		{"fail in the middle", Fault{Kind: Fail, N: 2}, []driver.Revision{1, 2}, ErrInjected},
		{"held back", Fault{Before: make(chan struct{})}, nil, context.Canceled},
		{"what does not suit", Fault{Kind: Drop}, []driver.Revision{1, 2, 3}, context.Canceled},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				fault := c.fault
				if fault.Before != nil {
					fault.Before = make(chan struct{}) // of this bubble
				}
				f, log := faulty(t, Nth("Watch", 1, fault))
				heads, err := hear(t, f, log)
				var revs []driver.Revision
				for _, h := range heads {
					revs = append(revs, h.Revision)
				}
				equal(t, "heads", revs, c.revs)
				if !errors.Is(err, c.err) {
					t.Errorf("ended with %v, expected %v", err, c.err)
				}
			})
		})
	}
}
