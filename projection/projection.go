package projection

import (
	"errors"
	"fmt"

	"github.com/rollforward/rollforward/eventlog"
)

// A Projection is a read model: what it is called and what events do to it. T is
// the sink's transaction. It is a literal, declared once.
type Projection[T any] struct {
	// Name is stored with the checkpoints. It is unique in a sink.
	Name string
	// Version is 1 or more; raise it when handlers or tables change their
	// meaning. A runner with a higher version than the sink holds builds the
	// read model anew; one with a lower version stops with ErrVersion.
	Version int
	// Handlers, one for each event type.
	Handlers Handlers[T]
	// Reset makes the read model empty: it drops what there may be and creates
	// the tables. It runs before the first event, when Version was raised, and
	// at a rebuild, in one transaction with setting the checkpoints to zero. nil:
	// the tables are made elsewhere; such a projection cannot be rebuilt.
	Reset func(tx T) error
	// Else gets the events that no handler knows. nil: they are skipped, and
	// counted. See Refuse.
	Else func(tx T, r eventlog.Record) error
}

// check reports what is wrong with the literal.
func (p *Projection[T]) check() error {
	switch {
	case p.Name == "":
		return errors.New("a projection has no name")
	case p.Version < 1:
		return fmt.Errorf("projection %s: Version is %d: 1 or more", p.Name, p.Version)
	case len(p.Handlers) == 0 && p.Else == nil:
		return fmt.Errorf("projection %s has no handlers", p.Name)
	}
	seen := make(map[string]bool, len(p.Handlers))
	for _, h := range p.Handlers {
		switch {
		case h.bind == nil:
			return fmt.Errorf("projection %s: a handler that On did not make", p.Name)
		case h.typ == "":
			return fmt.Errorf("projection %s: a handler for an event without a type", p.Name)
		case seen[h.typ]:
			return fmt.Errorf("projection %s: two handlers for %s", p.Name, h.typ)
		}
		seen[h.typ] = true
	}
	return nil
}

// byType is how the handlers are found.
func (p *Projection[T]) byType() map[string]Handler[T] {
	m := make(map[string]Handler[T], len(p.Handlers))
	for _, h := range p.Handlers {
		m[h.typ] = h
	}
	return m
}
