package datastorelog

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/internal/emulator"
)

func TestOutcomes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		code        codes.Code
		transaction bool
		sent        bool
		want        outcome
	}{
		{codes.OK, false, true, done}, {codes.OK, true, true, done},
		{codes.AlreadyExists, false, true, taken}, {codes.AlreadyExists, true, true, taken},
		{codes.Aborted, false, true, clash}, {codes.Aborted, true, true, clash},
		{codes.InvalidArgument, false, true, refused}, {codes.InvalidArgument, true, true, over},
		{codes.NotFound, true, true, refused}, {codes.FailedPrecondition, true, true, refused}, {codes.OutOfRange, false, true, refused},
		{codes.PermissionDenied, false, true, refused}, {codes.Unauthenticated, false, true, refused},
		{codes.ResourceExhausted, false, true, refused}, {codes.Unimplemented, false, true, refused},
		{codes.Unavailable, false, true, unknown}, {codes.Unavailable, false, false, refused},
		{codes.DeadlineExceeded, false, true, unknown}, {codes.DeadlineExceeded, true, false, refused},
		{codes.Canceled, false, true, unknown}, {codes.Canceled, false, false, refused},
		{codes.Internal, true, true, unknown}, {codes.Unknown, true, true, unknown}, {codes.DataLoss, true, true, unknown},
	} {
		var err error
		if c.code != codes.OK {
			err = status.Error(c.code, "")
		}
		if got := outcomeOf(err, c.transaction, c.sent); got != c.want {
			t.Errorf("%s, transaction %v, sent %v: outcome %d, expected %d", c.code, c.transaction, c.sent, got, c.want)
		}
	}
}

// A shape is a Write of a kind that goes its own way through the driver.
type shape struct {
	name  string
	write func(first driver.Revision, version uint64) driver.Write
}

func commits(shard int, first driver.Revision) driver.Batch {
	return driver.Batch{Shard: shard, First: first, Commits: []driver.Commit{
		{Revision: first, Data: fmt.Appendf(nil, "commit %d", first), Keys: []driver.Key{{Name: "k", Pos: uint64(first)}}},
	}}
}

func putCell(key string, old *uint64, version uint64) driver.CellOp {
	return driver.CellOp{Op: driver.Put, If: old, Cell: driver.Cell{Key: key, Value: []byte("v"), Version: version}}
}

var shapes = []shape{
	{"insert", func(first driver.Revision, _ uint64) driver.Write {
		return driver.Write{Batches: []driver.Batch{commits(0, first)}}
	}},
	{"shards", func(first driver.Revision, _ uint64) driver.Write {
		return driver.Write{Batches: []driver.Batch{commits(0, first), commits(1, first)}}
	}},
	{"shards, one only checked", func(first driver.Revision, _ uint64) driver.Write {
		return driver.Write{Batches: []driver.Batch{commits(0, first), {Shard: 7, First: 1}}}
	}},
	{"commits and a cell", func(first driver.Revision, version uint64) driver.Write {
		return driver.Write{Batches: []driver.Batch{commits(0, first)}, Cells: []driver.CellOp{putCell("c", &version, version+1)}}
	}},
	{"a cell alone", func(_ driver.Revision, version uint64) driver.Write {
		return driver.Write{Cells: []driver.CellOp{putCell("c", &version, version+1)}}
	}},
}

// settled repeats a Write until its outcome is known, as eventlog does.
func settled(t *testing.T, l *Log, w driver.Write) {
	t.Helper()
	for range 50 {
		err := l.Write(t.Context(), w)
		switch {
		case err == nil, errors.As(err, new(*driver.TailError)), errors.As(err, new(*driver.CellError)):
			return
		case !errors.Is(err, driver.ErrUnknown):
			t.Logf("repeated: %v", err)
		}
	}
	t.Fatal("no outcome after 50 repetitions")
}

// holdsOnce checks that what a shape wrote is there n times, not more or less.
func holdsOnce(t *testing.T, l *Log, w driver.Write, n uint64) {
	t.Helper()
	for _, b := range w.Batches {
		if len(b.Commits) == 0 {
			continue
		}
		seen := uint64(0)
		for c, err := range l.Read(t.Context(), b.Shard, driver.Range{}) {
			if err != nil {
				t.Fatal(err)
			}
			if seen++; string(c.Data) != fmt.Sprintf("commit %d", seen) {
				t.Errorf("shard %d revision %d: %q", b.Shard, c.Revision, c.Data)
			}
		}
		if seen != n {
			t.Errorf("shard %d has %d commits, expected %d", b.Shard, seen, n)
		}
	}
	if len(w.Cells) > 0 {
		for c, err := range l.Cells(t.Context(), "c", "d", 0) {
			if err != nil || c.Version != n {
				t.Errorf("cell %+v, %v; expected version %d", c, err, n)
			}
		}
	}
}

