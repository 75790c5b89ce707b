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
	log     *pebblelog.Log
	handler *Handler
	party   *party
	http    *http.Server // nil: it is not shared
	socket  *socket
	serving sync.WaitGroup
	ended   chan struct{} // closed when it is given up
	giveUp  func()        // closes ended
	closing sync.Once
	err     error // of the closing
}

func newOwner(store *pebblelog.Log, o Options) *owner {
	w := &owner{log: store, party: newParty(), ended: make(chan struct{})}
	w.giveUp = sync.OnceFunc(func() { close(w.ended) })
	w.handler = NewHandler(store, &HandlerOptions{ReadOnly: o.ReadOnly, Logger: o.Logger})
	w.handler.store = store
	w.handler.writer = w.giveUp // who only reads makes room for who writes
	w.handler.failed = w.giveUp // the next owner finds out what is there
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
			w.serving.Wait()
		}
		w.err = errors.Join(w.err, w.log.Close())
	})
	return w.err
}

// given is an error of the store; when it was closed this place is lost.
func given(err error) error {
	if errors.Is(err, driver.ErrClosed) && !errors.Is(err, driver.ErrUnknown) {
		return fmt.Errorf("%w: %w", errGone, told{text: err.Error()})
	}
	return err
}

func (w *owner) write(ctx context.Context, x *driver.Write) error {
	return given(w.handler.write(ctx, &waiter{party: w.party, write: x}))
}

func (w *owner) move(ctx context.Context, x *driver.Write) ([]driver.Moved, error) {
	wt := &waiter{party: w.party, write: x, free: true}
	err := given(w.handler.write(ctx, wt))
	if errors.Is(err, errGone) {
		// It may have been moved, and cannot go elsewhere as it is; and whoever makes it
		// anew must not come here again. It has commits, or it would have been refused.
		w.giveUp()
		return nil, &driver.TailError{Shard: x.Batches[0].Shard}
	}
	return wt.moved, err
}

func (w *owner) tail(ctx context.Context, shard int) (driver.Revision, error) {
	rev, err := w.log.Tail(ctx, shard)
	return rev, given(err)
}

func (w *owner) read(ctx context.Context, shard int, r driver.Range) iter.Seq2[driver.Commit, error] {
	return givenItems(w.log.Read(ctx, shard, r))
}

func (w *owner) find(ctx context.Context, shard int, key string, r driver.Range) iter.Seq2[driver.Commit, error] {
	return givenItems(w.log.Find(ctx, shard, key, r))
}

func (w *owner) keys(ctx context.Context, shard int, prefix, after string) iter.Seq2[driver.Key, error] {
	return givenItems(w.log.Keys(ctx, shard, prefix, after))
}

func (w *owner) cells(ctx context.Context, from, to string, limit int) iter.Seq2[driver.Cell, error] {
	return givenItems(w.log.Cells(ctx, from, to, limit))
}

func (w *owner) watch(ctx context.Context) iter.Seq2[driver.Head, error] {
	return givenItems(w.log.Watch(ctx))
}

func givenItems[T any](seq iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
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
