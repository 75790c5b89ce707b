package lease

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/jitter"
)

// A Crew works on what a Keeper holds: one Work for each lease, side by side.
// Keeper and Work are required.
type Crew struct {
	Keeper *Keeper
	// Sweep is the time between two Ticks. More than a sixth of the Keeper's
	// Duration, or 0, is that sixth.
	Sweep time.Duration
	// Work works on a thing until ctx ends, because the lease was lost, is wanted by
	// another, or Run ends. When it returns nothing of its work is under way any
	// more. One that returns nil before is called again at the next Tick; an error
	// ends Run. What it writes is fenced: when the store hangs, ctx may end a little
	// later than others take over.
	Work func(ctx context.Context, l Lease) error
	// Trouble, if not nil, gets the error of a Tick that fails after one that did
	// not, and nil when it is over.
	Trouble func(err error)
}

// Run works until ctx ends or a Work fails; then it waits for the others, gives
// everything back, and returns what the first failed with.
func (c *Crew) Run(ctx context.Context) error {
	if err := c.Keeper.Check(); err != nil {
		return err
	}
	s := &shift{Crew: c, hands: make(map[int]*hand), done: make(chan *hand)}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil && s.err == nil {
		select {
		case <-timer.C:
			s.tick(ctx)
			timer.Reset(c.interval())
		case h := <-s.done:
			s.finished(ctx, h)
		case <-ctx.Done():
		}
	}
	s.end(ctx)
	return s.err
}

func (c *Crew) interval() time.Duration {
	sixth := c.Keeper.duration() / 6
	if c.Sweep <= 0 {
		return sixth
	}
	return min(c.Sweep, sixth)
}

// A shift is one Run of a Crew.
type shift struct {
	*Crew
	hands   map[int]*hand
	done    chan *hand
	trouble bool
	err     error
}

// A hand is a Work under way.
type hand struct {
	lease Lease
	stop  context.CancelFunc
	err   error
}

func (s *shift) tick(ctx context.Context) {
	soon, cancel := s.soon(ctx)
	defer cancel()
	if err := s.Keeper.Tick(soon); ctx.Err() == nil {
		s.tell(err)
	}
	s.assign(ctx)
}

// soon bounds a call of the store: one that hangs must not keep this runner from
// seeing that it holds nothing any more.
func (s *shift) soon(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.Keeper.duration()/2)
}

func (s *shift) tell(err error) {
	if was := s.trouble; s.Trouble != nil && was != (err != nil) {
		s.Trouble(err)
	}
	s.trouble = err != nil
}

// assign brings the hands in line with what is held.
func (s *shift) assign(ctx context.Context) {
	surplus := s.Keeper.Surplus()
	for i, h := range s.hands {
		if slices.Contains(surplus, i) || !s.Keeper.Holds(h.lease) {
			h.stop()
		}
	}
	for _, l := range s.Keeper.Held() {
		switch {
		case s.hands[l.Index] != nil:
		case slices.Contains(surplus, l.Index):
			s.giveBack(ctx, l.Index)
		default:
			s.begin(ctx, l)
		}
	}
}

func (s *shift) begin(ctx context.Context, l Lease) {
	ctx, cancel := context.WithCancel(ctx)
	h := &hand{lease: l, stop: cancel}
	s.hands[l.Index] = h
	go func() {
		defer cancel()
		h.err = s.Work(ctx, l)
		s.done <- h
	}()
}

func (s *shift) finished(ctx context.Context, h *hand) {
	delete(s.hands, h.lease.Index)
	switch {
	case h.err != nil && s.err == nil:
		s.err = h.err
	case slices.Contains(s.Keeper.Surplus(), h.lease.Index):
		s.giveBack(ctx, h.lease.Index)
	}
}

// giveBack gives a lease back. If that fails the next Tick says so, and it is
// given back again.
func (s *shift) giveBack(ctx context.Context, index int) {
	soon, cancel := s.soon(ctx)
	defer cancel()
	if err := s.Keeper.GiveBack(soon, index); err != nil && ctx.Err() == nil {
		s.tell(err)
	}
}

func (s *shift) end(ctx context.Context) {
	for _, h := range s.hands {
		h.stop()
	}
	for len(s.hands) > 0 {
		h := <-s.done
		delete(s.hands, h.lease.Index)
		if h.err != nil && s.err == nil {
			s.err = h.err
		}
	}
	soon, cancel := s.soon(context.WithoutCancel(ctx))
	defer cancel()
	if err := s.Keeper.Close(soon); err != nil {
		s.tell(err)
	}
}

// Linger returns a context for work that may go on for a while after ctx has
// ended. release must be called when the work is done.
func Linger(ctx context.Context, d time.Duration) (long context.Context, release func()) {
	long, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		jitter.Pause(long, d)
		cancel()
	})
	return long, func() {
		stop()
		cancel()
	}
}

// Fatal reports whether an error of the log means that to go on makes no sense.
func Fatal(err error) bool {
	return errors.Is(err, eventlog.ErrClosed) || errors.Is(err, eventlog.ErrCorrupt) || errors.Is(err, eventlog.ErrFormat)
}