// TestLostAnswers breaks each call of each kind of Write in each way, and repeats
// the Write until its outcome is known: it happened once.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	eachLeg(t, func(t *testing.T, leg leg) {
		w := new(wire)
		for _, s := range shapes {
			t.Run(s.name, func(t *testing.T) {
				l := leg.server(t).open(t, emulator.Project(), &Options{ClientOptions: w.options()})
				n := uint64(0)
				for _, m := range []mishap{lose, drop, late, twice} {
					for i, code := range lossy {
						if i > 0 && (m == twice || m == late) {
							continue
						}
						write := s.write(driver.Revision(n+1), n)
						write.ID = [16]byte{byte(m), byte(code)}
						w.inject(nth("Commit", 1, m, code))
						err := l.Write(t.Context(), write)
						if m != twice && !errors.Is(err, driver.ErrUnknown) {
							t.Errorf("mishap %d with %s: %v, expected ErrUnknown", m, code, err)
						}
						if m == twice && len(write.Batches) > 0 && err != nil {
							t.Errorf("sent twice: %v; it was ours", err)
						}
						w.late.Wait()
						settled(t, l, write)
						n++
						holdsOnce(t, l, write, n)
					}
				}
			})
		}
	})
}

// TestEveryOtherCallFails breaks what comes before a Commit: nothing was written,
// the answer says so, and the next attempt succeeds.
func TestEveryOtherCallFails(t *testing.T) {
	t.Parallel()
	eachLeg(t, func(t *testing.T, leg leg) {
		w := new(wire)
		for _, s := range shapes {
			for _, method := range []string{"Lookup", "RunQuery", "BeginTransaction", "Rollback", "Commit"} {
				for _, m := range []mishap{fail, lose} {
					if method == "Commit" && m == lose {
						continue
					}
					l := leg.server(t).open(t, emulator.Project(), &Options{ClientOptions: w.options()})
					first := s.write(1, 0)
					w.inject(nth(method, 1, m, codes.Internal))
					before := w.mishaps()
					err := l.Write(t.Context(), first)
					broke := w.mishaps() > before
					if broke != (err != nil) || errors.Is(err, driver.ErrUnknown) {
						t.Errorf("%s, %s broken in way %d (%v): %v", s.name, method, m, broke, err)
					}
					w.inject(nil)
					if err != nil {
						holdsOnce(t, l, first, 0)
						if err := l.Write(t.Context(), first); err != nil {
							t.Errorf("%s, after %s was broken: %v", s.name, method, err)
						}
					}
					holdsOnce(t, l, first, 1)
				}
			}
		}
	})
}

// TestServiceAway: what cannot be sent is refused for certain when ctx or the
// timeout ends, reads fail, and all of it recovers by itself.
func TestServiceAway(t *testing.T) {
	t.Parallel()
	eachLeg(t, func(t *testing.T, leg leg) {
		s := leg.removable(t)
		l := s.open(t, emulator.Project(), &Options{Timeout: 500 * time.Millisecond})
		write := func(ctx context.Context, first driver.Revision) error {
			return l.Write(ctx, driver.Write{ID: [16]byte{byte(first)}, Batches: []driver.Batch{commits(0, first)}})
		}
		if err := write(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		s.set(true)
		begin := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		// The first may have been sent before the connection is known to be broken.
		if err := write(ctx, 2); err == nil {
			t.Error("a write to a service that is away succeeded")
		}
		for range 2 {
			if err := write(ctx, 2); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, driver.ErrUnknown) {
				t.Errorf("write, ctx done: %v", err)
			}
		}
		if err := write(t.Context(), 2); err == nil || errors.Is(err, driver.ErrUnknown) {
			t.Errorf("write: %v, expected that nothing was written", err)
		}
		if _, err := l.Tail(t.Context(), 3); err == nil {
			t.Error("tail of a service that is away")
		}
		if d := time.Since(begin); d > 20*time.Second {
			t.Errorf("it took %s to find out", d)
		}
		if _, err := Open(ctx, "p", s.with(&Options{Timeout: 100 * time.Millisecond})); err == nil {
			t.Error("opened a service that is away")
		}
		s.set(false)
		for deadline := time.Now().Add(20 * time.Second); ; {
			err := write(t.Context(), 2)
			if err == nil || errors.As(err, new(*driver.TailError)) {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("it does not recover: %v", err)
			}
		}
		holdsOnce(t, l, driver.Write{Batches: []driver.Batch{commits(0, 1)}}, 2)
	})
}
