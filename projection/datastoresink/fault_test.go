package datastoresink_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"cloud.google.com/go/datastore"
	pb "cloud.google.com/go/datastore/apiv1/datastorepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/internal/dsfake"
	"github.com/rollforward/rollforward/projection"
	"github.com/rollforward/rollforward/projection/datastoresink"
)

var modes = []dsfake.Mode{dsfake.Optimistic, dsfake.Pessimistic}

// inModes runs a test on the fake in both modes.
func inModes(t *testing.T, f func(t *testing.T, p place, s *datastoresink.Sink)) {
	t.Parallel()
	for _, m := range modes {
		t.Run(m.String(), func(t *testing.T) {
			t.Parallel()
			p := fake(t, m)
			f(t, p, datastoresink.New(p.client(t), nil))
		})
	}
}

func reset(t *testing.T, s *datastoresink.Sink, held, version, shards int, fn func(tx *datastoresink.Tx) error) {
	t.Helper()
	if err := s.Reset(t.Context(), projection.Reset{Name: "p", Held: held, Version: version, Shards: shards}, fn); err != nil {
		t.Fatal(err)
	}
}

func nothing(*datastoresink.Tx) error { return nil }

// batch moves shard 0.
func batch(from, to driver.Revision) projection.Batch {
	return projection.Batch{Name: "p", Version: 1, Moves: []projection.Move{
		{From: projection.Checkpoint{Revision: from}, To: projection.Checkpoint{Revision: to}}}}
}

// nth makes a fault that strikes once, at the n-th call of a method.
func nth(method string, n int64, err error) func(context.Context, dsfake.Call) error {
	var calls atomic.Int64
	return func(_ context.Context, c dsfake.Call) error {
		if c.Method == method && calls.Add(1) == n {
			return err
		}
		return nil
	}
}

// Whatever the code under which the answer of a commit is lost: it took effect, once,
// and Apply says so.
func TestALostAnswerOfApplyIsASuccess(t *testing.T) {
	inModes(t, func(t *testing.T, p place, s *datastoresink.Sink) {
		reset(t, s, 0, 1, 1, nothing)
		for i, code := range []codes.Code{codes.Unavailable, codes.DeadlineExceeded, codes.Unknown, codes.Internal, codes.Canceled, codes.Aborted} {
			from := driver.Revision(i)
			p.fake.SetFaults(dsfake.Faults{After: nth("Commit", 1, status.Error(code, "lost"))})
			err := s.Apply(t.Context(), batch(from, from+1), func(tx *datastoresink.Tx) error { return add(tx, "a", 1) })
			p.fake.SetFaults(dsfake.Faults{})
			// where the service says that it was a conflict it is believed, tried again, and found moved
			if err != nil && (code != codes.Aborted || !errors.Is(err, projection.ErrMoved)) {
				t.Errorf("%v: %v", code, err)
			}
			if rows, err := items(t.Context(), s.Client()); err != nil || rows["a"] != i+1 {
				t.Errorf("%v: rows %v, want %d: %v", code, rows, i+1, err)
			}
		}
	})
}

func TestALostAnswerOfResetIsASuccess(t *testing.T) {
	inModes(t, func(t *testing.T, p place, s *datastoresink.Sink) {
		p.fake.SetFaults(dsfake.Faults{After: nth("Commit", 1, status.Error(codes.Unknown, "lost"))})
		reset(t, s, 0, 1, 2, func(tx *datastoresink.Tx) error { return add(tx, "a", 1) })
		if state, err := s.State(t.Context(), "p"); err != nil || state.Version != 1 || len(state.Checkpoints) != 2 {
			t.Errorf("state %+v, %v", state, err)
		}
	})
}

