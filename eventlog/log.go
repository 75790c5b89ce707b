package eventlog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// Options of a log. nil and zero values are the documented defaults.
type Options struct {
	// Shards is the number of shards, 1 to 1024. It is fixed when the log is
	// first opened (16 by default); later 0 takes what the log has, and
	// another number is refused.
	Shards int
	// Index asks for index keys beyond streams, tags and ids. It is fixed when
	// the log is first opened.
	Index Index
	// Codecs says how events of a type are encoded. Default: JSON.
	Codecs map[string]Codec
	// Upcasts bring stored events to the types that the program knows.
	Upcasts []Upcast
	// MaxSkew is by how much the clocks of this log's writers may differ (1 s).
	MaxSkew time.Duration
	// Attempts bounds how often an Update's function runs (100).
	Attempts int
	// Poll is how often a follower looks for commits of other processes when
	// nothing woke it (1 s). Logs of one process never wait for it.
	Poll time.Duration
	// FoldAfter is how long a relaxed append waits for a sequencer before this log
	// folds it itself (1 s), if it appended it or found it when it was opened; Close
	// does not wait. Negative: this log leaves folding to others.
	FoldAfter time.Duration
	// Logger gets what a program's operator should know. nil is silent.
	Logger *slog.Logger
	// Hooks observe the log, for metrics and tests.
	Hooks Hooks

	now func() time.Time // tests
}

// Index says which keys commits get beyond their streams and tags. Each costs
// an index entry a commit.
type Index struct {
	Types        bool `json:"types,omitempty"`        // by event type; without it a Query by type scans
	Correlations bool `json:"correlations,omitempty"` // each commit by its correlation; without it only inside chains
}

const (
	defaultShards = 16
	maxShards     = 1024
)

func (o *Options) withDefaults() (Options, error) {
	var out Options
	if o != nil {
		out = *o
	}
	if out.Shards < 0 || out.Shards > maxShards {
		return out, fmt.Errorf("option Shards is %d: 1 to %d", out.Shards, maxShards)
	}
	if out.MaxSkew < 0 || out.Attempts < 0 || out.Poll < 0 {
		return out, errors.New("options MaxSkew, Attempts and Poll cannot be negative")
	}
	if out.MaxSkew == 0 {
		out.MaxSkew = time.Second
	}
	if out.Attempts == 0 {
		out.Attempts = 100
	}
	if out.Poll == 0 {
		out.Poll = time.Second
	}
	if out.FoldAfter == 0 {
		out.FoldAfter = time.Second
	}
	if out.Logger == nil {
		out.Logger = slog.New(slog.DiscardHandler)
	}
	if out.now == nil {
		out.now = time.Now
	}
	return out, nil
}

// A Log is an open event log. Its methods may be called by any number of
// goroutines at any time.
type Log struct {
	driver driver.Log
	opts   Options
	codecs *codecs
	casts  upcasts
	clock  clock
	states *cache[any] // of models, by stream

	instance ID
	seen     []atomic.Uint64 // of each shard: the last revision that was read

	ctx    context.Context // of the lanes; ends when Close gives up
	cancel context.CancelFunc
	work   sync.WaitGroup // writers of groups and of snapshots
	snaps  chan struct{}  // held by the one snapshot being written

	mu       sync.Mutex
	lanes    []*lane
	cells    cells
	tickets  uint64
	turns    map[string]*turn // of hot keys
	room     room
	closed   bool
	watchers int // who needs news of other processes
	stop     context.CancelFunc
	onCommit listeners[driver.Head]
	onMove   listeners[driver.Head]
	onLoose  listeners[int] // of a shard
	keeping  looseKeeper    // folds what nobody else does
	rigid    atomic.Bool    // the store moves no writes, though it has the method
	wary     atomic.Bool    // another program has put under way what this one cannot read
}

