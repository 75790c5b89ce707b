package datastoresink

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cloud.google.com/go/datastore"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/jitter"
)

// update runs fn in a transaction and repeats both when it collides with another one.
// An error of fn is returned as it is. After any other error the transaction may have
// been committed all the same.
func (s *Sink) update(ctx context.Context, fn func(tx *Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		err, again := s.try(ctx, fn)
		if !again {
			return err
		}
		select {
		case <-time.After(pause/2 + jitter.N(pause)):
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		}
	}
}

const (
	firstPause = 20 * time.Millisecond
	lastPause  = time.Second
)

// try runs fn in a transaction once. The library's own repetition is not used: it takes
// answers that were lost for failures, and does not tell.
func (s *Sink) try(ctx context.Context, fn func(tx *Tx) error) (err error, conflict bool) {
	var tx *Tx
	var refused error // by fn, on its own account
	_, err = s.client.RunInTransaction(ctx, func(dtx *datastore.Transaction) error {
		tx = &Tx{sink: s, ctx: ctx, tx: dtx, rows: map[string]*row{}}
		err := fn(tx)
		if tx.failed != nil { // even if fn takes no notice
			return tx.failed
		}
		if refused = err; err != nil {
			return err
		}
		return tx.flush()
	}, datastore.MaxAttempts(1))
	switch {
	case err == nil, refused != nil:
		return refused, false
	case errors.Is(err, datastore.ErrConcurrentTransaction), status.Code(err) == codes.Aborted:
		return unavailable(err), true
	}
	return unavailable(err), false
}

// unavailable says that it was the store that failed.
func unavailable(err error) error {
	if errors.Is(err, eventlog.ErrUnavailable) || errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("%w: %w", eventlog.ErrUnavailable, err)
}

// view runs fn in a transaction that reads only, at one moment.
func (s *Sink) view(ctx context.Context, fn func(tx *datastore.Transaction) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	tx, err := s.client.NewTransaction(ctx, datastore.ReadOnly)
	if err != nil {
		return unavailable(err)
	}
	err = fn(tx)
	_ = tx.Rollback() // it holds no locks, and expires anyway
	return err
}

// chunks is how many keys go into one lookup.
const chunks = 1000
