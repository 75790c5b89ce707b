package datastoresink

import (
	"context"
	"errors"
	"time"

	"cloud.google.com/go/datastore"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/rollforward/rollforward/internal/dserr"
	"github.com/rollforward/rollforward/internal/jitter"
)

// A change is what a transaction does besides what the user's function writes.
type change interface {
	// begin looks whether the change can be made, and where the rows are. done says
	// that it has been made already. A *refusal says that it cannot.
	begin(ctx context.Context, get lookup) (rows string, done bool, err error)
	// finish adds the sink's own writes.
	finish(t *datastore.Transaction, rows string) error
}

// A refusal is an error that repeating does not help against: what begin or the
// user's function says.
type refusal struct{ error }

func (r *refusal) Unwrap() error { return r.error }

// transact makes a change, once: a transaction that failed in a way that may be
// over, or that may have been committed, is repeated with fn, and begin says whether
// it is still to be made. look has begin ask before there is a transaction, so that
// one that comes too late takes no locks.
func (s *Sink) transact(ctx context.Context, name string, c change, look bool, fn func(tx *Tx) error) error {
	conflict := false
	for n := 1; ; n++ {
		err := s.turns.run(ctx, name, conflict, func() error { return s.attempt(ctx, c, look, fn) })
		var final *refusal
		switch {
		case err == nil:
			return nil
		case errors.As(err, &final):
			return final.error
		}
		if !mayPass(err) {
			return s.settle(ctx, c, err)
		}
		if pause(ctx, n) != nil {
			return err
		}
		look, conflict = true, dserr.Conflict(err)
	}
}

// attempt runs one transaction.
func (s *Sink) attempt(ctx context.Context, c change, look bool, fn func(tx *Tx) error) error {
	if look {
		if _, done, err := c.begin(ctx, s.client.GetMulti); err != nil || done {
			return err
		}
	}
	span := newSpan(ctx)
	t, err := s.client.NewTransaction(span)
	if err != nil {
		return err
	}
	committed := false
	defer func() {
		if !committed {
			rollback(span, t)
		}
	}()
	get := func(_ context.Context, keys []*datastore.Key, dst any) error { return t.GetMulti(keys, dst) }
	rows, done, err := c.begin(ctx, get)
	if err != nil || done {
		return err
	}
	tx := newTx(ctx, get, rows, s.o.TxBytes)
	switch err := fn(tx); {
	case tx.failed != nil:
		return tx.failed
	case err != nil:
		return &refusal{err}
	}
	if err := tx.flush(t); err != nil {
		return &refusal{err}
	}
	if err := c.finish(t, rows); err != nil {
		return err
	}
	_, err = t.Commit()
	committed = err == nil
	return err
}

// rollback releases the locks of a transaction. Where that fails they end when the
// server finds it idle, a minute later, and everybody waits for that: so whatever the
// error is, it is tried again.
func rollback(s *span, t *datastore.Transaction) {
	ctx, cancel := s.last(lastWords)
	defer cancel()
	for n := 1; n <= 3; n++ {
		if t.Rollback() == nil || pause(ctx, n) != nil {
			return
		}
	}
}

// settle looks whether the change was made although err was the answer.
func (s *Sink) settle(ctx context.Context, c change, err error) error {
	if _, done, wrong := c.begin(ctx, s.client.GetMulti); wrong == nil && done {
		return nil
	}
	return err
}

// mayPass reports whether the same transaction may succeed later.
func mayPass(err error) bool {
	if dserr.Conflict(err) || errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	switch status.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled, codes.Internal, codes.ResourceExhausted:
		return true
	case codes.Unknown:
		_, ok := status.FromError(err)
		return ok // what the server does not know, not an error of the client library
	}
	return false
}

const (
	firstPause = 20 * time.Millisecond
	lastPause  = 2 * time.Second
)

// pause waits before the attempt after the n-th, or until ctx is done, which is an
// error. All of it is random: those who were in each other's way shall not meet again.
func pause(ctx context.Context, n int) error {
	jitter.Pause(ctx, jitter.N(min(lastPause, firstPause<<min(n, 10))))
	return ctx.Err()
}
