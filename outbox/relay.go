package outbox

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/lease"
)

// A Relay publishes the events of a log to a Watermill publisher, as CloudEvents
// 1.0 (see [MetadataID] and what follows it): each at least once, and those of a
// stream in their order, in that an event is not published before the broker has
// taken the one before it. Streams are published side by side. However many
// relays of a Name there are, they share the shards of the log by leases. Log,
// Name, Publisher and one of Topic and TopicOf are required; a Relay must not be
// copied once used.
//
// When Publish returns nil, the broker has the message: use a publisher that
// waits for it. An event that cannot be published is tried again, with pauses,
// until it can, and holds up its stream: Health, Hooks and the log say so. Other
// streams of its shard go on until Window events lie behind it. A crash, or a
// change of hands, publishes again what was published last, at most Window events
// of a shard.
type Relay struct {
	Log *eventlog.Log
	// Name is stored: it stands for how far the events have been published. Another
	// name begins anew. No slash, at most 200 bytes.
	Name      string
	Publisher message.Publisher
	// Topic is where events go, or TopicOf says it for each; those for which it
	// returns "" go nowhere. It is called by several goroutines.
	Topic   string
	TopicOf func(r eventlog.Record) string
	// Types and Category are what of the log is published, as in an eventlog.Query:
	// nil and "" are everything but system streams.
	Types    []string
	Category string
	// After is where a Name that was never used begins: the zero Position is the
	// first event of the log.
	After eventlog.Position
	// Source is the source of the CloudEvents, a URI reference ("eventlog").
	Source string
	// ContentTypes are the content types of data by the codec's name. Without one
	// JSON is application/json, and all else application/octet-stream.
	ContentTypes map[string]string
	// Pipeline is how many calls of Publish are under way at most (64).
	Pipeline int
	// Batch is how many events of a stream are in one call of Publish at most (16).
	Batch int
	// Window is how many events of a shard are in hand at most (4096): from the first
	// that the broker has not taken to the last that it has. Of their payloads a
	// shard keeps about a megabyte in memory.
	Window int
	// Timeout is when the context of a message that is being published ends (30 s).
	// A call that takes longer than that is reported by Health.
	Timeout time.Duration
	// Lease is after what time at most another relay takes over from one that
	// crashed (10 s).
	Lease time.Duration
	// Grace is how long the calls in hand may take once Run's ctx has ended (5 s);
	// what has not returned by then is left behind.
	Grace time.Duration
	// Backoff is the pause before the second attempt (100 ms). It doubles with each
	// one up to MaxBackoff (a minute).
	Backoff, MaxBackoff time.Duration
	// Runner is the name that operators see beside a lease.
	Runner string
	// Logger gets what could not be published, and errors of the store. nil is
	// silent.
	Logger *slog.Logger
	Hooks  RelayHooks

	run lease.Sole[relay]
}

// RelayHooks observe a Relay, for metrics. They are called by several goroutines
// and must return quickly.
type RelayHooks struct {
	// Published is called after each call of Publish that succeeded.
	Published func(topic string, messages int, took time.Duration)
	// Failed is called after each attempt that failed, with the first event of it.
	Failed func(r eventlog.Record, attempt int, err error)
}

// Run publishes until ctx ends; then it waits for the calls in hand and returns
// nil. It returns an error at once when the Relay is not valid or runs already,
// and later only when going on makes no sense: the log was closed or is damaged.
//
// It hears of commits as followers of the log do: of those of its own process at
// once, of others' when their doorbell rings or with the log's Options.Poll.
func (r *Relay) Run(ctx context.Context) error {
	e, err := r.ready()
	if err == nil {
		err = r.run.Begin(e)
	}
	if err != nil {
		return fmt.Errorf("outbox: relay %s: %w", r.Name, err)
	}
	defer r.run.End()
	crew := &lease.Crew{Keeper: e.keeper, Sweep: reactorSweep, Work: e.work, Trouble: lease.Tell(e.logger)}
	if err := crew.Run(ctx); err != nil {
		return fmt.Errorf("outbox: relay %s: %w", r.Name, err)
	}
	return nil
}

// Check reports what is wrong with the fields: what Run would refuse at once.
func (r *Relay) Check() error {
	if _, err := r.ready(); err != nil {
		return fmt.Errorf("outbox: relay %s: %w", r.Name, err)
	}
	return nil
}

// Health returns nil when a Run is under way and nothing keeps it from going on,
// or else what does: streams that are held up, calls of Publish that do not
// return, and a store that cannot be reached.
func (r *Relay) Health(context.Context) error {
	e := r.run.Under()
	if e == nil {
		return fmt.Errorf("outbox: relay %s %w", r.Name, ErrNotRunning)
	}
	if err := e.health(); err != nil {
		return fmt.Errorf("outbox: relay %s: %w", r.Name, err)
	}
	return nil
}
