// Package relaxedbench measures relaxed appends against strict ones: on one shard of
// a store, from one process and from several, in one run. What counts are the
// ratios; the rates are those of a machine and an hour.
package relaxedbench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/sequencer"
)

// A Config says what to measure. Zero fields are the defaults.
type Config struct {
	// Open opens a store as another process would. mode is the run that it is for, from
	// 0: each may have a store of its own. Required.
	Open      func(mode int) (driver.Log, error)
	Processes int           // of the runs with several (4)
	Appenders int           // in each process (16)
	Size      int           // bytes of an event's payload (256)
	Duration  time.Duration // of each run (2 s)
}

// A Rate is what one run came to, in appends a second.
type Rate struct {
	Acknowledged float64
	Folded       float64 // the same appends by the time when all of them had places
	Conflicts    int64   // Updates that ran again, over all processes
}

// A Result holds the runs.
type Result struct {
	StrictOne, Strict   Rate // from one process, from several
	RelaxedOne, Relaxed Rate
}

// Ratio is relaxed over strict from several processes, acknowledged and folded.
func (r *Result) Ratio() (acknowledged, folded float64) {
	return r.Relaxed.Acknowledged / r.Strict.Acknowledged, r.Relaxed.Folded / r.Strict.Acknowledged
}

func (r *Result) String() string {
	a, f := r.Ratio()
	return fmt.Sprintf("strict %.0f/s from one process, %.0f/s from several; relaxed %.0f/s (%.0f/s folded) from one, %.0f/s (%.0f/s folded) from several: %.1fx (%.1fx)",
		r.StrictOne.Acknowledged, r.Strict.Acknowledged, r.RelaxedOne.Acknowledged, r.RelaxedOne.Folded,
		r.Relaxed.Acknowledged, r.Relaxed.Folded, a, f)
}

// Run measures the four modes one after another.
func Run(ctx context.Context, c Config) (*Result, error) {
	if c.Open == nil {
		return nil, errors.New("relaxedbench: no store")
	}
	if c.Processes == 0 {
		c.Processes = 4
	}
	if c.Appenders == 0 {
		c.Appenders = 16
	}
	if c.Size == 0 {
		c.Size = 256
	}
	if c.Duration == 0 {
		c.Duration = 2 * time.Second
	}
	var r Result
	for i, mode := range []struct {
		processes int
		relaxed   bool
		to        *Rate
	}{{1, false, &r.StrictOne}, {1, true, &r.RelaxedOne}, {c.Processes, false, &r.Strict}, {c.Processes, true, &r.Relaxed}} {
		var err error
		if *mode.to, err = c.measure(ctx, i, mode.processes, mode.relaxed); err != nil {
			return nil, fmt.Errorf("relaxedbench: %w", err)
		}
	}
	return &r, nil
}

// A process is a log with those who append to it, and who folds.
type process struct {
	log       *eventlog.Log
	stop      context.CancelFunc
	folding   sync.WaitGroup
	conflicts atomic.Int64
}

func (c *Config) start(ctx context.Context, mode int) (*process, error) {
	d, err := c.Open(mode)
	if err != nil {
		return nil, err
	}
	p := new(process)
	o := &eventlog.Options{Shards: 1, FoldAfter: -1, Hooks: eventlog.Hooks{Conflict: func() { p.conflicts.Add(1) }}}
	if p.log, err = eventlog.Open(ctx, d, o); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	ctx, p.stop = context.WithCancel(ctx)
	p.folding.Go(func() {
		_ = (&sequencer.Runner{Log: p.log, Sweep: 100 * time.Millisecond}).Run(ctx) // what it left is folded at the end
	})
	return p, nil
}

func (p *process) close() error {
	p.stop()
	p.folding.Wait()
	return p.log.Close()
}

func (c *Config) measure(ctx context.Context, mode, processes int, relaxed bool) (rate Rate, err error) {
	var list []*process
	defer func() {
		for _, p := range list {
			err = errors.Join(err, p.close())
		}
	}()
	for range processes {
		p, err := c.start(ctx, mode)
		if err != nil {
			return rate, err
		}
		list = append(list, p)
	}
	if _, err := c.append(ctx, list, relaxed, 0); err != nil { // so that the streams are known
		return rate, err
	}
	begin := time.Now()
	n, err := c.append(ctx, list, relaxed, c.Duration)
	if err != nil {
		return rate, err
	}
	rate.Acknowledged = float64(n) / time.Since(begin).Seconds()
	if _, err := list[0].log.Fold(ctx); err != nil {
		return rate, err
	}
	rate.Folded = float64(n) / time.Since(begin).Seconds()
	for _, p := range list {
		rate.Conflicts += p.conflicts.Load()
	}
	return rate, nil
}

// append lets all appenders of all processes append for d, at least once, each to a stream
// of its own.
func (c *Config) append(ctx context.Context, list []*process, relaxed bool, d time.Duration) (int64, error) {
	event := eventlog.Raw{Type: "bench", Data: make([]byte, c.Size), Codec: "none"}
	var n atomic.Int64
	var failed atomic.Pointer[error]
	var appenders sync.WaitGroup
	end := time.Now().Add(d)
	for i, p := range list {
		for a := range c.Appenders {
			appenders.Go(func() {
				stream := fmt.Sprintf("bench/%d-%d", i, a)
				for again := true; again && failed.Load() == nil; again = time.Now().Before(end) {
					if _, err := p.log.Append(ctx, stream, &eventlog.AppendOptions{Relaxed: relaxed}, event); err != nil {
						failed.Store(&err)
						return
					}
					n.Add(1)
				}
			})
		}
	}
	appenders.Wait()
	if err := failed.Load(); err != nil {
		return 0, *err
	}
	return n.Load(), nil
}
