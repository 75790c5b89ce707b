package outbox

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/cespare/xxhash/v2"

	"github.com/rollforward/rollforward/eventlog"
)

// A deciding decides on many dead letters at a time, so that they share the
// store's writes.
type deciding struct {
	log       *eventlog.Log
	decision  Decision
	what, typ string

	mu  sync.Mutex
	n   int   // decided
	err error // the first one
}

// deciders is how many letters are decided at a time. Those of one target are
// decided by one of them, in their order.
const deciders = 64

func decide(ctx context.Context, l *eventlog.Log, which Filter, d Decision, what, typ string) (int, error) {
	if d.By == "" || len(d.By) > eventlog.MaxName {
		return 0, fmt.Errorf("outbox: %s: %w: By is to have a name of up to %d bytes", what, ErrDecision, eventlog.MaxName)
	}
	g := &deciding{log: l, decision: d, what: what, typ: typ}
	lanes := make([]chan Info, deciders)
	var work sync.WaitGroup
	for n := range lanes {
		lanes[n] = make(chan Info)
		work.Go(func() {
			for i := range lanes[n] {
				g.decide(ctx, i)
			}
		})
	}
	for i, err := range Dead(ctx, l) {
		if err != nil {
			g.fail(err)
		}
		if g.failed() {
			break
		}
		if which.Match(i) {
			lanes[xxhash.Sum64String(i.Target)%deciders] <- i
		}
	}
	for _, lane := range lanes {
		close(lane)
	}
	work.Wait()
	return g.n, g.err
}

// decide decides on a letter, if nothing went wrong before.
func (g *deciding) decide(ctx context.Context, i Info) {
	if g.failed() {
		return
	}
	done, err := decideOne(ctx, g.log, i, g.decision, g.typ)
	if err != nil {
		g.fail(fmt.Errorf("outbox: %s step %s: %w", g.what, i.ID, err))
		return
	}
	if done {
		g.mu.Lock()
		g.n++
		g.mu.Unlock()
	}
}

func (g *deciding) failed() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err != nil
}

func (g *deciding) fail(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.err == nil {
		g.err = err
	}
}

// decideOne writes the decision under the step's tag, and tells the step's shard
// of it.
func decideOne(ctx context.Context, l *eventlog.Log, i Info, d Decision, typ string) (done bool, err error) {
	shard := l.ShardOf(i.Target)
	v, err := event(typ, verdict(d), stepTag(i.ID))
	if err == nil && d.Data != nil && len(v.Data) > maxStep-2*spare { // it may die again
		err = fmt.Errorf("%w: payload of %d bytes as it is stored, at most %d", eventlog.ErrTooLarge, len(v.Data), maxStep-2*spare)
	}
	if err != nil {
		return false, err
	}
	step := enqueued{Type: i.Type, Target: i.Target, Timer: i.Timer, Step: i.ID, Chain: i.Chain, Cause: i.Cause, Actor: d.By}
	if d.Data == nil { // else it is in the decision
		step.Data = i.Data
	}
	again, err := event(typeAgain, &step)
	if err != nil {
		return false, err
	}
	_, err = l.Update(ctx, func(tx *eventlog.Tx) error {
		done = false
		so, err := readLife(tx, shard, i.ID, i.Time)
		if err != nil || !so.dead {
			return err
		}
		done = true
		tx.Meta().Correlation, tx.Meta().Causation, tx.Meta().Actor = i.Chain, i.ID, d.By
		return errors.Join(tx.Append(deadStream(shard), v), tx.Append(stepsStream(i.Shard), again))
	})
	return done, err
}
