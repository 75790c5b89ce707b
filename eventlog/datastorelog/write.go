package datastorelog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cloud.google.com/go/datastore"

	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/internal/jitter"
)

// Write does all of w or nothing: see outcome for what its errors rest on.
func (l *Log) Write(ctx context.Context, w driver.Write) error {
	if err := l.enter(ctx); err != nil {
		return l.wrap(err)
	}
	defer l.leave()
	a := attempt{Log: l, w: w, mark: newMark(w.ID, l.self)}
	if err := a.takeIn(); err != nil {
		return l.wrap(err)
	}
	if err := a.w.Validate(); err != nil {
		return l.wrap(err)
	}
	return l.wrap(a.write(ctx))
}

func (a *attempt) write(ctx context.Context) error {
	release, err := a.turns.take(ctx, conditions(a.w.Cells))
	if err != nil {
		return err
	}
	defer release()
	for n := 0; ; n++ {
		err := a.try(ctx)
		var again *againError
		if !errors.As(err, &again) {
			return err
		}
		if n == attempts-1 {
			return fmt.Errorf("no place after %d attempts: %w", attempts, again.err)
		}
		if err := sleep(ctx, jitter.N(pauseAfter(n))); err != nil {
			return err
		}
	}
}

// attempts is how often a Write whose conditions hold is tried before it is given
// up: other writers of the same places are in the way, each of which got
// something done.
const attempts = 20

func pauseAfter(attempt int) time.Duration {
	return min(4*time.Millisecond<<attempt, 500*time.Millisecond)
}

// An againError says that nothing was written, and that nothing is known to be in
// the way.
type againError struct {
	err   error
	found bool // something was in the way, and is no more
}

func (e *againError) Error() string { return e.err.Error() }

var errMoved = errors.New("the shard has another end")

// conditions returns the cells that ops look at.
func conditions(ops []driver.CellOp) (keys []string) {
	for _, op := range ops {
		if op.If != nil {
			keys = append(keys, op.Cell.Key)
		}
	}
	return keys
}

// An attempt is a Write under way.
type attempt struct {
	*Log
	w     driver.Write
	mark  mark
	fill  bool     // shards that are only checked get an empty block
	at    []place  // where each batch's shard ends
	puts  []*block // in the order of batches
	reads []int    // batches whose shards are only checked
	user  mutated  // what the user changes beside
	guest *guest   // the user's transaction
}

// try brings the Write to an outcome, or returns an againError.
func (a *attempt) try(ctx context.Context) error {
	if err := a.plan(ctx); err != nil {
		return err
	}
	switch {
	case a.guest != nil:
		return a.commitGuest(ctx)
	case len(a.user) > 0:
	case len(a.puts) == 0 && len(a.w.Cells) == 0 && len(a.reads) <= 1:
		return a.check(ctx)
	case len(a.puts) == 1 && len(a.w.Cells) == 0 && len(a.reads) == 0:
		return a.insert(ctx)
	}
	return a.transact(ctx)
}

// plan finds the places of all batches; a shard that ends elsewhere refuses.
func (a *attempt) plan(ctx context.Context) error {
	a.at, a.puts, a.reads = a.at[:0], a.puts[:0], a.reads[:0]
	size := 0
	for i, b := range a.w.Batches {
		p, err := a.endsAt(ctx, b.Shard, b.First-1)
		if err != nil {
			return err
		}
		a.at = append(a.at, p)
		if len(b.Commits) == 0 && !a.fill {
			a.reads = append(a.reads, i)
			continue
		}
		a.puts = append(a.puts, pack(b, p.block+1, a.mark)...)
	}
	for _, b := range a.puts {
		size += b.size()
	}
	for _, op := range a.w.Cells {
		size += len(op.Cell.Key) + len(op.Cell.Value) + perBlock
	}
	if size > maxCommit {
		return fmt.Errorf("%w: write of %d bytes with its index values, at most %d", driver.ErrTooLarge, size, maxCommit)
	}
	return nil
}

// maxCommit is what the service takes in one call, less what we do not reckon.
const maxCommit = 9 << 20

// endsAt returns where a shard ends if that is at rev, and refuses otherwise.
func (l *Log) endsAt(ctx context.Context, shard int, rev driver.Revision) (place, error) {
	if p, known := l.heads.get(shard); known && p.last == rev {
		return p, nil
	}
	p, err := l.tail(ctx, shard)
	if err != nil {
		return place{}, err
	}
	if p.last != rev {
		return place{}, &driver.TailError{Shard: shard, Tail: p.last}
	}
	return p, nil
}

// check answers a Write that only asks for one shard's tail.
func (a *attempt) check(ctx context.Context) error {
	for _, i := range a.reads {
		b := a.w.Batches[i]
		next, err := a.lookup(ctx, b.Shard, a.at[i].block+1, 1)
		if err != nil {
			return err
		}
		if len(next) > 0 {
			return a.explain(ctx, errMoved)
		}
	}
	return nil
}

// insert puts one block, without a transaction: of those who race for its number
// exactly one wins.
func (a *attempt) insert(ctx context.Context) error {
	b := a.puts[0]
	if err := a.makeWay(ctx, 1); err != nil {
		return err
	}
	var s sent
	begin := time.Now()
	_, err := a.client.Mutate(noting(ctx, &s), datastore.NewInsert(a.blockKey(b.shard, b.number), b))
	return a.settle(ctx, outcomeOf(err, false, s.Load()), err, time.Since(begin))
}

// makeWay waits for the limit of a new log, and lets rivals go first where this
// process won last.
func (a *attempt) makeWay(ctx context.Context, n int) error {
	if err := a.ramp.wait(ctx, n); err != nil {
		return err
	}
	longest := time.Duration(0)
	now := time.Now()
	for _, b := range a.puts {
		longest = max(longest, a.heads.courtesy(b.shard, now))
	}
	return sleep(ctx, longest)
}

// settle answers for a Commit.
func (a *attempt) settle(ctx context.Context, o outcome, err error, journey time.Duration) error {
	switch o {
	case done:
		a.won(journey)
		return nil
	case clash:
		a.fill = true // the next attempt does not wait for others' locks
		return a.explain(ctx, err)
	case taken:
		return a.explain(ctx, err)
	case over:
		if len(a.puts) == 0 {
			return inDoubt(ctx, err)
		}
		answer := a.explain(ctx, err)
		if errors.As(answer, new(*againError)) && !expired(err) {
			return err
		}
		return answer
	case refused:
		return a.cause(ctx, unreachable(err))
	}
	return inDoubt(ctx, err)
}

// won notes the places that were taken.
func (a *attempt) won(journey time.Duration) {
	for _, b := range a.puts {
		a.heads.write(b.shard, place{b.last, b.number}, journey)
	}
}
