package remotelog

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/internal/seal"
)

// A session is a client at the server.
type session struct {
	h      *Handler
	link   *link
	client string // its id; "": it has none
	moves  bool   // it may send Writes that may be moved
	party  *party
	ctx    context.Context // of the connection
	cancel context.CancelFunc
	room   chan struct{} // tokens of the Writes and questions under way
	tasks  chan *task    // to those who wait for one
	reads  chan struct{} // to those who wait: to read on
	over   chan error    // why the reading ended

	mu        sync.Mutex
	requests  map[uint64]*request // iterations and watches under way
	iterating int                 // these, and those whose end is being told
	finishing bool
	under     sync.WaitGroup // Writes, and questions that end by themselves
	writes    sync.WaitGroup // of these, the Writes
	decided   chan struct{}  // closed by settle
	settle    func()         // says that all Writes are decided on, and none will come
}

func newSession(h *Handler, client string) *session {
	s := &session{h: h, client: client, moves: h.starts != nil && client != "", requests: make(map[uint64]*request), room: make(chan struct{}, maxRoom),
		tasks: make(chan *task), reads: make(chan struct{}), over: make(chan error, 1), decided: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancel(h.ctx)
	s.settle = sync.OnceFunc(func() { close(s.decided) })
	return s
}

const (
	maxRoom      = 1024             // tokens of one client; what needs more waits on the wire
	tokenBytes   = 64 << 10         // of a Write that cost a further token
	sharedBody   = 16 << 10         // of a Write, up to which others are told parts of its very memory
	maxRequests  = 512              // iterations and watches of one client; more are refused
	silence      = 30 * time.Second // after which a client is taken for dead
	finishWithin = 5 * time.Second  // for the Writes under way when the server closes
)

// run serves the client until its connection ends.
func (s *session) run() {
	ctx := s.ctx
	stop := context.AfterFunc(ctx, func() { s.link.end(errGone) })
	var wg sync.WaitGroup
	wg.Go(s.link.run)
	wg.Go(func() { s.attend(ctx, &wg, nil) })
	err := <-s.over
	s.link.end(err)
	s.cancel()
	stop()
	s.h.turns.part(s.party)
	s.writes.Wait()
	s.settle()
	s.under.Wait() // whoever decides on one may begin to work on it
	wg.Wait()
	if errors.Is(err, errProtocol) {
		s.h.opts.Logger.Warn("a client of the log was cut off", "err", err)
	}
}

// attend works on a Write, or reads if there is none, and then does what is next. One
// goroutine of a session reads. Who has read a Write that goes to the store at once
// works on it, and another one reads on: to wake that up takes as long as a sync.
func (s *session) attend(ctx context.Context, wg *sync.WaitGroup, t *task) {
	for {
		if t == nil {
			var err error
			if t, err = s.read(ctx, wg); err != nil {
				s.over <- err
				return
			}
			select {
			case s.reads <- struct{}{}:
			default:
				wg.Go(func() { s.attend(ctx, wg, nil) })
			}
		}
		s.end(t, s.h.answer(ctx, s.h.turns.carry(&t.waiter, s.h.start(context.Background(), t.write))))
		select { // a goroutine that has grown costs less than a new one
		case t = <-s.tasks:
		case <-s.reads:
			t = nil
		case <-ctx.Done():
			return
		}
	}
}

// read takes frames until one brings a Write that goes to the store at once, or the
// connection ends.
func (s *session) read(ctx context.Context, wg *sync.WaitGroup) (*task, error) {
	for {
		if err := s.link.expect(silence); err != nil {
			return nil, err
		}
		f, err := readFrame(s.link.in)
		if err != nil {
			if err == io.EOF {
				err = errGone
			}
			return nil, err
		}
		if t, err := s.serve(ctx, wg, f); t != nil || err != nil {
			return t, err
		}
	}
}

// serve begins to do what a frame asks for. A Write that goes to the store at once is
// left to the caller. An error ends the connection.
func (s *session) serve(ctx context.Context, wg *sync.WaitGroup, f frame) (*task, error) {
	if f.kind != askWrite && f.kind != askMove {
		return nil, s.serveOther(ctx, wg, f)
	}
	d, free := &decoder{b: f.body}, f.kind == askMove
	var w driver.Write
	if free {
		w = d.move()
	} else {
		w = d.write()
	}
	if err := d.done(); err != nil {
		return nil, err
	}
	lent := len(f.body) > sharedBody
	return s.write(ctx, wg, &task{id: f.id, tokens: 1 + len(f.body)/tokenBytes, waiter: waiter{party: s.party, write: &w, free: free, lent: lent}})
}

func (s *session) serveOther(ctx context.Context, wg *sync.WaitGroup, f frame) error {
	d := &decoder{b: f.body}
	switch f.kind {
	case askTail:
		shard := d.int(maxShard)
		if err := d.done(); err != nil {
			return err
		}
		return s.ask(ctx, wg, f.id, func(ctx context.Context) ([]byte, error) {
			rev, err := s.h.log.Tail(ctx, shard)
			return binary.AppendUvarint(nil, uint64(rev)), err
		})
	case askStats, askBackup:
		to := d.string()
		if err := d.done(); err != nil {
			return err
		}
		return s.ask(ctx, wg, f.id, func(ctx context.Context) ([]byte, error) {
			if s.h.store == nil {
				return nil, errNoMaintenance
			}
			return maintain(ctx, s.h.store, f.kind, to)
		})
	case askPing:
		return s.link.send(tellAlive, f.id, nil)
	case askMore, askCancel:
		s.steer(f)
	default:
		return s.iterate(ctx, wg, f, d)
	}
	return nil
}

// answer tells how a request ended.
func (s *session) answer(id uint64, value []byte, err error) {
	_ = s.link.send(tellDone, id, func(b []byte) []byte { // a link that failed has ended the session
		if b = appendOutcome(b, err); err == nil {
			b = append(b, value...)
		}
		return b
	})
}

// begin takes tokens for a request and reports whether it may begin; every one is
// answered. free gives them back. An error is that of ctx.
func (s *session) begin(ctx context.Context, id uint64, tokens int) (bool, error) {
	for range tokens {
		select {
		case s.room <- struct{}{}:
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.finishing {
		s.answer(id, nil, errGone)
		return false, nil
	}
	s.under.Add(1)
	return true, nil
}

func (s *session) free(tokens int) {
	s.under.Done()
	for range tokens {
		<-s.room
	}
}

// write lets a Write stand in line. If it goes to the store at once it is left to the
// caller. It is not taken back when the client goes away: nobody knows any more whether
// it was answered.
func (s *session) write(ctx context.Context, wg *sync.WaitGroup, t *task) (*task, error) {
	if ok, err := s.begin(ctx, t.id, t.tokens); !ok {
		return nil, err
	}
	s.writes.Add(1)
	refuse := func(err error) {
		if s.link.clogged() { // whoever tells it has no time
			wg.Go(func() { s.end(t, err) })
		} else {
			s.end(t, err)
		}
	}
	t.waiter.decided = func(err error) {
		if err != nil {
			refuse(err)
			return
		}
		select {
		case s.tasks <- t: // somebody has nothing to do
		default:
			wg.Go(func() { s.attend(ctx, wg, t) })
		}
	}
	if t.free && !s.moves {
		s.end(t, errors.ErrUnsupported)
		return nil, nil
	}
	if err := s.h.mayWrite(&t.waiter); err != nil {
		s.end(t, err)
		return nil, nil
	}
	switch decided, err := s.h.turns.ask(&t.waiter); {
	case decided && err != nil:
		refuse(err)
	case decided:
		return t, nil
	}
	return nil, nil
}

// A task is a Write to bring to the store.
type task struct {
	waiter
	id     uint64
	tokens int
}

// end answers a task.
func (s *session) end(t *task, err error) {
	defer func() {
		s.writes.Done()
		s.free(t.tokens)
	}()
	var value []byte
	switch {
	case t.free && errors.Is(err, driver.ErrUnknown):
		s.doubt(err)
		return
	case t.free && err == nil:
		value = appendMoved(nil, t.moved)
	}
	s.answer(t.id, value, err)
}

// doubt ends a session of whose client a Write that could be moved has an outcome that only
// the next owner will know. Until then its client is not served: it would look for the
// Write and not find it.
func (s *session) doubt(err error) {
	s.h.opts.Logger.Error("the store does not know what has become of a client's write; the client is served when the log is opened again", "err", err)
	s.h.mu.Lock()
	s.h.clients[s.client].doubt = true
	s.h.mu.Unlock()
	s.link.end(errGone)
}

// mayWrite checks a Write before it stands in line.
func (h *Handler) mayWrite(wt *waiter) error {
	if h.opts.ReadOnly && changes(wt.write) {
		return ErrReadOnly
	}
	if err := wt.write.Validate(); err != nil || !wt.free {
		return err
	}
	return seal.Check(wt.write)
}

// write brings a Write of the owner's to the store.
func (h *Handler) write(ctx context.Context, wt *waiter) error {
	if err := h.mayWrite(wt); err != nil {
		return err
	}
	return h.answer(ctx, h.turns.do(ctx, wt, h.start(ctx, wt.write)))
}

// answer is what is said of a Write that the store has answered so.
func (h *Handler) answer(ctx context.Context, err error) error {
	if errors.Is(err, driver.ErrClosed) {
		return h.failed(ctx, err)
	}
	return err
}

// start returns a function that hands w to the store.
func (h *Handler) start(ctx context.Context, w *driver.Write) func() (wait func() error) {
	return func() (wait func() error) {
		if h.starts != nil {
			return h.starts.Start(ctx, *w)
		}
		return func() error { return h.log.Write(ctx, *w) }
	}
}

// changes reports whether w does more than check.
func changes(w *driver.Write) bool {
	for i := range w.Cells {
		if w.Cells[i].Op != driver.Check {
			return true
		}
	}
	return slices.ContainsFunc(w.Batches, func(b driver.Batch) bool { return len(b.Commits) > 0 })
}

// ask answers a question that ends by itself.
func (s *session) ask(ctx context.Context, wg *sync.WaitGroup, id uint64, f func(context.Context) ([]byte, error)) error {
	if ok, err := s.begin(ctx, id, 1); !ok {
		return err
	}
	wg.Go(func() {
		value, err := f(ctx)
		s.answer(id, value, err)
		s.free(1)
	})
	return nil
}

// finish refuses what comes from now on, waits for the Writes under way to be
// answered, and ends the connection. A client that takes nothing holds up nobody.
func (s *session) finish() {
	s.mu.Lock()
	s.finishing = true
	link := s.link
	s.mu.Unlock()
	if link == nil {
		return // it ends before it has begun
	}
	link.hurry()
	done := make(chan struct{})
	go func() {
		s.under.Wait()
		close(done)
	}()
	timer := time.NewTimer(finishWithin)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
	s.mu.Lock()
	for _, r := range s.requests {
		r.cancel()
	}
	s.mu.Unlock()
	link.drained()
	link.end(errGone)
}
