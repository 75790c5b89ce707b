package saga

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/outbox"
)

// signal takes in that one came.
func (d *decision) signal(raw outbox.Raw) error {
	s, err := read[taken](raw)
	if err != nil {
		return err
	}
	tags, known, err := d.known(s)
	if err != nil || known {
		return err
	}
	e := &event{Name: s.Name, Dedup: s.Dedup, Take: s.Data, Late: d.i.State.Ended()}
	if !e.Late && len(d.i.Held) >= MaxHeld {
		return outbox.Abort(fmt.Errorf("saga %s/%s: %d signals wait already", d.name, d.id, len(d.i.Held)))
	}
	if err := d.note(evSignal, e); err != nil {
		return err
	}
	if err := d.put(evSignal, e, tags...); err != nil {
		return err
	}
	if cur := d.i.Cur; cur != nil && cur.Signal == s.Name && d.i.Parked == "" {
		return d.take()
	}
	return nil
}

// known reports whether a signal came before, and returns the tags by which it is
// known.
func (d *decision) known(s taken) (tags []string, known bool, err error) {
	if s.Dedup == "" {
		return nil, false, nil
	}
	sum := sha256.Sum256([]byte(d.stream + "\x00" + s.Name + "\x00" + s.Dedup))
	tag := "$signal/" + hex.EncodeToString(sum[:16])
	q := eventlog.Query{Tag: tag, Shards: []int{d.tx.Log().ShardOf(d.stream)}, Limit: 1}
	for _, err := range d.tx.Read(q) {
		return nil, err == nil, err
	}
	return []string{tag}, false, nil
}

// take gives the instance the signal that it waits for, if it came.
func (d *decision) take() error {
	cur := d.i.Cur
	k := d.i.hold(cur.Signal)
	if k < 0 {
		return nil
	}
	step, err := d.step(cur.Step)
	if err != nil {
		return d.write(evParked, &event{N: cur.N, Step: cur.Step, Parked: brief(err)})
	}
	data, err := d.state()
	if err != nil {
		return d.write(evParked, &event{N: cur.N, Step: cur.Step, Parked: brief(err)})
	}
	if err := d.calm(cur.Tick); err != nil {
		return err
	}
	e := &event{N: cur.N, Step: cur.Step, Name: cur.Signal}
	err = guard(func() error { return step.receive(data, []byte(d.i.Held[k].Data)) })
	if err == nil {
		e.Data, err = encode(data)
	}
	if err != nil {
		d.data = nil
		return d.refuse(cur, brief(err))
	}
	return d.done(e)
}
