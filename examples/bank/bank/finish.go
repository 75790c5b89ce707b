package bank

import (
	"context"
	"slices"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/outbox"
)

// Finish brings to its end what is under way, for instance because the process that
// started it was killed. Steps that failed for technical reasons are tried again
// when they are due, for as long as patience allows; what is left then, and what
// waits for a person, is no error of Finish.
func Finish(ctx context.Context, log *eventlog.Log, patience time.Duration) error {
	sagas, deadline := Sagas(log), time.Now().Add(patience)
	for {
		if err := sagas.Drain(ctx); err != nil {
			return err
		}
		wait, waiting, err := nextAttempt(ctx, sagas)
		if err != nil || !waiting || time.Now().Add(wait).After(deadline) {
			return err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// nextAttempt returns how long it is until the next step that failed is due.
func nextAttempt(ctx context.Context, r *outbox.Runner) (wait time.Duration, waiting bool, err error) {
	now := r.Log.Now()
	for step, err := range outbox.Pending(ctx, r.Log) {
		if err != nil {
			return 0, false, err
		}
		ours := slices.ContainsFunc(r.Handlers, func(h outbox.Handler) bool { return h.Type == step.Type })
		if d := step.Due.Sub(now); ours && (!waiting || d < wait) {
			wait, waiting = max(d, 0), true
		}
	}
	return wait, waiting, nil
}
