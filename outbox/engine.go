package outbox

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/rollforward/rollforward/eventlog"
)

// An engine is a Runner made ready: options filled in, handlers by type.
type engine struct {
	options
	handlers map[string]*Handler
	slots    chan struct{} // one for each target worked on
	maxOpen  int           // steps of a shard that may wait beside its cursor
	unknown  sync.Map      // types that were reported
}

type options struct {
	Log                       *eventlog.Log
	Sweep, Grace              time.Duration
	Batch, Targets, ReadAhead int
	Logger                    *slog.Logger
}

func (r *Runner) engine() (*engine, error) {
	if r.Log == nil {
		return nil, errors.New("a Runner needs a Log")
	}
	e := &engine{handlers: make(map[string]*Handler), maxOpen: r.maxOpen}
	if e.maxOpen == 0 {
		e.maxOpen = 8192
	}
	e.options = options{r.Log, r.Sweep, r.Grace, r.Batch, r.Targets, r.ReadAhead, r.Logger}
	for i := range r.Handlers {
		h := r.Handlers[i]
		switch {
		case h.Type == "" || h.Do == nil:
			return nil, fmt.Errorf("handler %d (%q) lacks its Type or Do", i, h.Type)
		case e.handlers[h.Type] != nil:
			return nil, fmt.Errorf("two handlers for step type %q", h.Type)
		}
		if err := h.Policy.check(); err != nil {
			return nil, fmt.Errorf("handler %q: %w", h.Type, err)
		}
		e.handlers[h.Type] = &h
	}
	if err := e.options.fill(); err != nil {
		return nil, err
	}
	e.slots = make(chan struct{}, e.Targets)
	return e, nil
}

func (e *engine) dispatchers() []*dispatcher {
	list := make([]*dispatcher, e.Log.Shards())
	for s := range list {
		list[s] = newDispatcher(e, s)
	}
	return list
}

// fill puts the defaults in and refuses what makes no sense.
func (o *options) fill() error {
	for _, d := range []struct {
		name      string
		value     *time.Duration
		def, most time.Duration
	}{
		{"Sweep", &o.Sweep, time.Second, time.Hour},
		{"Grace", &o.Grace, 5 * time.Second, time.Hour},
	} {
		if *d.value < 0 || *d.value > d.most {
			return fmt.Errorf("option %s is %v: up to %v", d.name, *d.value, d.most)
		}
		if *d.value == 0 {
			*d.value = d.def
		}
	}
	for _, n := range []struct {
		name      string
		value     *int
		def, most int
	}{
		{"Batch", &o.Batch, 128, 10_000},
		{"Targets", &o.Targets, 16, 10_000},
		{"ReadAhead", &o.ReadAhead, 1024, 1_000_000},
	} {
		if *n.value < 0 || *n.value > n.most {
			return fmt.Errorf("option %s is %d: 1 to %d", n.name, *n.value, n.most)
		}
		if *n.value == 0 {
			*n.value = n.def
		}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// unhandled reports a step that no handler takes: a type once, an unreadable step
// each time.
func (e *engine) unhandled(it *item, unreadable error) {
	if unreadable != nil {
		e.Logger.Error("a step cannot be read; it stays pending", "shard", it.shard, "step", it.id, "err", unreadable)
		return
	}
	if _, known := e.unknown.LoadOrStore(it.typ, true); !known {
		e.Logger.Warn("no handler knows a step type; its steps stay pending", "type", it.typ, "step", it.id, "target", it.target)
	}
}

// report logs an outcome once it is durable.
func (e *engine) report(it *item, o outcome) {
	args := []any{"type", it.typ, "step", it.id, "target", it.target, "attempt", o.attempt, "err", o.err}
	switch {
	case o.dead:
		e.Logger.Error("a step has failed for good: dead letter", args...)
	case o.decided && o.attempt > 0:
		e.Logger.Warn("a step has failed for good", args...)
	case o.attempt > 0:
		e.Logger.Warn("a step failed and is tried again", append(args, "due", o.due)...)
	}
}