// Open opens the log that d stores, and creates it when d is empty. The log
// owns d from then on: Close closes it. When Open fails, d stays open.
func Open(ctx context.Context, d driver.Log, o *Options) (*Log, error) {
	l, err := open(ctx, d, o)
	if err != nil {
		return nil, fmt.Errorf("eventlog: open: %w", err)
	}
	return l, nil
}

func open(ctx context.Context, d driver.Log, o *Options) (*Log, error) {
	opts, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	l := &Log{driver: store{d}, opts: opts, instance: newID(), states: newCache[any](1 << 14), snaps: make(chan struct{}, 1),
		onCommit: make(listeners[driver.Head]), onMove: make(listeners[driver.Head]), onLoose: make(listeners[int]), turns: make(map[string]*turn)}
	l.clock.now = opts.now
	if l.codecs, err = newCodecs(opts.Codecs); err != nil {
		return nil, err
	}
	if l.casts, err = newUpcasts(opts.Upcasts); err != nil {
		return nil, err
	}
	m, err := l.loadManifest(ctx)
	if err != nil {
		return nil, err
	}
	l.opts.Shards, l.opts.Index = m.Shards, m.Index
	l.seen = make([]atomic.Uint64, m.Shards)
	if err := l.loadLanes(ctx); err != nil {
		return nil, err
	}
	l.cells.init()
	l.ctx, l.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if err := l.findLoose(ctx); err != nil {
		l.cancel()
		return nil, err
	}
	return l, nil
}

// manifest is what is fixed when a log is made. It is a cell of its own.
type manifest struct {
	Format  int       `json:"format"`
	Shards  int       `json:"shards"`
	Index   Index     `json:"index"`
	Created time.Time `json:"created"`
}

const (
	manifestKey    = "$manifest"
	manifestFormat = 1
)

func (l *Log) loadManifest(ctx context.Context) (manifest, error) {
	for {
		cell, err := l.cell(ctx, manifestKey)
		if err != nil {
			return manifest{}, err
		}
		if cell.Version > 0 {
			return l.checkManifest(cell.Value)
		}
		err = l.createManifest(ctx)
		var lost *driver.CellError
		if err != nil && !errors.As(err, &lost) && !errors.Is(err, ErrUnknown) {
			return manifest{}, fmt.Errorf("there is no log yet, and none can be made: %w", err)
		}
		if err := ctx.Err(); err != nil {
			return manifest{}, err
		}
	}
}

func (l *Log) createManifest(ctx context.Context) error {
	m := manifest{Format: manifestFormat, Shards: l.opts.Shards, Index: l.opts.Index, Created: l.opts.now().UTC()}
	if m.Shards == 0 {
		m.Shards = defaultShards
	}
	value, err := json.Marshal(m)
	if err != nil {
		return err
	}
	_, err = l.SwapCell(ctx, manifestKey, 0, value)
	return err
}

func (l *Log) checkManifest(value []byte) (manifest, error) {
	var m manifest
	if err := json.Unmarshal(value, &m); err != nil {
		return m, fmt.Errorf("%w: manifest: %w", ErrCorrupt, err)
	}
	switch {
	case m.Format != manifestFormat:
		return m, fmt.Errorf("%w: the log has format %d, this program knows %d", ErrFormat, m.Format, manifestFormat)
	case m.Shards < 1 || m.Shards > maxShards:
		return m, fmt.Errorf("%w: manifest: %d shards", ErrCorrupt, m.Shards)
	case l.opts.Shards != 0 && l.opts.Shards != m.Shards:
		return m, fmt.Errorf("%w: the log has %d shards, the options ask for %d; the number is fixed when a log is made",
			ErrFormat, m.Shards, l.opts.Shards)
	case l.opts.Index != Index{} && l.opts.Index != m.Index:
		return m, fmt.Errorf("%w: the log has the index %+v, the options ask for %+v; it is fixed when a log is made",
			ErrFormat, m.Index, l.opts.Index)
	}
	return m, nil
}

