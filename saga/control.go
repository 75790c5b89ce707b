package saga

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/outbox"
)

// Whoever operates sagas sends an instance one of these steps of the outbox:
//
//	outbox.Enqueue(tx, saga.Retry{Saga: "transfer", ID: "7", By: "ann", Reason: "the bank is up again"})
//
// It takes no definition to send them, but a runner that has it to carry them out.
// What was wanted, by whom and why is in the instance's history, also when it could
// not be done. By may be left to the actor in the transaction's Meta.

// Cancel ends an instance: what is under way is stopped or awaited, what was done is
// undone, and it ends as Cancelled. One that goes back already, or has ended, stays
// as it is.
type Cancel struct {
	Saga   string `json:"-"`
	ID     string `json:"-"`
	By     string `json:"by,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// Retry makes a Parked instance try again what it could not do.
type Retry struct {
	Saga   string `json:"-"`
	ID     string `json:"-"`
	By     string `json:"by,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// Skip makes an instance go on as if the step under way, or the Undo under way, were
// done, unless it is done by then. The children of the step are called back, those of
// an Undo are no more waited for. Reason is required.
type Skip struct {
	Saga string `json:"-"`
	ID   string `json:"-"`
	// To is the step to go on at; "": the one that comes next.
	To     string `json:"to,omitempty"`
	By     string `json:"by,omitempty"`
	Reason string `json:"reason"`
}

// Fork starts another instance with the data that this one had when it came to a step,
// and at that step. What was done before remains this one's to undo.
type Fork struct {
	Saga string `json:"-"`
	ID   string `json:"-"`
	As   string `json:"as"`   // id of the new instance
	Step string `json:"step"` // of several executions of it the last one is meant
	// Data is what the new instance has in place of what this one had; nil: the same.
	Data   any    `json:"data,omitempty"`
	By     string `json:"by,omitempty"`
	Reason string `json:"reason,omitempty"`
}

func (c Cancel) StepType() string { return typeOf(c.Saga, toCancel) } // see outbox.Step
func (c Cancel) Target() string   { return streamOf(c.Saga, c.ID) }   // see outbox.Step
func (c Retry) StepType() string  { return typeOf(c.Saga, toRetry) }  // see outbox.Step
func (c Retry) Target() string    { return streamOf(c.Saga, c.ID) }   // see outbox.Step
func (c Skip) StepType() string   { return typeOf(c.Saga, toSkip) }   // see outbox.Step
func (c Skip) Target() string     { return streamOf(c.Saga, c.ID) }   // see outbox.Step
func (c Fork) StepType() string   { return typeOf(c.Saga, toFork) }   // see outbox.Step
func (c Fork) Target() string     { return streamOf(c.Saga, c.ID) }   // see outbox.Step

// MarshalJSON refuses a Skip without a reason.
func (c Skip) MarshalJSON() ([]byte, error) {
	type plain Skip
	if c.Reason == "" {
		return nil, errors.New("a Skip needs a Reason")
	}
	return json.Marshal(plain(c))
}

// MarshalJSON refuses a Fork that lacks its step or the new id.
func (c Fork) MarshalJSON() ([]byte, error) {
	type plain Fork
	if c.As == "" || c.Step == "" {
		return nil, errors.New("a Fork needs a Step and an id (As)")
	}
	return json.Marshal(plain(c))
}

// wish is any of them as it arrives.
type wish struct {
	By     string          `json:"by"`
	Reason string          `json:"reason"`
	To     string          `json:"to"`
	As     string          `json:"as"`
	Step   string          `json:"step"`
	Data   json.RawMessage `json:"data"`
}

func (d *decision) wish(raw outbox.Raw) (wish, error) {
	w, err := read[wish](raw)
	if err == nil && w.By == "" {
		w.By = d.tx.Meta().Actor
	}
	if err == nil && d.i.State == "" {
		err = outbox.Abort(fmt.Errorf("saga %s/%s: %w", d.name, d.id, ErrNotFound))
	}
	return w, err
}

// deny writes down that something cannot be done.
func (d *decision) deny(what Cause, by, reason, why string) error {
	return d.write(evNoted, &event{What: string(what), By: by, Reason: reason, Error: why})
}

func (d *decision) cancel(raw outbox.Raw) error {
	w, err := d.wish(raw)
	switch {
	case err != nil:
		return err
	case d.i.State != Running:
		return d.deny(CauseCancel, w.By, w.Reason, "it is "+string(d.i.state()))
	}
	return d.stop(stop{Why: CauseCancel, By: w.By, Reason: w.Reason, Error: w.text("cancelled")})
}

// text says who wanted what and why.
func (w wish) text(what string) string {
	if w.By != "" {
		what += " by " + w.By
	}
	if w.Reason != "" {
		what += ": " + w.Reason
	}
	return what
}

func (d *decision) skip(raw outbox.Raw) error {
	w, err := d.wish(raw)
	switch {
	case err != nil:
		return err
	case d.i.State.Ended():
		return d.deny(CauseSkip, w.By, w.Reason, "it is "+string(d.i.state()))
	}
	return d.stop(stop{Why: CauseSkip, By: w.By, Reason: w.Reason, To: w.To, Error: w.text("skipped")})
}

func (d *decision) retry(raw outbox.Raw) error {
	w, err := d.wish(raw)
	switch {
	case err != nil:
		return err
	case d.i.state() != Parked:
		return d.deny("retry", w.By, w.Reason, "it is "+string(d.i.state()))
	}
	e := &event{By: w.By, Reason: w.Reason}
	cur := d.i.Cur
	if cur != nil && (cur.Kind == kindChild || cur.Kind == kindSignal && d.i.State == Running) {
		return d.retrySame(e)
	}
	if cur != nil {
		if err := d.calm(cur.Tick); err != nil {
			return err
		}
	}
	if err := d.note(evRetried, e); err != nil {
		return err
	}
	if d.i.State == Compensating {
		return d.goBack(evRetried, e)
	}
	return d.forward(evRetried, e)
}

// retrySame goes on with the execution that is under way.
func (d *decision) retrySame(e *event) error {
	e.N, e.Step = d.i.Cur.N, d.i.Cur.Step
	if err := d.write(evRetried, e); err != nil {
		return err
	}
	if d.i.Cur.Kind == kindSignal {
		return d.take()
	}
	return tell(d.tx, d.name, d.id, toFan, spread{N: e.N})
}

// fork starts another instance.
func (d *decision) fork(raw outbox.Raw) error {
	w, err := d.wish(raw)
	if err != nil {
		return err
	}
	at, err := d.past(w.Step)
	if err != nil {
		return err
	}
	if at == nil {
		return d.deny("fork", w.By, w.Reason, "it never came to step "+w.Step)
	}
	if w.Data != nil {
		at.Data = string(w.Data)
	}
	e := &event{Step: w.Step, N: at.Seq, To: w.As, By: w.By, Reason: w.Reason}
	b := begin{V: at.Version, Data: []byte(at.Data), At: w.Step, Fork: &origin{ID: d.id, Step: w.Step, N: at.Seq}}
	err = d.tx.Savepoint(func() error {
		if err := checkTarget(streamOf(d.name, w.As)); err != nil {
			return err
		}
		if err := d.write(evForked, e); err != nil {
			return err
		}
		return tell(d.tx, d.name, w.As, toBegin, b)
	})
	if errors.Is(err, errSend) || errors.Is(err, outbox.ErrStep) {
		return d.deny("fork", w.By, w.Reason, brief(err))
	}
	return err
}

// past returns the instance as it was when it last came to a step, nil if it never
// did.
func (d *decision) past(step string) (*instance, error) {
	var now instance
	var at *instance
	for r, err := range d.tx.Read(eventlog.Query{Stream: d.stream}) {
		if err == nil {
			err = fold(&now, r)
		}
		if err != nil {
			return nil, err
		}
		if now.State == Running && now.Cur != nil && now.Cur.Step == step && now.Cur.Of == 0 && (at == nil || at.Seq != now.Seq) {
			c := now.Clone()
			at = &c
		}
	}
	return at, nil
}
