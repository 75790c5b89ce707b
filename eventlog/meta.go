package eventlog

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"
)

// Meta says where events come from. A transaction has one, which is that of all
// its events but those that it appends in a [Tx.Scope], which has another. Each
// is stored once a commit and shown on each of its records.
type Meta struct {
	Correlation ID                // the first transaction of the chain this one belongs to
	Causation   ID                // the event or step that caused this one
	Actor       string            // who
	Traceparent string            // W3C trace context
	Extra       map[string]string // free keys
}

func (m *Meta) check() error {
	if err := checkText("actor", m.Actor); err != nil {
		return err
	}
	if err := checkText("traceparent", m.Traceparent); err != nil {
		return err
	}
	for k, v := range m.Extra {
		if err := checkText("metadata key", k); err != nil {
			return err
		}
		if err := checkText("metadata "+k, v); err != nil {
			return err
		}
	}
	return nil
}

// clone returns a Meta that shares nothing with m which could be changed.
func (m *Meta) clone() Meta {
	out := *m
	out.Extra = maps.Clone(m.Extra)
	return out
}

// The bits of a stored Meta, in the order of what they announce.
const (
	hasCorrelation = 1 << iota
	hasCausation
	hasActor
	hasTraceparent
	hasExtra
	hasNext    // another Meta stands behind this one
	hasRelaxed // of the first one: relaxed appends stand behind the last

	knownMeta = hasRelaxed<<1 - 1
)

// append appends the stored form of m; next says that another one follows.
func (m *Meta) append(b []byte, next bool) []byte {
	at := len(b)
	b = append(b, 0)
	if !m.Correlation.IsZero() {
		b[at] |= hasCorrelation
		b = append(b, m.Correlation[:]...)
	}
	if !m.Causation.IsZero() {
		b[at] |= hasCausation
		b = append(b, m.Causation[:]...)
	}
	if m.Actor != "" {
		b[at] |= hasActor
		b = appendString(b, m.Actor)
	}
	if m.Traceparent != "" {
		b[at] |= hasTraceparent
		b = appendString(b, m.Traceparent)
	}
	if len(m.Extra) > 0 {
		b[at] |= hasExtra
		b = m.appendExtra(b)
	}
	if next {
		b[at] |= hasNext
	}
	return b
}

func (m *Meta) appendExtra(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(m.Extra)))
	for _, k := range slices.Sorted(maps.Keys(m.Extra)) {
		b = appendString(appendString(b, k), m.Extra[k])
	}
	return b
}

// size bounds the length of the stored form from above.
func (m *Meta) size() int {
	n := 1
	if !m.Correlation.IsZero() {
		n += 16
	}
	if !m.Causation.IsZero() {
		n += 16
	}
	if m.Actor != "" {
		n += len(m.Actor) + 5
	}
	if m.Traceparent != "" {
		n += len(m.Traceparent) + 5
	}
	if len(m.Extra) > 0 {
		n += 5
	}
	for k, v := range m.Extra {
		n += len(k) + len(v) + 10
	}
	return n
}

// decode reads what append wrote, and what follows: another Meta, relaxed appends.
func (m *Meta) decode(d *decoder) (next, relaxed bool) {
	var has byte
	if b := d.bytes(1); len(b) == 1 {
		has = b[0]
	}
	if has&^knownMeta != 0 {
		d.fail(errors.New("metadata of an unknown kind"))
		return false, false
	}
	if has&hasCorrelation != 0 {
		copy(m.Correlation[:], d.bytes(16))
	}
	if has&hasCausation != 0 {
		copy(m.Causation[:], d.bytes(16))
	}
	if has&hasActor != 0 {
		m.Actor = d.string()
	}
	if has&hasTraceparent != 0 {
		m.Traceparent = d.string()
	}
	if has&hasExtra != 0 {
		n := d.count(2)
		m.Extra = make(map[string]string, n)
		for range n {
			k := d.string()
			m.Extra[k] = d.string()
		}
	}
	return has&hasNext != 0 && d.err == nil, has&hasRelaxed != 0 && d.err == nil
}
