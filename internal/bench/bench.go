// Package bench measures an event log on a disk, and beside it, in the same run
// and in turn with it, less that does the same work: a bare file with group
// commit and fdatasync, one that is also prepared ahead, as the log prepares its
// own and the least that is known, the driver alone, the engine alone. What counts
// are the ratios; the rates are those of a machine and an hour.
package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/pebblelog"
	"github.com/rollforward/rollforward/internal/barefile"
)

// A Config says what to measure.
type Config struct {
	Dir       string        // where the scratch directory goes; it must be on a disk
	Appenders int           // callers that append at the same time
	Batch     int           // events of an append
	Size      int           // bytes of an event's payload
	Streams   int           // an append goes to one of them
	Shards    int           // 0: the default
	Duration  time.Duration // of measuring each side, all rounds together
	Rounds    int           // in which the sides take turns; medians are reported
	Fill      int           // events to store before
	Hot       bool          // all appenders read-modify-write one stream
	Replay    bool          // read everything back
	Load      bool          // load streams of ten events
	// Progress is told what is done, how much of it, and in which unit, by any
	// goroutine.
	Progress func(what string, done, total int64, unit string)
}

// A Result is what was measured. Times are in microseconds.
type Result struct {
	FileSystem string `json:"file_system"`
	Appenders  int    `json:"appenders"`
	Batch      int    `json:"batch"`
	Size       int    `json:"size"`
	Streams    int    `json:"streams"`
	Shards     int    `json:"shards"`
	Hot        bool   `json:"hot"`

	AppendsPerS float64 `json:"appends_per_s"`
	EventsPerS  float64 `json:"events_per_s"`
	P50         float64 `json:"p50_us"`
	P99         float64 `json:"p99_us"`
	P999        float64 `json:"p999_us"`
	CPU         float64 `json:"cpu_us"` // of an append, the engine's background work included

	// The bare file.
	LimitAppendsPerS float64 `json:"limit_appends_per_s"`
	LimitEventsPerS  float64 `json:"limit_events_per_s"`
	LimitP50         float64 `json:"limit_p50_us"`
	LimitP99         float64 `json:"limit_p99_us"`
	LimitP999        float64 `json:"limit_p999_us"`
	LimitCPU         float64 `json:"limit_cpu_us"`
	Ratio            float64 `json:"ratio"`

	// The same file filled with zeros ahead of small writes.
	PreparedAppendsPerS float64 `json:"prepared_appends_per_s"`
	PreparedRatio       float64 `json:"prepared_ratio"`

	Rounds []Round `json:"rounds"`

	// Spread is the read-modify-write on all streams, beside a hot one.
	SpreadAppendsPerS float64 `json:"spread_appends_per_s,omitempty"`
	SpreadCPU         float64 `json:"spread_cpu_us,omitempty"`
	HotRatio          float64 `json:"hot_ratio,omitempty"`
	Reruns            int64   `json:"reruns"` // of Updates that lost a race

	ReplayEvents           int64   `json:"replay_events"`
	ReplayEventsPerS       float64 `json:"replay_events_per_s"`
	ReplayDriverEventsPerS float64 `json:"replay_driver_events_per_s"`
	ReplayRatio            float64 `json:"replay_ratio"`

	LoadP50   float64 `json:"load_p50_us,omitempty"`
	GetsP50   float64 `json:"gets_p50_us,omitempty"` // ten point reads of the engine
	LoadRatio float64 `json:"load_ratio,omitempty"`

	FillEvents int       `json:"fill_events,omitempty"`
	FillPerS   []float64 `json:"fill_per_s,omitempty"`  // events/s of each 100,000
	FillRatio  float64   `json:"fill_ratio,omitempty"`  // last to first
	FillSteady float64   `json:"fill_steady,omitempty"` // the same, each to the bare file just before and after it

	DiskBytes   uint64 `json:"disk_bytes"`
	CacheBytes  int64  `json:"cache_bytes"`   // of blocks in the engine's cache, at the end
	MaxRSSBytes int64  `json:"max_rss_bytes"` // of this process, at its highest
}

