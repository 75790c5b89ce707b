package saga

import (
	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/atonce"
)

// Where nobody else is at work on the streams, an instance goes on in the commit at
// hand: what would be a command to a step's stream is done there, and what would be
// the reply is taken in. Its events are the same as if each had been a step of the
// outbox. What goes wrong on the way is rolled back and goes the long way, where
// attempts are counted.

// try decides with things done at once, and if that goes wrong without.
func (d *decision) try(b atonce.Batch, decide func(*decision) error) error {
	if b == nil {
		return decide(d)
	}
	d.batch = b
	err := d.tx.Savepoint(func() error { return decide(d) })
	if err == nil || !d.did || d.tx.Context().Err() != nil {
		return err
	}
	d, err = d.load(d.tx, d.stream)
	if err != nil {
		return err
	}
	return decide(d)
}

// atOnce does an execution, if it can be done at once and goes well. Then d.ran is its
// reply; else nothing has happened.
func (d *decision) atOnce(c *command, n *next, step stepper, typ string) bool {
	if d.batch == nil || n.Kind != kindChange || len(c.Data) > maxAtOnce || !d.batch.Take(typ, n.On) {
		return false
	}
	data, err := d.fresh()
	if err != nil {
		return false
	}
	j := job{command: *c, prog: d.prog, step: step, data: data}
	var r reply
	err = d.batch.For(n.On, func() error {
		return d.tx.Savepoint(func() error {
			if err := guard(func() error { return j.work(d.tx, n.Of != 0) }); err != nil {
				return err
			}
			r, err = j.result()
			return err
		})
	})
	if err != nil {
		return false
	}
	d.ran, d.did = &r, true
	return true
}

// maxAtOnce: data beyond it may be more than a step can carry, which is found out the
// long way.
const maxAtOnce = 64 << 10

// view returns data for a function that only looks at it: what it changes all the same is
// not to be seen by others, where that costs little.
func (d *decision) view(data any) any {
	if seen := d.prog.copy(data); seen != nil {
		return seen
	}
	return data
}

// fresh returns the data of the instance, for a step to change.
func (d *decision) fresh() (any, error) {
	data, err := d.state()
	if err != nil {
		return nil, err
	}
	if data := d.prog.copy(data); data != nil {
		return data, nil
	}
	return d.prog.decode([]byte(d.i.Data))
}

// reply tells the instance what became of its command, or lets it decide at once. same
// is the data of the command, nil when it has changed.
func (w *worker) reply(tx *eventlog.Tx, c *command, r *reply, same any) error {
	b, stream := atonce.Of(tx), streamOf(w.name, c.ID)
	if b != nil && b.Take(typeOf(w.name, toReply), stream) {
		err := b.For(stream, func() error {
			return tx.Savepoint(func() error {
				d, err := w.load(tx, stream)
				if err != nil {
					return err
				}
				if d.batch = b; same != nil && c.V == d.i.Version && d.i.Data == string(c.Data) {
					d.data = same
				}
				return d.answer(*r)
			})
		})
		if err == nil || tx.Context().Err() != nil {
			return err
		}
	}
	return tell(tx, w.name, c.ID, toReply, r)
}