// An error at any call of Apply leaves everything as it was, or is of the store and the
// batch can be applied from where the state says.
func TestEveryCallMayFail(t *testing.T) {
	inModes(t, func(t *testing.T, p place, s *datastoresink.Sink) {
		reset(t, s, 0, 1, 1, nothing)
		applied := 0
		for _, after := range []bool{false, true} {
			for _, method := range []string{"BeginTransaction", "Lookup", "Commit"} {
				for n := int64(1); n <= 2; n++ {
					f := nth(method, n, status.Error(codes.PermissionDenied, "injected"))
					if after {
						p.fake.SetFaults(dsfake.Faults{After: f})
					} else {
						p.fake.SetFaults(dsfake.Faults{Before: f})
					}
					from := driver.Revision(applied)
					err := s.Apply(t.Context(), batch(from, from+1), func(tx *datastoresink.Tx) error { return add(tx, "a", 1) })
					p.fake.SetFaults(dsfake.Faults{})
					state, e := s.State(t.Context(), "p")
					if e != nil {
						t.Fatal(e)
					}
					if err == nil != (state.Checkpoints[0].Revision == from+1) {
						t.Errorf("%s %d (after %v): %v, and the checkpoint is at %d", method, n, after, err, state.Checkpoints[0].Revision)
					}
					applied = int(state.Checkpoints[0].Revision)
				}
			}
		}
		if rows, err := items(t.Context(), s.Client()); err != nil || rows["a"] != applied || applied == 0 {
			t.Errorf("rows %v after %d batches: %v", rows, applied, err)
		}
	})
}

// Another one's write to a row that a handler has read is not lost.
func TestARowThatOthersWriteToo(t *testing.T) {
	onLegs(t, func(t *testing.T, p place) {
		s, other := datastoresink.New(p.client(t), nil), p.client(t)
		reset(t, s, 0, 1, 1, nothing)
		const times = 5
		var theirs sync.WaitGroup
		theirs.Go(func() {
			for range times {
				_, err := other.RunInTransaction(t.Context(), func(tx *datastore.Transaction) error {
					key, i := datastore.NameKey("Item", "a", nil), Item{}
					if err := tx.Get(key, &i); err != nil && err != datastore.ErrNoSuchEntity {
						return err
					}
					i.N++
					_, err := tx.Put(key, &i)
					return err
				}, datastore.MaxAttempts(100))
				if err != nil {
					t.Error(err)
				}
			}
		})
		for r := range driver.Revision(times) {
			if err := s.Apply(t.Context(), batch(r, r+1), func(tx *datastoresink.Tx) error { return add(tx, "a", 1) }); err != nil {
				t.Error(err)
			}
		}
		theirs.Wait()
		if rows, err := items(t.Context(), s.Client()); err != nil || rows["a"] != 2*times {
			t.Errorf("rows %v, want %d: %v", rows, 2*times, err)
		}
	})
}

// Sinks of several processes: no turns help there, the transaction alone decides.
func TestSinksOfSeveralProcesses(t *testing.T) {
	onLegs(t, func(t *testing.T, p place) {
		const processes, rounds = 3, 4
		var sinks []*datastoresink.Sink
		for range processes {
			sinks = append(sinks, datastoresink.New(p.client(t), nil))
		}
		reset(t, sinks[0], 0, 1, 1, nothing)
		for r := range driver.Revision(rounds) {
			var won atomic.Int32
			var all sync.WaitGroup
			for _, s := range sinks {
				all.Go(func() {
					switch err := s.Apply(t.Context(), batch(r, r+1), func(tx *datastoresink.Tx) error { return add(tx, "a", 1) }); {
					case err == nil:
						won.Add(1)
					case !errors.Is(err, projection.ErrMoved):
						t.Error(err)
					}
				})
			}
			all.Wait()
			if won.Load() != 1 {
				t.Errorf("%d have won", won.Load())
			}
		}
		if rows, err := items(t.Context(), sinks[0].Client()); err != nil || rows["a"] != rounds {
			t.Errorf("rows %v: %v", rows, err)
		}
	})
}

// crowd fills a kind with more than one transaction deletes.
func crowd(t *testing.T, c *datastore.Client, n int) {
	t.Helper()
	for from := 0; from < n; from += 400 {
		var keys []*datastore.Key
		for i := from; i < min(n, from+400); i++ {
			keys = append(keys, datastore.NameKey("Item", fmt.Sprintf("%05d", i), nil))
		}
		if _, err := c.PutMulti(t.Context(), keys, make([]Item, len(keys))); err != nil {
			t.Fatal(err)
		}
	}
}

