package outbox

import (
	"context"
	"errors"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/jitter"
	"github.com/rollforward/rollforward/internal/lease"
)

// A relayShard publishes the events of one shard. Its state belongs to the
// goroutine that runs it.
type relayShard struct {
	*relay
	lease lease.Lease
	shard int

	mark    relayMark    // the cursor, as it is stored
	at      shardPlace   // everything up to here was taken by the broker
	dirty   bool         // at is behind something that was published
	window  []*relayItem // behind at, in order
	bytes   int          // of the payloads in memory
	streams map[string]*relayStream
	ready   []*relayStream // that can go on, first come first served
	busy    int            // calls of Publish under way

	arrivals chan relayArrival
	results  chan relayResult
	woken    chan *relayStream // whose pause is over
	over     chan struct{}     // closed when nobody listens any more
	saves    chan relaySaved   // a saving is under way
}

// A relayItem is an event in hand, or, when it is taken from the beginning, a
// stretch without one.
type relayItem struct {
	place   shardPlace // behind it
	record  *eventlog.Record
	stream  string
	version uint64
	taken   bool // by the broker
}

// A relayStream holds the events in hand of a stream that the broker has not
// taken. At most one call of Publish is under way for it.
type relayStream struct {
	name    string
	items   []*relayItem
	busy    bool // a call is under way, or it pauses after one that failed
	attempt int  // that failed, of the first event
	calling int  // events in the call under way
	careful int  // events to be published alone: one of them failed
	pause   *time.Timer
}

const (
	relayBytes = 1 << 20   // payloads in memory of a shard, about
	relayCall  = 256 << 10 // payloads of a call, about
	relaySave  = 200 * time.Millisecond
	relayLazy  = 1024 // commits without an event to publish after which the cursor is saved
)

func newRelayShard(e *relay, l lease.Lease) *relayShard {
	return &relayShard{relay: e, lease: l, shard: l.Index, streams: make(map[string]*relayStream), arrivals: make(chan relayArrival),
		results: make(chan relayResult, cap(e.slots)), woken: make(chan *relayStream), over: make(chan struct{})}
}

// run publishes until ctx ends or the lease is lost.
func (s *relayShard) run(ctx context.Context) error {
	defer s.leave(s.shard)
	if err := s.load(ctx); err != nil {
		return s.final(ctx, err)
	}
	own, stop := context.WithCancel(ctx)
	defer stop()
	hand, release := lease.Linger(own, s.grace)
	defer release()
	go s.read(own, s.at)
	err := s.loop(own, hand)
	stop()
	for range s.arrivals {
	}
	if !errors.Is(err, lease.ErrLost) {
		s.finish(ctx, hand)
	}
	close(s.over)
	for _, st := range s.streams {
		if st.pause != nil {
			st.pause.Stop()
		}
	}
	return s.final(ctx, err)
}

// final is what an error means to the runner: nil, unless going on makes no
// sense.
func (s *relayShard) final(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, lease.ErrLost):
		s.logger.Warn("the cursor of a shard is in other hands", "shard", s.shard, "err", err)
	case ctx.Err() == nil && lease.Fatal(err):
		return err
	}
	return nil
}

// load reads the cursor.
func (s *relayShard) load(ctx context.Context) error {
	for attempt := 1; ; attempt++ {
		mark, err := s.cursors.Load(ctx, s.lease)
		if err == nil {
			s.mark, s.at = mark, mark.At.place()
			return nil
		}
		if ctx.Err() != nil || lease.Fatal(err) || errors.Is(err, lease.ErrLost) {
			return err
		}
		s.trouble(s.part(relayReading), err)
		jitter.Pause(ctx, faults.delay(attempt))
	}
}

func (s *relayShard) loop(ctx, hand context.Context) error {
	save := time.NewTicker(relaySave)
	defer save.Stop()
	save.Stop()
	ticking := false
	for ctx.Err() == nil {
		if s.dirty != ticking { // an idle relay does not wake up
			if ticking = s.dirty; ticking {
				save.Reset(relaySave)
			} else {
				save.Stop()
			}
		}
		select {
		case a := <-s.room():
			if err := s.admit(a); err != nil {
				return err
			}
		case s.slot() <- struct{}{}:
			s.start(hand)
		case r := <-s.results:
			s.settle(r)
		case st := <-s.woken:
			st.busy = false
			s.list(st)
		case <-save.C:
			s.save(hand)
		case d := <-s.saves:
			if err := s.saved(d); err != nil {
				return err
			}
		case <-ctx.Done():
		}
	}
	return nil
}

// room is where the next event comes from, when there is room for it.
func (s *relayShard) room() <-chan relayArrival {
	if len(s.window) >= s.relayOptions.window || s.bytes >= relayBytes {
		return nil
	}
	return s.arrivals
}

// slot is where a slot is to be had when a stream can go.
func (s *relayShard) slot() chan<- struct{} {
	if len(s.ready) == 0 {
		return nil
	}
	return s.slots
}

// admit takes an arrival in hand.
func (s *relayShard) admit(a relayArrival) error {
	switch {
	case a.err != nil:
		if !lease.Fatal(a.err) {
			s.trouble(s.part(relayReading), a.err)
			s.logger.Error("the events of a shard cannot be read", "shard", s.shard, "err", a.err)
			return nil
		}
		return a.err
	case a.record == nil:
		s.well(s.part(relayReading))
		s.pass(a.place)
	default:
		it := &relayItem{place: a.place, record: a.record, stream: a.record.Stream, version: a.record.Version}
		s.bytes += it.size()
		s.window = append(s.window, it)
		s.queue(it)
		if s.bytes >= relayBytes {
			s.shed()
		}
	}
	return nil
}

// shed drops the payloads of events that are not next in their streams, so that
// no stream fills the memory of its shard.
func (s *relayShard) shed() {
	for _, st := range s.streams {
		for _, it := range st.items[min(s.batch, len(st.items)):] {
			s.drop(it)
		}
	}
}

func (s *relayShard) part(what string) relayPart { return relayPart{shard: s.shard, what: what} }

// pass notes that there is nothing up to a place.
func (s *relayShard) pass(to shardPlace) {
	if n := len(s.window); n == 0 {
		s.at = to
		s.dirty = s.dirty || s.at.Revision-s.mark.At.Revision >= relayLazy
	} else if last := s.window[n-1]; last.taken {
		last.place = to
	} else {
		s.window = append(s.window, &relayItem{place: to, taken: true})
	}
}

// advance moves behind what the broker has taken.
func (s *relayShard) advance() {
	n := 0
	for ; n < len(s.window) && s.window[n].taken; n++ {
		s.at = s.window[n].place
		s.window[n] = nil
		s.dirty = true
	}
	s.window = s.window[n:]
}

func (it *relayItem) size() int {
	if it.record == nil {
		return 0
	}
	return len(it.record.Data)
}