// loadLanes reads the tails of all shards, side by side.
func (l *Log) loadLanes(ctx context.Context) error {
	l.lanes = make([]*lane, l.opts.Shards)
	shared := new(queue)
	errs := make([]error, l.opts.Shards)
	var wg sync.WaitGroup
	for s := range l.lanes {
		q := shared
		if !driver.Wide(l.Driver()) {
			q = new(queue)
		}
		wg.Go(func() { l.lanes[s], errs[s] = l.loadLane(ctx, s, q) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (l *Log) loadLane(ctx context.Context, shard int, q *queue) (*lane, error) {
	tail, err := l.driver.Tail(ctx, shard)
	if err != nil {
		return nil, err
	}
	var time int64
	if tail > 0 {
		c, err := l.commitAt(ctx, shard, tail)
		if err != nil {
			return nil, err
		}
		time = c.time
	}
	return newLane(shard, tail, time, q), nil
}

// decode reads a commit, or of its events only those of a stream, and moves the
// clock behind it: what this process does from now on, it does knowing of that
// commit.
func (l *Log) decode(shard int, raw driver.Commit, only string) (*commit, error) {
	c, err := decodeOnly(shard, raw.Revision, raw.Data, only)
	if err == nil {
		l.clock.observe(c.time)
		l.see(shard, raw.Revision)
	}
	return c, err
}

// commitAt reads one commit.
func (l *Log) commitAt(ctx context.Context, shard int, rev driver.Revision) (*commit, error) {
	r := driver.Range{From: uint64(rev), To: uint64(rev) + 1}
	for raw, err := range l.driver.Read(ctx, shard, r) {
		if err != nil {
			return nil, err
		}
		return l.decode(shard, raw, "")
	}
	return nil, &driver.CorruptError{Shard: shard, Revision: rev, Reason: "missing"}
}

// Driver returns the store that the log stands on, for packages that belong to a
// store. Who writes to it past the log breaks the log.
func (l *Log) Driver() driver.Log { return l.driver.(store).Log }

// Shards returns the number of shards.
func (l *Log) Shards() int { return l.opts.Shards }

// ShardOf returns the shard of a stream or of a {group}.
func (l *Log) ShardOf(stream string) int { return shardOf(stream, l.opts.Shards) }

// Recent returns the version of a stream as far as this process knows it without
// asking the store, what is queued to be written included. known is false when
// it knows none; what other processes write may be missing.
func (l *Log) Recent(stream string) (version uint64, known bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lanes[shardOf(stream, len(l.lanes))].window.head(stream)
}

// Now returns the log's time: a hybrid logical clock, later than every commit
// that this Log has seen.
func (l *Log) Now() time.Time { return time.Unix(0, l.clock.read()).UTC() }

// Position returns how far the log reaches: everything that was acknowledged
// before the call, by whatever process, is covered.
func (l *Log) Position(ctx context.Context) (Position, error) {
	p := Position{make([]driver.Revision, l.opts.Shards)}
	err := atOnce(len(p.revs), func(s int) (err error) {
		p.revs[s], err = l.driver.Tail(ctx, s)
		return err
	})
	if err != nil {
		return Position{}, fmt.Errorf("eventlog: position: %w", err)
	}
	return p, nil
}

// Close waits for the writes under way, so that their callers get their
// answers, and closes the store. Relaxed appends of this log that nobody folded
// yet are folded first, if that takes no more than a few seconds. Callers whose write the store does not answer
// within a few seconds get ErrUnknown. Later calls return ErrClosed.
func (l *Log) Close() error {
	l.foldOwn()
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	if l.stop != nil {
		l.stop()
	}
	l.keeping.stop()
	for _, ln := range l.lanes {
		ln.moved()
	}
	l.mu.Unlock()
	giveUp := time.AfterFunc(closePatience, l.cancel)
	l.work.Wait()
	giveUp.Stop()
	l.cancel()
	if err := l.driver.Close(); err != nil {
		return fmt.Errorf("eventlog: close: %w", err)
	}
	return nil
}

const closePatience = 10 * time.Second
