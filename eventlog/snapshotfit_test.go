package eventlog_test

import (
	"testing"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/memlog"
)

// TestSnapshotsThatDoNotFit are ignored: those of another model, other folds,
// upcasts, or another shape of the state, and those that are damaged.
func TestSnapshotsThatDoNotFit(t *testing.T) {
	t.Parallel()
	version, folds, name := totals, totals, totals
	version.Version = 2
	folds.Folds = append(folds.Folds[:1:1], eventlog.On(func(s *total, e Posted) { s.N += 1000 }))
	name.Name = "other"
	type grown struct {
		N, M int
		Sum  uint64
	}
	shape := eventlog.Model[grown]{Name: "total", Version: 1, Snapshot: 50, Folds: eventlog.Folds[grown]{
		eventlog.On(func(s *grown, e entry) { s.N++; s.M--; s.Sum = s.Sum*31 + uint64(len(e.Text)) }),
	}}
	cast := eventlog.Options{Upcasts: []eventlog.Upcast{{From: "test.old", To: "test.entry"}}}
	for what, use := range map[string]func(s *snapshots) (any, int64){
		"version": func(s *snapshots) (any, int64) { return erased(load(s, &version, eventlog.Options{})) },
		"folds":   func(s *snapshots) (any, int64) { return erased(load(s, &folds, eventlog.Options{})) },
		"name":    func(s *snapshots) (any, int64) { return erased(load(s, &name, eventlog.Options{})) },
		"upcasts": func(s *snapshots) (any, int64) { return erased(load(s, &totals, cast)) },
		"shape":   func(s *snapshots) (any, int64) { return erased(load(s, &shape, eventlog.Options{})) },
		"empty":   func(s *snapshots) (any, int64) { return s.damaged(func([]byte) []byte { return []byte{} }) },
		"short":   func(s *snapshots) (any, int64) { return s.damaged(func(b []byte) []byte { return b[:20] }) },
		"no JSON": func(s *snapshots) (any, int64) {
			return s.damaged(func(b []byte) []byte { return append(b[:24], "{{"...) })
		},
		"event": func(s *snapshots) (any, int64) { return s.damaged(func(b []byte) []byte { b[5]++; return b }) },
		"version of the event": func(s *snapshots) (any, int64) {
			return s.damaged(func(b []byte) []byte { b[23]--; return b })
		},
		"version out of reach": func(s *snapshots) (any, int64) {
			return s.damaged(func(b []byte) []byte { b[22]++; return b })
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := newSnapshots(t, 200)
			load(s, &totals, eventlog.Options{})
			if n := s.written.Load(); n != 1 {
				t.Fatalf("%d snapshots written, expected 1", n)
			}
			state, commits := use(s)
			want := any(after(200))
			if what == "shape" {
				want = grown{200, -200, after(200).Sum}
			}
			if state != want || commits < 200 {
				t.Errorf("%+v of %d commits, expected %+v of all 200", state, commits, want)
			}
		})
	}
}

func erased[S any](state S, commits int64) (any, int64) { return state, commits }

// damaged changes the snapshot and loads.
func (s *snapshots) damaged(change func([]byte) []byte) (any, int64) {
	s.t.Helper()
	d := s.store.Open()
	cells := collect(s.t, d.Cells(s.t.Context(), "$snap", "$snaq", 0))
	if len(cells) != 1 {
		s.t.Fatalf("%d snapshots, expected 1", len(cells))
	}
	c := cells[0]
	c.Value, c.Version = change(c.Value), c.Version+1
	is(s.t, d.Write(s.t.Context(), driver.Write{Cells: []driver.CellOp{{Op: driver.Put, Cell: c}}}), nil)
	is(s.t, d.Close(), nil)
	return erased(load(s, &totals, eventlog.Options{}))
}

// TestSnapshotOfAnotherStore: a snapshot says of which event it was made, and
// is ignored where that event is not.
func TestSnapshotOfAnotherStore(t *testing.T) {
	t.Parallel()
	from := newSnapshots(t, 200)
	load(from, &totals, eventlog.Options{})
	source := from.store.Open()
	cell := collect(t, source.Cells(t.Context(), "$snap", "$snaq", 0))[0]
	is(t, source.Close(), nil)
	to := &snapshots{t: t, store: memlog.NewStore(), n: 3} // other texts
	to.grow(over(t, to.store.Open(), nil), 250)
	target := to.store.Open()
	is(t, target.Write(t.Context(), driver.Write{Cells: []driver.CellOp{{Op: driver.Put, Cell: cell}}}), nil)
	is(t, target.Close(), nil)
	state, commits := load(to, &totals, eventlog.Options{})
	if state.N != 250 || commits < 250 {
		t.Errorf("%+v of %d commits, expected 250 events of as many", state, commits)
	}
}
