package saga

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/outbox"
)

// handler makes the handler of a step's Do or Undo, of its Call or Recall.
func (e *engine) handler(typ, name string, s stepper, undo bool) outbox.Handler {
	w := &worker{engine: e, of: name, undo: undo}
	h := outbox.Handler{Type: typ, Policy: s.policy(), Failed: w.failed}
	if s.kind() == kindCall {
		h.Effect = w.call
	} else {
		h.Do = w.change
	}
	return h
}

// A worker does, or undoes, a step outside of the instance.
type worker struct {
	*engine
	of   string // name of the step, in the version of the instance
	undo bool
}

// A job is a command made ready.
type job struct {
	command
	prog  program
	step  stepper
	moved bool // to the data of a newer version
	data  any
	same  any // data that work has not changed, which need not be encoded and decoded; nil: it has, or nobody knows
}

// open makes a command ready. An error says that nobody here can do it: errNewer
// that another program can, any other that it takes another program.
func (w *worker) open(c command) (*job, error) {
	prog, m, err := w.find(c.V)
	if err != nil {
		return nil, err
	}
	j := &job{command: c, prog: prog, step: prog.step(m.rename(w.of)), moved: m != nil}
	if j.step == nil || !j.step.works() || w.undo && !j.step.undoable() {
		return nil, fmt.Errorf("saga %s version %d has no step %q any more", w.name, prog.version(), m.rename(w.of))
	}
	stored := []byte(c.Data)
	if m != nil {
		if stored, err = m.data(stored); err != nil {
			return nil, err
		}
	}
	j.data, err = prog.decode(stored)
	return j, err
}

// result makes the reply to a job that is done.
func (j *job) result() (reply, error) {
	r := reply{N: j.N}
	if j.same != nil && !j.moved {
		return r, nil
	}
	data, err := encode(j.data)
	if err != nil {
		return r, outbox.Abort(err)
	}
	if j.moved || !bytes.Equal(data, j.command.Data) {
		r.V, r.Data = j.prog.version(), data
	}
	return r, nil
}

func (w *worker) change(tx *eventlog.Tx, raw outbox.Raw) error {
	c, err := read[command](raw)
	if err != nil {
		return err
	}
	var same any // the data, if it has not changed
	r, err := w.run(c, func(j *job) error {
		err := j.work(tx, w.undo)
		same = j.same
		return err
	})
	if err != nil {
		return err
	}
	return w.reply(tx, &c, &r, same)
}

// work does what lies in the log.
func (j *job) work(tx *eventlog.Tx, undo bool) (err error) {
	before := j.prog.copy(j.data)
	if undo {
		err = j.step.undo(tx, j.data)
	} else {
		err = j.step.do(tx, j.data)
	}
	if before != nil && j.prog.equal(before, j.data) {
		j.same = before
	}
	return err
}

func (w *worker) run(c command, fn func(*job) error) (reply, error) {
	j, err := w.open(c)
	switch {
	case errors.Is(err, errNewer):
		return reply{}, err
	case err != nil:
		return reply{N: c.N, Error: brief(err), Lost: true}, nil
	}
	if err := fn(j); err != nil {
		return reply{}, err
	}
	return j.result()
}

// failed replies that an execution will never happen.
func (w *worker) failed(tx *eventlog.Tx, raw outbox.Raw, cause error) error {
	c, err := read[command](raw)
	if err != nil { // it is none of ours, and leaves nothing behind but its error
		return nil
	}
	return tell(tx, w.name, c.ID, toReply, &reply{N: c.N, Error: brief(cause)})
}

// call is change for what lies outside of the log.
func (w *worker) call(ctx context.Context, _ string, raw outbox.Raw) (outbox.Step, error) {
	c, err := read[command](raw)
	if err != nil {
		return nil, err
	}
	r, err := w.run(c, func(j *job) error {
		if w.undo {
			return j.step.recall(ctx, w.key(c.ID, c.Of), j.data)
		}
		return j.step.call(ctx, w.key(c.ID, c.N), j.data)
	})
	if err != nil {
		return nil, err
	}
	return message(w.name, c.ID, toReply, &r)
}

// key names an execution to the outside world.
func (w *worker) key(id string, n int) string {
	return w.name + "/" + id + "/" + strconv.Itoa(n)
}

// takeBack is the handler, on the stream of a step, that takes the step back. When
// the step is over, its reply tells the instance.
func (e *engine) takeBack(tx *eventlog.Tx, raw outbox.Raw) error {
	b, err := read[back](raw)
	if err != nil {
		return err
	}
	done, err := outbox.Cancel(tx, b.Step, raw.Stream)
	if err != nil || done {
		return err
	}
	return tell(tx, e.name, b.ID, toReply, &reply{N: b.N, Stopped: true})
}
