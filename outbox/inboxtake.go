package outbox

import (
	"context"
	"errors"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/jitter"
	"github.com/rollforward/rollforward/internal/lease"
)

// take makes a step of a message. Only after nil the message may be acked. After
// an error it has waited so that it can be nacked, unless wait has ended; work is
// the context of what it does itself.
func (h *inbox) take(wait, work context.Context, m *message.Message) error {
	select {
	case h.slots <- struct{}{}:
	case <-wait.Done():
		return wait.Err()
	}
	id, err := identify(m)
	if err == nil {
		err = h.handle(work, m, id)
	} else {
		err = h.refuse(work, m, id, err)
	}
	<-h.slots
	switch {
	case err == nil:
		h.succeeded(id.key)
		return nil
	case work.Err() != nil, lease.Fatal(err):
		return err
	}
	attempt := h.failed(id.key, err)
	h.logger.Warn("a message failed and is nacked", "topic", h.topic, "message", id.String(), "attempt", attempt, "err", err)
	if f := h.hooks.Failed; f != nil {
		f(m, attempt, err)
	}
	jitter.Pause(wait, h.pauses.delay(attempt))
	return err
}

func (h *inbox) handle(ctx context.Context, m *message.Message, id inboxID) error {
	var step Step
	err := guard(func() (err error) {
		step, err = h.step(m)
		return err
	})
	switch {
	case Aborted(err): // also when it was told to stop: then this fails, too
		return h.refuse(ctx, m, id, err)
	case err != nil || step == nil:
		return err
	}
	before, err := h.enqueue(ctx, m, id, step)
	if unfit := new(inboxUnfit); errors.As(err, &unfit) {
		return h.refuse(ctx, m, id, unfit.err)
	}
	if err == nil && h.hooks.Taken != nil {
		h.hooks.Taken(m, before)
	}
	return err
}

// An inboxUnfit is an error of a step that no attempt will change.
type inboxUnfit struct{ err error }

func (e *inboxUnfit) Error() string { return e.err.Error() }

// enqueue commits the step with the id of its message, unless that was done
// before.
func (h *inbox) enqueue(ctx context.Context, m *message.Message, id inboxID, step Step) (before bool, err error) {
	_, err = h.Log.Update(ctx, func(tx *eventlog.Tx) error {
		before = false
		*tx.Meta() = inboxMeta(m, id)
		done, err := tx.Once(h.stream(id), id.key.String())
		if err != nil || done {
			before = done
			return err
		}
		if err := Enqueue(tx, step); err != nil {
			return &inboxUnfit{err}
		}
		return nil
	})
	return before, err
}
