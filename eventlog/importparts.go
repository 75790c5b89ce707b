package eventlog

import "fmt"

// addPart notes an event of a relaxed append, and returns the append's place, from 1.
func (t *transaction) addPart(a *relaxed) uint16 {
	if n := len(t.parts); n > 0 && t.parts[n-1].id == a.id {
		if a.cell != (looseName{}) {
			t.parts[n-1].cell = a.cell
		}
		t.parts[n-1].events++
		return uint16(n)
	}
	first := *a
	first.events = 1
	t.parts = append(t.parts, first)
	return uint16(len(t.parts))
}

// checkParts refuses a fold that holds other events too.
func (t *transaction) checkParts() error {
	if len(t.parts) == 0 {
		return nil
	}
	seen := make(map[ID]bool, len(t.parts))
	for _, a := range t.parts {
		if seen[a.id] {
			return fmt.Errorf("the events of relaxed append %s do not stand together", a.id)
		}
		seen[a.id] = true
	}
	for _, e := range t.events {
		if e.part == 0 {
			return &lineError{e.line, fmt.Errorf("%s version %d: not a relaxed append, in a commit that folds such", e.stream, e.version)}
		}
	}
	return nil
}

// eventID is the id that an event has.
func (t *transaction) eventID(e *event) ID {
	if e.part > 0 {
		return t.parts[e.part-1].id.event(int(e.index))
	}
	return t.id.event(int(e.index))
}

// addPart notes an event of a relaxed append in a commit, and returns the append's
// place there, from 1. In a log with other shards cells have no meaning: there a
// fold stands in the timeline where it was made.
func (c *commit) addPart(a relaxed, same bool) uint16 {
	if n := len(c.relaxed); n > 0 && c.relaxed[n-1].id == a.id {
		c.relaxed[n-1].events++
		return uint16(n)
	}
	if a.events = 1; !same {
		a.cell = looseName{}
	}
	c.relaxed = append(c.relaxed, a)
	return uint16(len(c.relaxed))
}
