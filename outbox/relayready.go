package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/lease"
)

// A relay is a Relay made ready: its options filled in.
type relay struct {
	*relayOptions
	keeper  *lease.Keeper
	cursors *lease.Cursors[relayCursor]
	slots   chan struct{} // one for each call of Publish
	relayTroubles
}

type relayOptions struct {
	Log            *eventlog.Log
	name           string
	publisher      message.Publisher
	topicOf        func(r eventlog.Record) string
	types          []string
	category       string
	after          eventlog.Position
	source         string
	contentTypes   map[string]string
	batch, window  int
	timeout, grace time.Duration
	pauses         Policy
	logger         *slog.Logger
	hooks          RelayHooks
}

// ready fills the defaults in and refuses what makes no sense.
func (r *Relay) ready() (*relay, error) {
	if r.Log == nil || r.Publisher == nil {
		return nil, errors.New("a Relay needs a Log and a Publisher")
	}
	if (r.Topic == "") == (r.TopicOf == nil) {
		return nil, errors.New("a Relay needs a Topic or a TopicOf, and not both")
	}
	if err := checkReaderName(r.Name); err != nil {
		return nil, err
	}
	o := &relayOptions{Log: r.Log, name: r.Name, publisher: r.Publisher, topicOf: r.TopicOf, types: r.Types, category: r.Category,
		after: r.After, source: r.Source, contentTypes: r.ContentTypes, batch: r.Batch, window: r.Window, timeout: r.Timeout, grace: r.Grace,
		pauses: Policy{Backoff: r.Backoff, MaxBackoff: r.MaxBackoff}, logger: r.Logger, hooks: r.Hooks}
	if o.topicOf == nil {
		o.topicOf = func(eventlog.Record) string { return r.Topic }
	}
	if o.source == "" {
		o.source = "eventlog"
	}
	if _, err := url.Parse(o.source); err != nil {
		return nil, fmt.Errorf("option Source: %w", err)
	}
	pipeline := r.Pipeline
	if err := o.fill(&pipeline); err != nil {
		return nil, err
	}
	e := &relay{relayOptions: o, slots: make(chan struct{}, pipeline), cursors: relayCursors(r.Log, r.Name, r.After)}
	e.relayTroubles.init()
	e.keeper = &lease.Keeper{Log: r.Log, Prefix: "$relay-" + r.Name, Count: r.Log.Shards(), Duration: r.Lease, Name: r.Runner, Fence: e.cursors.Fence}
	return e, e.keeper.Check()
}

func (o *relayOptions) fill(pipeline *int) error {
	for _, n := range []struct {
		name      string
		value     *int
		def, most int
	}{
		{"Pipeline", pipeline, 64, 10_000},
		{"Batch", &o.batch, 16, 1000},
		{"Window", &o.window, 4096, 1_000_000},
	} {
		if *n.value < 0 || *n.value > n.most {
			return fmt.Errorf("option %s is %d: 1 to %d", n.name, *n.value, n.most)
		}
		if *n.value == 0 {
			*n.value = n.def
		}
	}
	for _, d := range []struct {
		name  string
		value *time.Duration
		def   time.Duration
	}{{"Timeout", &o.timeout, 30 * time.Second}, {"Grace", &o.grace, 5 * time.Second}} {
		if *d.value < 0 || *d.value > time.Hour {
			return fmt.Errorf("option %s is %v: up to %v", d.name, *d.value, time.Hour)
		}
		if *d.value == 0 {
			*d.value = d.def
		}
	}
	if o.pauses.Backoff < 0 || o.pauses.MaxBackoff < 0 {
		return errors.New("options Backoff and MaxBackoff cannot be negative")
	}
	if o.logger == nil {
		o.logger = slog.New(slog.DiscardHandler)
	}
	o.logger = o.logger.With("relay", o.name)
	return nil
}

// work is the work on a shard that is held under a lease.
func (e *relay) work(ctx context.Context, l lease.Lease) error {
	return newRelayShard(e, l).run(ctx)
}
