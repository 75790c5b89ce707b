package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/lease"
)

// A reactor is a Reactor made ready: its options filled in.
type reactor struct {
	*reactorOptions
	keeper   *lease.Keeper
	troubles lease.Troubles // of shards
}

type reactorOptions struct {
	Log            *eventlog.Log
	name           string
	fn             func(tx *eventlog.Tx, r eventlog.Record) error
	types          []string
	category       string
	after          eventlog.Position
	batch          int
	grace          time.Duration
	pauses         Policy
	logger         *slog.Logger
	hooks          ReactorHooks
	moved, skipped string // stream names without the shard
}

// ready fills the defaults in and refuses what makes no sense.
func (r *Reactor) ready() (*reactor, error) {
	if r.Log == nil || r.React == nil {
		return nil, errors.New("a Reactor needs a Log and a React")
	}
	if err := checkReaderName(r.Name); err != nil {
		return nil, err
	}
	o := &reactorOptions{Log: r.Log, name: r.Name, fn: r.React, types: r.Types, category: r.Category, after: r.After,
		batch: r.Batch, grace: r.Grace, pauses: Policy{Backoff: r.Backoff, MaxBackoff: r.MaxBackoff},
		logger: r.Logger, hooks: r.Hooks, moved: "$react-" + r.Name, skipped: "$skipped-" + r.Name}
	if o.batch < 0 || o.batch > maxReactorBatch {
		return nil, fmt.Errorf("option Batch is %d: 1 to %d", o.batch, maxReactorBatch)
	}
	if o.batch == 0 {
		o.batch = 64
	}
	if o.grace < 0 || o.grace > time.Hour {
		return nil, fmt.Errorf("option Grace is %v: up to %v", o.grace, time.Hour)
	}
	if o.grace == 0 {
		o.grace = 5 * time.Second
	}
	if o.pauses.Backoff < 0 || o.pauses.MaxBackoff < 0 {
		return nil, errors.New("options Backoff and MaxBackoff cannot be negative")
	}
	if o.logger == nil {
		o.logger = slog.New(slog.DiscardHandler)
	}
	o.logger = o.logger.With("reactor", o.name)
	e := &reactor{reactorOptions: o}
	e.keeper = &lease.Keeper{Log: r.Log, Prefix: o.moved, Count: r.Log.Shards(), Duration: r.Lease, Name: r.Runner}
	return e, e.keeper.Check()
}

// maxReactorBatch is as many chains as one event can be tagged with.
const maxReactorBatch = eventlog.MaxTags

// checkReaderName refuses what cannot be part of the names of system streams and
// cells.
func checkReaderName(name string) error {
	switch {
	case name == "":
		return errors.New("it has no Name")
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) || strings.Contains(name, "/"):
		return fmt.Errorf("name %.60q: no slash, no control characters, UTF-8", name)
	case len(name) > 200:
		return fmt.Errorf("name %.60q…: %d bytes, at most 200", name, len(name))
	}
	return nil
}

// work is the work on a shard that is held under a lease.
func (e *reactor) work(ctx context.Context, l lease.Lease) error {
	return newReactorShard(e, l.Index).run(ctx)
}

// drain goes on until a round over all shards found nothing to do: what is
// written for an event may be an event to react to.
func (e *reactor) drain(ctx context.Context) error {
	shards := make([]*reactorShard, e.Log.Shards())
	for i := range shards {
		shards[i] = newReactorShard(e, i)
	}
	for {
		before := reactedBy(shards)
		errs := make([]error, len(shards))
		var work sync.WaitGroup
		for i, s := range shards {
			work.Go(func() { errs[i] = s.drain(ctx) })
		}
		work.Wait()
		if err := errors.Join(errs...); err != nil || reactedBy(shards) == before {
			return err
		}
	}
}

func reactedBy(shards []*reactorShard) (n int) {
	for _, s := range shards {
		n += s.reacted
	}
	return n
}