func TestALargeKindIsCleared(t *testing.T) {
	onLegs(t, func(t *testing.T, p place) {
		s := datastoresink.New(p.client(t), nil)
		reset(t, s, 0, 1, 2, nothing)
		crowd(t, s.Client(), 1000)
		reset(t, s, 1, 2, 1, func(tx *datastoresink.Tx) error {
			return errors.Join(datastoresink.Clear("Item")(tx), add(tx, "00001", 7))
		})
		rows, err := items(t.Context(), s.Client())
		state, err2 := s.State(t.Context(), "p")
		if err != nil || err2 != nil || len(rows) != 1 || rows["00001"] != 7 || state.Version != 2 || len(state.Checkpoints) != 1 {
			t.Errorf("rows %v, state %+v, %v, %v", rows, state, err, err2)
		}
	})
}

// The process dies at each commit of a reset of a large kind: meanwhile nothing can be
// applied, and the next reset finishes.
func TestAResetThatDiesInTheMiddle(t *testing.T) {
	t.Parallel()
	for n := int64(1); ; n++ {
		p := fake(t, dsfake.Optimistic)
		s := datastoresink.New(p.client(t), nil)
		reset(t, s, 0, 1, 1, nothing)
		crowd(t, s.Client(), 700)
		dead, die := context.WithCancel(t.Context())
		var commits atomic.Int64
		p.fake.SetFaults(dsfake.Faults{Before: func(_ context.Context, c dsfake.Call) error {
			if dead.Err() == nil && c.Method == "Commit" && commits.Add(1) == n {
				die()
			}
			if dead.Err() != nil {
				return status.Error(codes.Canceled, "dead")
			}
			return nil
		}})
		again := projection.Reset{Name: "p", Held: 1, Version: 2, Shards: 1}
		err := s.Reset(dead, again, datastoresink.Clear("Item"))
		p.fake.SetFaults(dsfake.Faults{})
		if die(); err == nil {
			if n < 4 {
				t.Errorf("it took %d commits only", n-1)
			}
			return
		}
		state, err := s.State(t.Context(), "p")
		if err != nil {
			t.Fatal(err)
		}
		if state.Version == 0 { // it has begun to delete
			if err := s.Apply(t.Context(), batch(0, 1), func(tx *datastoresink.Tx) error { return add(tx, "a", 1) }); !errors.Is(err, projection.ErrMoved) {
				t.Errorf("commit %d: something can be applied to what is half deleted: %v", n, err)
			}
		}
		again.Held = state.Version
		if err := s.Reset(t.Context(), again, datastoresink.Clear("Item")); err != nil {
			t.Errorf("commit %d: the next reset: %v", n, err)
		}
		if rows, err := items(t.Context(), s.Client()); err != nil || len(rows) != 0 {
			t.Errorf("commit %d: %d rows are left: %v", n, len(rows), err)
		}
	}
}

// Who has begun to delete and was overtaken must not delete what is new.
func TestAnOvertakenResetDeletesNothing(t *testing.T) {
	t.Parallel()
	p := fake(t, dsfake.Optimistic)
	slow, fast := datastoresink.New(p.client(t), nil), datastoresink.New(p.client(t), nil)
	reset(t, slow, 0, 1, 1, nothing)
	crowd(t, slow.Client(), 600)
	held, release := make(chan struct{}), make(chan struct{})
	var first atomic.Bool
	p.fake.SetFaults(dsfake.Faults{Before: func(_ context.Context, c dsfake.Call) error {
		if commit, ok := c.Request.(*pb.CommitRequest); ok && len(commit.Mutations) > 400 && first.CompareAndSwap(false, true) { // it deletes
			close(held)
			<-release
		}
		return nil
	}})
	overtaken := make(chan error)
	go func() {
		overtaken <- slow.Reset(t.Context(), projection.Reset{Name: "p", Held: 1, Version: 2, Shards: 1}, datastoresink.Clear("Item"))
	}()
	<-held
	reset(t, fast, 0, 1, 1, datastoresink.Clear("Item"))
	if err := fast.Apply(t.Context(), batch(0, 1), func(tx *datastoresink.Tx) error {
		return errors.Join(add(tx, "00001", 7), add(tx, "00599", 8))
	}); err != nil {
		t.Fatal(err)
	}
	close(release)
	if err := <-overtaken; !errors.Is(err, projection.ErrMoved) {
		t.Errorf("the one that was overtaken: %v", err)
	}
	if rows, err := items(t.Context(), fast.Client()); err != nil || len(rows) != 2 || rows["00001"] != 7 {
		t.Errorf("rows %v: %v", rows, err)
	}
}

