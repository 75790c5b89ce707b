package datastorelog

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"cloud.google.com/go/datastore"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/internal/dserr"
	"github.com/rollforward/rollforward/internal/jitter"
)

// ErrOtherStore says that a log does not stand on Datastore.
var ErrOtherStore = errors.New("datastorelog: the log is not on Datastore")

// Mutate adds changes of the user's own entities, in the same database as the log,
// to a transaction: they happen with its events, or not at all. An entity that an
// insert finds, or an update misses, makes the transaction fail with
// driver.ErrBeside and the service's error; nothing is written then. What a change rests on is not checked; Update
// does that.
func Mutate(tx *eventlog.Tx, mutations ...*datastore.Mutation) error {
	if _, ok := tx.Log().Driver().(*Log); !ok {
		return ErrOtherStore
	}
	if err := tx.Beside(mutated(mutations)); err != nil {
		return fmt.Errorf("datastorelog: mutate: %w", err)
	}
	return nil
}

// mutated is what Mutate puts beside a Write.
type mutated []*datastore.Mutation

// Update is eventlog's Log.Update with a transaction of the service beside: what
// fn reads through dtx is still true when the events are written, and what it
// changes through dtx is written with them. fn runs again where the log or an
// entity has changed meanwhile: it must not have effects of its own. It must not
// commit or roll back dtx, or keep it.
//
// An answer of the service that gets lost is not the caller's business: Update
// finds out what happened.
func Update(ctx context.Context, l *eventlog.Log, fn func(tx *eventlog.Tx, dtx *datastore.Transaction) error) (eventlog.Position, error) {
	d, ok := l.Driver().(*Log)
	if !ok {
		return eventlog.Position{}, ErrOtherStore
	}
	for n := 0; ; n++ {
		p, err := d.updateOnce(ctx, l, fn)
		if err == nil || n == attempts || !dserr.Conflict(err) {
			return p, err
		}
		if err := sleep(ctx, jitter.N(pauseAfter(n))); err != nil {
			return p, err
		}
	}
}

func (l *Log) updateOnce(ctx context.Context, log *eventlog.Log, fn func(*eventlog.Tx, *datastore.Transaction) error) (eventlog.Position, error) {
	var g *guest
	defer func() { g.end(l) }()
	return log.Update(ctx, func(tx *eventlog.Tx) error {
		g.end(l) // of an earlier run
		g = new(guest)
		var err error
		if g.tx, err = l.client.NewTransaction(noting(ctx, &g.sent)); err != nil {
			return l.wrap(l.cause(ctx, unreachable(err)))
		}
		if err := fn(tx, g.tx); err != nil {
			return err
		}
		return tx.Beside(g)
	})
}

// A guest is a transaction of the user's that a Write joins. It serves one Commit.
type guest struct {
	tx   *datastore.Transaction
	sent sent

	mu   sync.Mutex
	over bool   // nothing can come of it any more, or all has
	used bool   // its Commit was sent
	mark mark   // of the block that decides what came of it
	put  *block // the first of them
}

// end gives the transaction up if nobody did. While a Write has it in hand, that
// one ends it: nobody waits for that whose ctx has ended.
func (g *guest) end(l *Log) {
	if g == nil || g.tx == nil || !g.mu.TryLock() {
		return
	}
	defer g.mu.Unlock()
	if !g.over && !g.used {
		g.over = true
		l.giveUp(g.tx)
	}
}

// takeIn takes out of a Write what is beside it.
func (a *attempt) takeIn() error {
	for _, v := range a.w.Beside {
		switch v := v.(type) {
		case mutated:
			a.user = append(a.user, v...)
		case *guest:
			if a.guest != nil {
				return fmt.Errorf("%w: two transactions in one", driver.ErrBeside)
			}
			a.guest = v
		default:
			return fmt.Errorf("%w: this store has no place for a %T", driver.ErrBeside, v)
		}
	}
	a.w.Beside = nil
	return nil
}

// commitGuest does the Write in the user's transaction.
func (a *attempt) commitGuest(ctx context.Context) error {
	g := a.guest
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.used && !g.over:
		return a.decide(ctx)
	case g.over || len(a.puts) == 0:
		return driver.ErrStale
	}
	g.mark, g.put = a.mark, a.puts[0]
	err := a.in(ctx, g.tx, &g.sent, a.mutations(), func() { g.used = true })
	g.over = !g.used || !errors.Is(err, driver.ErrUnknown)
	if errors.As(err, new(*againError)) {
		return fmt.Errorf("%w: %w", driver.ErrStale, err)
	}
	return err
}

// decide finds out what came of a guest's Commit whose answer was lost. Where its
// place is still free it is taken by an empty block: then nothing can come of it
// any more.
func (a *attempt) decide(ctx context.Context) error {
	g := a.guest
	for {
		found, err := a.lookup(ctx, g.put.shard, g.put.number, 1)
		if err != nil {
			return inDoubt(ctx, err)
		}
		if len(found) > 0 {
			g.over = true
			if found[0].mark.call == g.mark.call {
				return nil
			}
			return fmt.Errorf("%w: another writer took its place", driver.ErrStale)
		}
		empty := pack(driver.Batch{Shard: g.put.shard, First: g.put.first}, g.put.number, newMark(a.w.ID, a.self))[0]
		_, err = a.client.Mutate(ctx, datastore.NewInsert(a.blockKey(empty.shard, empty.number), empty))
		switch {
		case err == nil:
			a.heads.learn(empty.shard, place{empty.last, empty.number})
			g.over = true
			return fmt.Errorf("%w: its outcome was not known", driver.ErrStale)
		case !exists(err) && !dserr.Conflict(err):
			return inDoubt(ctx, err)
		}
	}
}
