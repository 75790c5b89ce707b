package remotelog

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
)

// TestNewsAreBounded: who lacks much is told nothing rather than a part.
func TestNewsAreBounded(t *testing.T) {
	t.Parallel()
	var r recent
	for rev := driver.Revision(1); rev <= 500; rev++ {
		r.add([16]byte{1}, &driver.Batch{First: rev, Commits: []driver.Commit{{Revision: rev, Data: make([]byte, 1000)}}})
	}
	if _, ok := r.from(1, 500); ok || r.size > keptNews {
		t.Errorf("%d bytes are kept, the first one too: %v", r.size, ok)
	}
	got, ok := r.from(490, 500)
	if !ok || len(got) != 11 || got[0].Revision != 490 {
		t.Errorf("from 490: %d, %v", len(got), ok)
	}
	if got, ok := r.from(501, 500); !ok || len(got) != 0 {
		t.Errorf("from behind the end: %d, %v", len(got), ok)
	}
	r.add([16]byte{1}, &driver.Batch{First: 501, Commits: []driver.Commit{{Revision: 501, Data: make([]byte, keptNews+1)}}})
	if _, ok := r.from(501, 501); ok {
		t.Error("a commit that is too large is kept")
	}
	r.add([16]byte{1}, &driver.Batch{First: 502, Commits: []driver.Commit{{Revision: 502}}})
	r.add([16]byte{1}, &driver.Batch{First: 504, Commits: []driver.Commit{{Revision: 504}}})
	if got, ok := r.from(502, 504); ok {
		t.Errorf("behind a hole: %v", fmt.Sprint(got))
	}
}

// TestNewsOfWhoIsAhead: a client may claim any revision.
func TestNewsOfWhoIsAhead(t *testing.T) {
	t.Parallel()
	for _, first := range []driver.Revision{3, math.MaxInt64, math.MaxUint64 - 3} {
		x := newTurns(false, noTails)
		p, q := x.join(), x.join()
		if err := errors.Join(do(t, x, p, nil, batch(0, 1, 1)), do(t, x, p, nil, batch(1, 1, 1))); err != nil {
			t.Fatal(err)
		}
		var tail *driver.TailError
		err := do(t, x, q, nil, batch(0, 1, 1), batch(1, first, 1))
		if !errors.As(err, &tail) || len(tail.News) != 1 || tail.News[0].Shard != 0 {
			t.Errorf("revision %d: %v, %v", first, err, tail)
		}
	}
}

// TestNewsWithoutTheLast: a shard whose last commits are not kept is not said to be
// as it was.
func TestNewsWithoutTheLast(t *testing.T) {
	t.Parallel()
	x := newTurns(false, noTails)
	p, q := x.join(), x.join()
	if err := do(t, x, p, nil, batch(0, 1, 1)); err != nil {
		t.Fatal(err)
	}
	if err := do(t, x, p, driver.ErrUnknown, batch(0, 2, 1)); !errors.Is(err, driver.ErrUnknown) { // it arrived
		t.Fatal(err)
	}
	if err := do(t, x, p, nil, batch(0, 3, 0), batch(1, 1, 1)); err != nil {
		t.Fatal(err)
	}
	var tail *driver.TailError
	if err := do(t, x, q, nil, batch(0, 2, 1)); !errors.As(err, &tail) || tail.Tail != 2 || len(tail.News) > 0 {
		t.Errorf("%v with news %v", err, tail)
	}
}

// TestNoNewsOfTheLate: where Writes may arrive after their answer was lost, a refused
// one is not taken for the commit that is at its place.
func TestNoNewsOfTheLate(t *testing.T) {
	t.Parallel()
	x := newTurns(false, noTails)
	p, q := x.join(), x.join()
	if err := do(t, x, p, nil, batch(0, 1, 1)); err != nil {
		t.Fatal(err)
	}
	if err := do(t, x, p, driver.ErrUnknown, batch(0, 2, 1)); !errors.Is(err, driver.ErrUnknown) { // it arrives later
		t.Fatal(err)
	}
	if err := do(t, x, p, &driver.TailError{Shard: 0, Tail: 2}, batch(0, 2, 1)); !errors.As(err, new(*driver.TailError)) {
		t.Fatal(err)
	}
	var tail *driver.TailError
	if err := do(t, x, q, nil, batch(0, 2, 1)); !errors.As(err, &tail) || tail.Tail != 2 || len(tail.News) > 0 {
		t.Errorf("%v with news %v", err, tail)
	}
}

// TestNoNewsOfWhatFailedAfterATakeover: a process that knows less than was there when
// its owner took over is not told of its own refused Write.
func TestNoNewsOfWhatFailedAfterATakeover(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, _ := sharing(t, dir)
	owner, d := sharing(t, dir)
	client, _ := sharing(t, dir)
	absent := &eventlog.AppendOptions{Expect: eventlog.NoStream}
	look(t, owner, "s")
	look(t, client, "s")
	if _, err := first.Append(t.Context(), "s", absent, note{"first"}); err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	for _, l := range []*eventlog.Log{owner, client} { // when both have an answer, one owns
		if _, err := l.Tail(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
	}
	if !d.owns() {
		owner, client = client, owner
	}
	if _, err := owner.Append(t.Context(), "t", nil, note{"second"}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Append(t.Context(), "s", absent, note{"third"}); !errors.Is(err, eventlog.ErrConflict) {
		t.Errorf("two appends to a stream that was to be absent: %v", err)
	}
	if err := eventlog.Check(context.Background(), owner); err != nil {
		t.Error(err)
	}
}

// sharing is a log of one shard in a directory that others may have.
func sharing(t *testing.T, dir string) (*eventlog.Log, *Log) {
	t.Helper()
	d := share(t, dir, Options{})
	l, err := eventlog.Open(t.Context(), d, &eventlog.Options{Shards: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l, d
}

// look lets a log know a stream.
func look(t *testing.T, l *eventlog.Log, stream string) {
	t.Helper()
	if _, err := l.Update(t.Context(), func(tx *eventlog.Tx) error {
		_, err := counts.Load(tx, stream)
		return err
	}); err != nil {
		t.Fatal(err)
	}
}
