package remotelog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/pebblelog"
)

// An owner is a directory that this process has, and serves to others.
type owner struct {
	log      *pebblelog.Log
	handler  *Handler
	party    *party
	http     *http.Server // nil: it is not shared
	socket   *socket
	serving  sync.WaitGroup
	opts     Options
	hopeless chan struct{} // closed when it can only be opened again after the end of this process
	recovers sync.Once
	mu       sync.Mutex           // of the end
	ended    chan struct{}        // closed when it is given up
	giveUp   func()               // closes ended
	rest     func() time.Duration // before it is given up because it has failed
	closing  sync.Once
	err      error // of the closing
}

func newOwner(store *pebblelog.Log, o Options) *owner {
	w := &owner{log: store, opts: o, party: newParty(), ended: make(chan struct{}), hopeless: make(chan struct{}), rest: func() time.Duration { return 0 }}
	w.giveUp = sync.OnceFunc(func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		close(w.ended)
	})
	w.handler = NewHandler(store, &HandlerOptions{ReadOnly: o.ReadOnly, Logger: o.Logger})
	w.handler.store = store
	w.handler.writer = w.giveUp // who only reads makes room for who writes
	w.handler.failed = w.failed
	return w
}

// serve lets others in through a socket.
func (w *owner) serve(s *socket) {
	w.socket = s
	w.http = &http.Server{Handler: w.handler, ReadHeaderTimeout: handshakeTimeout, MaxHeaderBytes: 8 << 10,
		ErrorLog: log.New(io.Discard, "", 0)}
	w.serving.Go(func() {
		if err := w.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			w.handler.opts.Logger.Error("remotelog: nobody can join any more", "err", err)
		}
	})
}

func (w *owner) gone() <-chan struct{} { return w.ended }

// close answers what is under way, ends the connections, and gives the directory
// back.
func (w *owner) close() error {
	w.closing.Do(func() {
		w.giveUp()
		w.err = w.handler.Close()
		if w.http != nil {
			w.err = errors.Join(w.err, w.http.Close(), w.socket.remove())
		}
		w.serving.Wait()
		w.err = errors.Join(w.err, w.log.Close())
	})
	return w.err
}

// recover gives up a directory that has failed: whoever opens it next knows what is
// there. Reads go on until that is likely to help.
func (w *owner) recover() {
	rest := w.rest()
	timer := time.NewTimer(rest)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-w.ended:
			return
		}
		err := w.log.Mended()
		if err == nil {
			w.giveUp()
			return
		}
		w.opts.Logger.Error("remotelog: nothing can be written, reads go on", "dir", w.log.Dir(), "err", err)
		if errors.Is(err, driver.ErrClosed) {
			close(w.hopeless)
			return
		}
		rest = longer(rest)
		timer.Reset(rest)
	}
}

// failed returns what to answer to a Write whose store has failed, or was closed. It waits
// until the directory is given up, for the next owner can be asked: as long as it takes
// when it is not known what has become of the Write, which only that one can say.
func (w *owner) failed(ctx context.Context, err error) error {
	w.recovers.Do(func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.over() == nil {
			w.serving.Go(w.recover)
		}
	})
	unknown := errors.Is(err, driver.ErrUnknown)
	var late <-chan time.Time
	if !unknown {
		timer := time.NewTimer(w.opts.Patience)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-w.ended:
		if unknown {
			return told{driver.ErrUnknown, err.Error()}
		}
		return given(err)
	case <-ctx.Done():
		return errors.Join(ctx.Err(), unwritten(err))
	case <-w.hopeless:
	case <-late:
	}
	return unwritten(err)
}

// unwritten is the error of a Write of which nothing was done, because nothing can be
// written at present: the log is not closed. One of unknown outcome stays that.
func unwritten(err error) error {
	switch {
	case errors.Is(err, driver.ErrUnknown):
		return err
	case errors.Is(err, driver.ErrDiskFull):
		return told{driver.ErrDiskFull, err.Error()}
	}
	return told{text: err.Error()}
}

// over returns errGone when it is given up. From then on the log is not asked any more:
// it does not show what it has failed to write, and the next owner may.
func (w *owner) over() error {
	select {
	case <-w.ended:
		return errGone
	default:
		return nil
	}
}

// given is an error of the store; when it was closed this place is lost.
func given(err error) error {
	if errors.Is(err, driver.ErrClosed) && !errors.Is(err, driver.ErrUnknown) {
		return fmt.Errorf("%w: %w", errGone, told{text: err.Error()})
	}
	return err
}

func (w *owner) write(ctx context.Context, x *driver.Write) error {
	return w.send(ctx, &waiter{party: w.party, write: x})
}

func (w *owner) move(ctx context.Context, x *driver.Write) ([]driver.Moved, error) {
	if err := w.over(); err != nil {
		return nil, err
	}
	wt := &waiter{party: w.party, write: x, free: true}
	err := w.send(ctx, wt)
	if errors.Is(err, errGone) { // it may have been moved, and cannot go elsewhere as it is
		return nil, &driver.TailError{Shard: x.Batches[0].Shard} // it has commits, or it would have been refused
	}
	return wt.moved, err
}

// send brings a Write to its end. It returns errGone, or driver.ErrUnknown without
// driver.ErrClosed, only when the directory is given up: then the next owner is asked.
func (w *owner) send(ctx context.Context, wt *waiter) error {
	if err := w.over(); err != nil {
		return err
	}
	err := w.handler.write(ctx, wt)
	if errors.Is(err, context.Canceled) && ctx.Err() == nil { // the handler's, which is closed
		return fmt.Errorf("%w: %w", errGone, told{text: err.Error()})
	}
	return err
}

func (w *owner) tail(ctx context.Context, shard int) (driver.Revision, error) {
	if err := w.over(); err != nil {
		return 0, err
	}
	rev, err := w.log.Tail(ctx, shard)
	return rev, given(err)
}

func (w *owner) read(ctx context.Context, shard int, r driver.Range) iter.Seq2[driver.Commit, error] {
	return givenItems(w, w.log.Read(ctx, shard, r))
}

func (w *owner) find(ctx context.Context, shard int, key string, r driver.Range) iter.Seq2[driver.Commit, error] {
	return givenItems(w, w.log.Find(ctx, shard, key, r))
}

func (w *owner) keys(ctx context.Context, shard int, prefix, after string) iter.Seq2[driver.Key, error] {
	return givenItems(w, w.log.Keys(ctx, shard, prefix, after))
}

func (w *owner) cells(ctx context.Context, from, to string, limit int) iter.Seq2[driver.Cell, error] {
	return givenItems(w, w.log.Cells(ctx, from, to, limit))
}

func (w *owner) watch(ctx context.Context) iter.Seq2[driver.Head, error] {
	return givenItems(w, w.log.Watch(ctx))
}

func givenItems[T any](w *owner, seq iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		if err := w.over(); err != nil {
			yield(zero, err)
			return
		}
		for v, err := range seq {
			if !yield(v, given(err)) {
				return
			}
		}
	}
}

func (w *owner) maintain(ctx context.Context, k kind, to string) ([]byte, error) {
	v, err := maintain(ctx, w.log, k, to)
	return v, given(err)
}

// yieldFor is how long a reader that made room for a writer leaves the lock alone.
const yieldFor = 500 * time.Millisecond