// While the server is away a call ends by its own deadline, with the store to blame, and
// afterwards all goes on.
func TestAServerThatIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := fake(t, dsfake.Optimistic)
		s := datastoresink.New(p.client(t), &datastoresink.Options{Timeout: 7 * time.Second})
		reset(t, s, 0, 1, 1, nothing)
		p.fake.Down()
		for what, call := range map[string]func() error{
			"apply": func() error { return s.Apply(t.Context(), batch(0, 1), nothing) },
			"state": func() error { _, err := s.State(t.Context(), "p"); return err },
			"note":  func() error { return s.Note(t.Context(), "p", nil) },
		} {
			began := time.Now()
			if err := call(); !errors.Is(err, eventlog.ErrUnavailable) || time.Since(began) > 15*time.Second {
				t.Errorf("%s, after %v: %v", what, time.Since(began), err)
			}
		}
		p.fake.Up()
		err := errors.New("not tried")
		for began := time.Now(); err != nil && time.Since(began) < time.Minute; { // as a runner does; connections pause between attempts
			err = s.Apply(t.Context(), batch(0, 1), nothing)
		}
		if err != nil {
			t.Errorf("a minute after it is back: %v", err)
		}
	})
}

func TestANewerFormatIsRefused(t *testing.T) {
	t.Parallel()
	p := fake(t, dsfake.Optimistic)
	s := datastoresink.New(p.client(t), nil)
	reset(t, s, 0, 1, 1, nothing)
	newer := struct{ Format, Version, Shards int }{2, 1, 1}
	if _, err := s.Client().Put(t.Context(), datastore.NameKey("RollforwardProjection", "p", nil), &newer); err != nil {
		t.Fatal(err)
	}
	if _, err := s.State(t.Context(), "p"); !errors.Is(err, datastoresink.ErrFormat) {
		t.Errorf("state: %v", err)
	}
	if err := s.Reset(t.Context(), projection.Reset{Name: "p", Held: 1, Version: 1, Shards: 1}, nothing); !errors.Is(err, datastoresink.ErrFormat) {
		t.Errorf("reset: %v", err)
	}
}

// A batch that slips into a reset, and a reset into a batch: either is repeated, and no
// row of before is left. (Pessimistic databases make one wait for the other.)
func TestABatchInTheMiddleOfAReset(t *testing.T) {
	t.Parallel()
	for _, l := range []int{0, 2} {
		t.Run(legs[l].name, func(t *testing.T) {
			t.Parallel()
			p := legs[l].open(t)
			s, other := datastoresink.New(p.client(t), nil), datastoresink.New(p.client(t), nil)
			reset(t, s, 0, 1, 1, nothing)
			slipped := false
			reset(t, s, 1, 1, 1, func(tx *datastoresink.Tx) error {
				if !slipped {
					slipped = true
					if err := other.Apply(t.Context(), batch(0, 1), func(tx *datastoresink.Tx) error { return add(tx, "old", 1) }); err != nil {
						t.Error(err)
					}
				}
				return datastoresink.Clear("Item")(tx)
			})
			rows, err := items(t.Context(), s.Client())
			state, err2 := s.State(t.Context(), "p")
			if err != nil || err2 != nil || len(rows) != 0 || state.Checkpoints[0].Revision != 0 {
				t.Errorf("a batch in a reset: rows %v, state %+v: %v, %v", rows, state, err, err2)
			}
			err = s.Apply(t.Context(), batch(0, 1), func(tx *datastoresink.Tx) error {
				if slipped {
					slipped = false
					reset(t, other, 1, 2, 1, datastoresink.Clear("Item"))
				}
				return add(tx, "old", 1)
			})
			if rows, err2 := items(t.Context(), s.Client()); !errors.Is(err, projection.ErrMoved) || err2 != nil || len(rows) != 0 {
				t.Errorf("a reset in a batch: rows %v: %v, %v", rows, err, err2)
			}
		})
	}
}
