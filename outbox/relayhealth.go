package outbox

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// relayTroubles are what keeps a relay from going on.
type relayTroubles struct {
	mu    sync.Mutex
	list  map[relayPart]*relayTrouble
	under map[*relayUnder]struct{} // calls of Publish under way
}

// A relayPart is what can be in trouble: the reading of a shard, the saving of its
// cursor, or a stream of it.
type relayPart struct {
	shard  int
	what   string
	stream string
}

const (
	relayReading = "cannot be read"
	relaySaving  = "cannot save its cursor"
	relayHeldUp  = "is held up"
)

func (p relayPart) String() string {
	if p.stream != "" {
		return fmt.Sprintf("stream %s %s", p.stream, p.what)
	}
	return fmt.Sprintf("shard %d %s", p.shard, p.what)
}

type relayTrouble struct {
	since time.Time
	err   error
}

type relayUnder struct {
	stream string
	since  time.Time
}

func (t *relayTroubles) init() {
	t.list, t.under = make(map[relayPart]*relayTrouble), make(map[*relayUnder]struct{})
}

// trouble notes that something is wrong, and since when.
func (t *relayTroubles) trouble(p relayPart, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if was := t.list[p]; was != nil {
		was.err = err
		return
	}
	t.list[p] = &relayTrouble{time.Now(), err}
}

func (t *relayTroubles) well(p relayPart) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.list, p)
}

// leave forgets a shard: what goes wrong there is for another to report.
func (t *relayTroubles) leave(shard int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for p := range t.list {
		if p.shard == shard {
			delete(t.list, p)
		}
	}
}

// calling notes that a call of Publish begins; done must be called when it ends.
func (t *relayTroubles) calling(stream string) (done func()) {
	u := &relayUnder{stream, time.Now()}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.under[u] = struct{}{}
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.under, u)
	}
}

// health joins the troubles, the oldest first and not all of many.
func (e *relay) health() error {
	type line struct {
		since time.Time
		err   error
	}
	var list []line
	if since, err := e.keeper.Failing(); err != nil {
		list = append(list, line{since, fmt.Errorf("no leases: %w", err)})
	}
	e.mu.Lock()
	for p, t := range e.list {
		list = append(list, line{t.since, fmt.Errorf("%v: %w", p, t.err)})
	}
	for u := range e.under {
		if time.Since(u.since) > e.timeout {
			list = append(list, line{u.since, fmt.Errorf("stream %s: Publish does not return", u.stream)})
		}
	}
	e.mu.Unlock()
	slices.SortFunc(list, func(a, b line) int { return a.since.Compare(b.since) })
	var errs []error
	for i, l := range list {
		if i == healthLines {
			errs = append(errs, fmt.Errorf("and %d more", len(list)-i))
			break
		}
		errs = append(errs, fmt.Errorf("since %s %w", l.since.UTC().Format(time.RFC3339), l.err))
	}
	return errors.Join(errs...)
}

// healthLines is how many troubles are told.
const healthLines = 16
