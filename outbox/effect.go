package outbox

import (
	"context"
	"fmt"

	"github.com/rollforward/rollforward/eventlog"
)

// effectResult is what a run of an Effect came to.
type effectResult struct {
	result Step
	err    error
}

// perform runs an Effect, if it is to be run, outside of any commit. Whether the
// result counts is decided afterwards, by the step's life like that of any
// other. false: there is nothing to commit.
func (b *batch) perform(ctx context.Context) (bool, error) {
	w := b.groups[0].works[0]
	if err := b.load(ctx); err != nil {
		return false, err
	}
	o, edited, err := b.look(ctx, w)
	if err != nil || o.decided || !o.due.IsZero() {
		w.outcome = o
		return false, err
	}
	step := *w.step
	if edited != nil {
		step.Data = edited
	}
	if w.effect != nil { // it came too late
		return true, nil
	}
	limited, cancel := context.WithTimeout(ctx, w.handler.Policy.timeout())
	defer cancel()
	r := new(effectResult)
	r.err = guard(func() (err error) {
		r.result, err = w.handler.Effect(limited, w.id.String(), step.raw())
		return err
	})
	if ctx.Err() != nil { // the runner stops: it is run again elsewhere, and no attempt counts
		return false, ctx.Err()
	}
	if r.err != nil && limited.Err() != nil {
		r.err = fmt.Errorf("timeout after %v: %w", w.handler.Policy.timeout(), r.err)
	}
	w.effect = r
	return true, nil
}

// look says whether a step is to be run now.
func (b *batch) look(ctx context.Context, w *work) (o outcome, edited []byte, err error) {
	err = b.Log.View(ctx, func(tx *eventlog.Tx) error {
		o, edited = outcome{}, nil
		l, err := readLife(tx, b.shard, w.id, w.born())
		if err != nil {
			return err
		}
		edited = l.data
		set := true
		if w.timer != "" {
			if set, err = (Timer{w.target, w.timer}).isSet(tx, w.id); err != nil {
				return err
			}
		}
		if late := b.expired(tx, w); late != nil {
			w.effect = &effectResult{err: late}
		}
		switch {
		case l.over || !set:
			o = outcome{decided: true, dead: l.dead}
		case l.due.After(tx.Time()):
			o = outcome{due: l.due}
		case w.due.After(tx.Time()):
			o = outcome{due: w.due}
		}
		return nil
	})
	return o, edited, err
}
