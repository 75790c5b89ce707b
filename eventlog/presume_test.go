package eventlog_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/drivertest"
)

// TestVersionErrorAtTheFirstAttempt: with one attempt, an append that expects a
// wrong version is still told which one the stream has.
func TestVersionErrorAtTheFirstAttempt(t *testing.T) {
	t.Parallel()
	eachDriver(t, &eventlog.Options{Attempts: 1}, func(t *testing.T, l *eventlog.Log) {
		add(t, l, "a/1", "one")
		_, err := l.Append(t.Context(), "a/1", &eventlog.AppendOptions{Expect: eventlog.Exactly(7)}, entry{"two"})
		var v *eventlog.VersionError
		if !errors.As(err, &v) || v.Want != 7 || v.Have != 1 {
			t.Errorf("%v, expected a *VersionError: 7 wanted, 1 there", err)
		}
	})
}

// TestOneLookUpForANewStream: that a stream is new costs one index look-up.
func TestOneLookUpForANewStream(t *testing.T) {
	t.Parallel()
	l, f := faulty(t, nil)
	for name, e := range map[string]eventlog.Expect{"blind/1": {}, "new/1": eventlog.NoStream} {
		before := f.Calls("Find")
		if _, err := l.Append(t.Context(), name, &eventlog.AppendOptions{Expect: e}, entry{"x"}); err != nil {
			t.Fatal(err)
		}
		if n := f.Calls("Find") - before; n > 1 {
			t.Errorf("%s: %d look-ups for a new stream, expected 1", name, n)
		}
	}
}

// TestRefusalBesideAFullDisk: who only reads is answered, also in the queue with
// writers of other shards that the disk has no room for.
func TestRefusalBesideAFullDisk(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, f := faulty(t, &eventlog.Options{Shards: 4})
		a, b := inShard(l, 0, "a"), inShard(l, 1, "b")
		add(t, l, a, "one")
		add(t, l, b, "one")
		gate, n := make(chan struct{}), 0
		f.Inject(func(c drivertest.Call) drivertest.Fault {
			if c.Method != "Write" {
				return drivertest.Fault{}
			}
			if n++; n == 1 { // holds the queue, so that the others share the next group
				return drivertest.Fault{Before: gate}
			}
			for _, x := range c.Write.Batches {
				if len(x.Commits) > 0 {
					return drivertest.Fault{Kind: drivertest.Fail, Err: driver.ErrDiskFull}
				}
			}
			return drivertest.Fault{}
		})
		first, refused, wrote := make(chan error, 1), make(chan error, 1), make(chan error, 1)
		try := func(answer chan error, stream string, e eventlog.Expect) {
			_, err := l.Append(context.Background(), stream, &eventlog.AppendOptions{Expect: e}, entry{"x"})
			answer <- err
		}
		go try(first, a, eventlog.Expect{})
		synctest.Wait()
		go try(refused, b, eventlog.Exactly(9))
		go try(wrote, a, eventlog.Expect{})
		synctest.Wait()
		close(gate)
		var v *eventlog.VersionError
		if err := <-refused; !errors.As(err, &v) {
			t.Errorf("%v, expected a *VersionError", err)
		}
		if err := <-wrote; !errors.Is(err, driver.ErrDiskFull) {
			t.Errorf("%v, expected ErrDiskFull", err)
		}
		is(t, <-first, nil)
	})
}

// TestPositionOfARepeatedAppend: an append that saw the first of its id early, and
// then saw it lost, returns where it stands itself.
func TestPositionOfARepeatedAppend(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, f := faulty(t, nil)
		add(t, l, "a{g}/0", "zero")
		gate, n := make(chan struct{}), 0
		f.Inject(func(c drivertest.Call) drivertest.Fault {
			if c.Method != "Write" {
				return drivertest.Fault{}
			}
			if n++; n == 1 {
				return drivertest.Fault{Kind: drivertest.Fail, Before: gate}
			}
			return drivertest.Fault{}
		})
		o := &eventlog.AppendOptions{ID: "id"}
		go func() { _, _ = l.Append(context.Background(), "a{g}/1", o, entry{"one"}) }()
		synctest.Wait()
		go func() { _, _ = l.Append(context.Background(), "a{g}/2", nil, entry{"other"}) }()
		synctest.Wait()
		var p eventlog.Position
		second := make(chan error, 1)
		go func() {
			var err error
			p, err = l.Append(context.Background(), "a{g}/1", o, entry{"one"})
			second <- err
		}()
		synctest.Wait()
		close(gate)
		is(t, <-second, nil)
		for r, err := range l.Read(t.Context(), eventlog.Query{Stream: "a{g}/1"}) {
			if err != nil {
				t.Fatal(err)
			}
			if r.Revision != p.Revision(r.Shard) {
				t.Errorf("the event is at revision %d, Append returned %d", r.Revision, p.Revision(r.Shard))
			}
		}
	})
}
