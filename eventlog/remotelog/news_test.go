package remotelog

import (
	"context"
	"errors"
	"math"
	"testing"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
)

// TestNewsAreBounded: who lacks much is told nothing rather than a part.
func TestNewsAreBounded(t *testing.T) {
	t.Parallel()
	var r recent
	add := func(rev driver.Revision, size int) {
		r.add([16]byte{1}, &driver.Batch{First: rev, Commits: []driver.Commit{{Revision: rev, Data: make([]byte, size)}}})
	}
	for rev := driver.Revision(1); rev <= 1000; rev++ {
		if add(rev, 1000); rev%100 != 0 {
			r.land(rev)
		}
	}
	if _, ok := r.from(1, 999); ok || r.size > keptNews {
		t.Errorf("%d bytes are kept, the first one too: %v", r.size, ok)
	}
	got, ok := r.from(990, 999)
	if !ok || len(got) != 10 || got[0].Revision != 990 || got[0].Data != nil {
		t.Errorf("from 990: %d, %v", len(got), ok)
	}
	if got, ok := r.from(1000, 999); !ok || len(got) != 0 {
		t.Errorf("from behind the end: %d, %v", len(got), ok)
	}
	room := 2000
	if list, ok := r.flights(nil, 0, 1000, 1000, &room); !ok || len(list) != 1 || list[0].Batch.First != 1000 || room > 1000 {
		t.Errorf("under way: %v, %v, room for %d is left", list, ok, room)
	}
	if list, ok := r.flights(nil, 0, 1000, 1000, &room); ok || len(list) > 0 {
		t.Errorf("without room: %v, %v", list, ok)
	}
	for rev := driver.Revision(1001); rev <= 1100; rev++ {
		add(rev, 1000)
	}
	room = 1 << 20
	if list, ok := r.flights(nil, 0, 1000, 1100, &room); ok || len(list) > 0 || r.size > keptNews {
		t.Errorf("under way, of more than is kept: %d, %v; %d bytes are kept", len(list), ok, r.size)
	}
	if list, ok := r.flights(nil, 0, 1090, 1100, &room); !ok || len(list) != 11 {
		t.Errorf("under way, the last ones: %d, %v", len(list), ok)
	}
	add(1101, keptNews+1)
	if r.land(1101); r.size != 0 {
		t.Error("a commit that is too large is kept")
	}
	add(1102, 0)
	add(1104, 0)
	if r.land(1104); len(r.commits) != 1 {
		t.Errorf("over a hole: %v", r.commits)
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
