package projection

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/internal/lease"
)

// A Stop says why a projection stopped, as the sink keeps it: for those who look
// from another process, or later. It is an error, in the words of the one that
// stopped the projection.
type Stop struct {
	Version int // of the program's projection
	Time    time.Time
	Reason  string
	// Shard and Revision name the commit with the event that could not be
	// handled. Revision is 0 when it was no event that stopped the projection.
	Shard    int
	Revision driver.Revision
}

func (s *Stop) Error() string { return s.Reason }

// Stopped returns why the projection stands still. It is nil when nothing stopped
// it, when it was an older program that stopped, and when another runner came
// further since.
func (s *State) Stopped() *Stop {
	switch {
	case s.Stop == nil, s.Stop.Version < s.Version:
		return nil
	case s.Stop.Revision != 0 && s.Position().Revision(s.Stop.Shard) >= s.Stop.Revision:
		return nil
	}
	return s.Stop
}

// note lets the sink keep why a projection stopped. What a newer program's read
// model or a closed log has stopped is in nobody's way.
func (r *Runner[T]) note(ctx context.Context, p *Projection[T], reason error) {
	if errors.Is(reason, ErrVersion) || errors.Is(reason, eventlog.ErrClosed) {
		return
	}
	s := &Stop{Version: p.Version, Time: r.Log.Now(), Reason: readable(reason)}
	var refused *EventError
	if errors.As(reason, &refused) {
		s.Shard, s.Revision = refused.Record.Shard, refused.Record.Revision
	}
	ctx, release := lease.Linger(ctx, r.grace())
	defer release()
	if err := r.Sink.Note(ctx, p.Name, s); err != nil {
		r.logger().Warn("projection: the sink does not keep why it stopped", "projection", p.Name, "error", err)
	}
}

const maxReason = 4 << 10

// readable returns an error's text as any store can keep it.
func readable(err error) string {
	text := err.Error()
	if len(text) > maxReason {
		text = text[:maxReason]
	}
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}

// Health returns what keeps the projections from going on, one error each: that
// one has stopped, and why; what is being retried, or has not ended for a minute;
// that it does not run here, or has only begun to. Without any all is well. It asks neither the log nor the
// sink, so it is good for a readiness probe; how far a projection is behind it
// does not say, see Status.
func (r *Runner[T]) Health() []error {
	var out []error
	for i := range r.Projections {
		if err := r.health(r.Projections[i].Name); err != nil {
			out = append(out, err)
		}
	}
	return out
}

func (r *Runner[T]) health(name string) error {
	live := r.live(name)
	if live == nil {
		return fmt.Errorf("%s does not run", name)
	}
	troubles, _, stopped := live.report()
	if stopped != nil {
		return stopped
	}
	for shard := allShards; shard < r.Log.Shards(); shard++ {
		if err := troubles[shard]; err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if !live.begun() {
		return fmt.Errorf("%s is starting", name)
	}
	return nil
}
