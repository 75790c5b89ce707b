package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"

	"github.com/rollforward/rollforward/eventlog"
)

// loadEvents is the length of each stream that is loaded.
const loadEvents = 10

// loadStreams is how many there are: few of all that is stored.
func (r *runner) loadStreams() int {
	if r.Fill == 0 {
		return 2000
	}
	return max(100, min(2000, r.Fill/10))
}

func loadName(n int) string { return fmt.Sprintf("load/%d", n) }

// loadPass appends one event to each stream that will be loaded.
func (r *runner) loadPass(ctx context.Context) error {
	return each(ctx, fillAppenders, 7, func(ctx context.Context, w *worker) error {
		for n := w.n; n < r.loadStreams(); n += fillAppenders {
			if _, err := r.log.Append(ctx, loadName(n), nil, r.events(w.rng, 1)...); err != nil {
				return fmt.Errorf("load: %w", err)
			}
		}
		return nil
	})
}

// history is a state that is never cached, because it cannot be copied.
type history struct{ Amounts []int }

var histories = eventlog.Model[history]{Name: "history", Version: 1, Snapshot: -1, Folds: eventlog.Folds[history]{
	eventlog.On(func(h *history, e posted) { h.Amounts = append(h.Amounts, e.N) }),
}}

// load compares loading a stream of ten events, which is read and folded, with
// ten point reads of the same commits from the engine. The engine is opened on a
// copy, with as much memory for blocks; both have read everything once before.
func (r *runner) load(ctx context.Context) (err error) {
	ours := &side{name: "load", work: func(ctx context.Context, w *worker) error {
		return r.loadOne(ctx, loadName(w.rng.IntN(r.loadStreams())))
	}}
	engine, err := r.engine(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
	gets := &side{name: "gets", work: func(ctx context.Context, w *worker) error { return engine.get(w.rng.IntN(r.loadStreams())) }}
	for n := range r.loadStreams() {
		if err := errors.Join(r.loadOne(ctx, loadName(n)), engine.get(n)); err != nil {
			return err
		}
	}
	var a, b []float64
	r.Progress("load", 0, int64(r.Rounds), "rounds")
	for round := range r.Rounds {
		for _, s := range []*side{ours, gets} {
			s.hist = histogram{}
			if err := s.turn(ctx, 1, min(r.Duration/time.Duration(r.Rounds), time.Second), uint64(round+1)); err != nil {
				return err
			}
		}
		a, b = append(a, ours.hist.quantile(0.5)), append(b, gets.hist.quantile(0.5))
		r.Progress("load", int64(round+1), int64(r.Rounds), "rounds")
	}
	r.result.LoadP50, r.result.GetsP50, r.result.LoadRatio = median(a), median(b), medianRatio(a, b)
	return nil
}

func (r *runner) loadOne(ctx context.Context, stream string) error {
	return r.log.View(ctx, func(tx *eventlog.Tx) error {
		h, err := histories.Load(tx, stream)
		if err == nil && len(h.Amounts) != loadEvents {
			err = fmt.Errorf("load: stream %s has %d events", stream, len(h.Amounts))
		}
		return err
	})
}

// engine is the engine alone, on a copy of the log's directory.
type engine struct {
	db   *pebble.DB
	keys [][][]byte // of the commits of each stream
}

// engine opens the engine with the settings that matter to point reads. The
// layout of the commit rows is in docs/format.md.
func (r *runner) engine(ctx context.Context) (*engine, error) {
	dir := filepath.Join(r.dir, "engine")
	if err := r.store.Backup(ctx, dir); err != nil {
		return nil, err
	}
	comparer := *pebble.DefaultComparer
	comparer.Name = "rollforward.pebblelog.1"
	comparer.Split = func(key []byte) int { return len(key) } // right for commit rows
	o := &pebble.Options{ReadOnly: true, Comparer: &comparer, CacheSize: cacheSize, Logger: quiet{}}
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	db, err := pebble.Open(dir, o)
	if err != nil {
		return nil, err
	}
	e := &engine{db: db, keys: make([][][]byte, r.loadStreams())}
	for n := range e.keys {
		for rec, err := range r.log.Read(ctx, eventlog.Query{Stream: loadName(n)}) {
			if err != nil {
				return nil, errors.Join(err, db.Close())
			}
			e.keys[n] = append(e.keys[n], commitKey(rec.Shard, uint64(rec.Revision)))
		}
	}
	return e, nil
}

// commitKey is the key of a commit's row; see docs/format.md.
func commitKey(shard int, rev uint64) []byte {
	key := binary.BigEndian.AppendUint64([]byte{'r'}, rev>>12)
	key = binary.BigEndian.AppendUint32(key, uint32(shard))
	return binary.BigEndian.AppendUint16(key, uint16(rev&0xfff))
}

func (e *engine) get(n int) error {
	for _, key := range e.keys[n] {
		_, closer, err := e.db.Get(key)
		if err != nil {
			return fmt.Errorf("engine: %x: %w", key, err)
		}
		if err := closer.Close(); err != nil {
			return err
		}
	}
	return nil
}

// Close closes the engine.
func (e *engine) Close() error { return e.db.Close() }

// quiet is a logger of the engine that says nothing.
type quiet struct{}

func (quiet) Infof(string, ...any)      {}
func (quiet) Errorf(string, ...any)     {}
func (quiet) Fatalf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }
