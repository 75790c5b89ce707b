package projection

import "time"

// A pace says how many events go into a transaction: as many as take the sink a
// fifth of a second, so that others get their turn and a shutdown is quick.
type pace struct{ limit, max int }

const (
	firstPace = 64
	longBatch = 200 * time.Millisecond
)

func newPace(limit int) pace {
	if limit == 0 {
		limit = defaultBatch
	}
	return pace{min(firstPace, limit), limit}
}

// took learns from a transaction of so many events.
func (p *pace) took(events int, d time.Duration) {
	switch {
	case d > longBatch:
		p.limit = max(1, min(p.limit, events)/2)
	case d < longBatch/2 && events >= p.limit:
		p.limit = min(2*p.limit, p.max)
	}
}

// full learns that so many events were too many for the sink, whatever time they take.
func (p *pace) full(events int) {
	p.limit = max(1, min(p.limit, events)/2)
	p.max = p.limit
}