// A Round is what each side did in its turn, in appends/s.
type Round struct {
	Ours     float64 `json:"ours"`
	Limit    float64 `json:"limit"`
	Prepared float64 `json:"prepared"`
	Other    float64 `json:"spread,omitempty"` // beside a hot stream
}

// Check says what of c makes no sense.
func (c *Config) Check() error {
	switch {
	case c.Appenders < 1, c.Batch < 1, c.Size < 1, c.Streams < 1, c.Rounds < 1, c.Duration <= 0, c.Fill < 0, c.Shards < 0:
		return errors.New("appenders, batch, size, streams, rounds and duration are at least 1, fill and shards not negative")
	case c.Batch*c.Size > eventlog.MaxCommit/2:
		return fmt.Errorf("%d events of %d bytes are more than an append may hold", c.Batch, c.Size)
	case c.Streams < c.Appenders && !c.Hot:
		return fmt.Errorf("%d streams for %d appenders: each appender has streams of its own", c.Streams, c.Appenders)
	}
	return nil
}

// Run measures in a scratch directory, which it removes.
func Run(ctx context.Context, c Config) (*Result, error) {
	if err := c.Check(); err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	if c.Progress == nil {
		c.Progress = func(string, int64, int64, string) {}
	}
	dir, err := os.MkdirTemp(c.Dir, "eventlog-bench-")
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	r, err := run(ctx, c, dir)
	if err := errors.Join(err, os.RemoveAll(dir)); err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	return r, nil
}

// runner is one Run.
type runner struct {
	Config
	dir      string
	log      *eventlog.Log
	store    *pebblelog.Log
	bare     *barefile.File
	prepared *barefile.File
	payloads [][]byte
	heads    []uint64 // version of each stream
	filled   atomic.Int64
	result   *Result
}

func run(ctx context.Context, c Config, dir string) (_ *Result, err error) {
	r := &runner{Config: c, dir: dir, payloads: payloads(c.Size), heads: make([]uint64, c.Streams),
		result: &Result{Appenders: c.Appenders, Batch: c.Batch, Size: c.Size, Streams: c.Streams, Hot: c.Hot}}
	if r.result.FileSystem, err = fileSystem(dir); err != nil {
		return nil, err
	}
	if err := r.open(ctx); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.bare.Close(), r.prepared.Close(), r.log.Close()) }()
	steps := []func(context.Context) error{r.measure}
	if c.Fill > 0 || c.Load {
		steps = append([]func(context.Context) error{r.fill}, steps...)
	}
	if c.Load {
		steps = append(steps, r.load)
	}
	if c.Replay {
		steps = append(steps, r.replay)
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	stats, err := r.store.Stats()
	r.result.DiskBytes, r.result.CacheBytes, r.result.MaxRSSBytes = stats.DiskBytes, stats.CacheBytes, maxRSS()
	return r.result, err
}

// cacheSize is the log's default memory for blocks.
const cacheSize = 128 << 20

// fileSystem returns the name of the file system that dir is on. One that is
// memory is an error: a sync costs nothing there.
func fileSystem(dir string) (string, error) {
	name, memory, err := barefile.FileSystem(dir)
	if err == nil && memory {
		err = fmt.Errorf("%s is on %s, which is memory: name a directory on a disk", dir, name)
	}
	return name, err
}

func (r *runner) open(ctx context.Context) (err error) {
	if r.bare, err = barefile.Open(filepath.Join(r.dir, "bare"), false); err != nil {
		return err
	}
	if r.prepared, err = barefile.Open(filepath.Join(r.dir, "prepared"), true); err != nil {
		return errors.Join(err, r.bare.Close())
	}
	if err := r.openLog(ctx); err != nil {
		return errors.Join(err, r.bare.Close(), r.prepared.Close())
	}
	r.result.Shards = r.log.Shards()
	return nil
}

func (r *runner) openLog(ctx context.Context) (err error) {
	if r.store, err = pebblelog.Open(filepath.Join(r.dir, "log"), &pebblelog.Options{CacheSize: cacheSize}); err != nil {
		return err
	}
	o := &eventlog.Options{Shards: r.Shards, Hooks: eventlog.Hooks{Conflict: r.countRerun}}
	if r.log, err = eventlog.Open(ctx, r.store, o); err != nil {
		return errors.Join(err, r.store.Close())
	}
	return nil
}
