package projection

import "time"

// A pace says how many events go into a transaction: as many as take the sink a
// fifth of a second, so that others get their turn and a shutdown is quick.
// Where a transaction was full, the way back there is slow.
type pace struct {
	limit, max int
	slow       int // from where on the limit grows by a sixteenth
}

const (
	firstPace = 64
	longBatch = 200 * time.Millisecond
)

func newPace(limit int) pace {
	if limit == 0 {
		limit = defaultBatch
	}
	return pace{limit: min(firstPace, limit), max: limit, slow: limit}
}

// took learns from a transaction of so many events.
func (p *pace) took(events int, d time.Duration) {
	switch {
	case d > longBatch:
		p.limit = max(1, min(p.limit, events)/2)
	case d < longBatch/2 && events >= p.limit && p.limit < p.slow:
		p.limit = min(2*p.limit, p.max)
	case d < longBatch/2 && events >= p.limit:
		p.limit = min(p.limit+p.limit/16+1, p.max)
	}
}

// full learns from a transaction of so many events that did not fit.
func (p *pace) full(events int) {
	p.limit = max(1, min(p.limit, events)/2)
	p.slow = p.limit
}
