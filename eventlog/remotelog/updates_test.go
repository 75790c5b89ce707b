package remotelog

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rollforward/rollforward/eventlog"
)

// TestUpdatesOfManyProcesses: processes update a few streams and a table, while owners
// come and go. Every transaction counted on from what is there, what transactions saw of
// another stream rises, and what was acknowledged is there once.
func TestUpdatesOfManyProcesses(t *testing.T) {
	t.Parallel()
	s := &updates{newSoak(t, 500*time.Millisecond, ranAgain, gaveUp)}
	s.run(4, s.live)
	s.verify()
}

// What happens to updates.
const (
	ranAgain = "a function with a table ran again"
	gaveUp   = "a caller gave up"
)

const (
	updatedStreams = 5
	streamSteps    = 2000 // all in all; then there are new ones, for who is new reads a stream from its beginning
)

// A step counts on in its stream, and says how far another one was.
type step struct {
	ID    string
	N     int
	Other string `json:",omitempty"`
	Saw   int
}

func (step) EventType() string { return "test.step" }

var stepsOf = eventlog.Model[int]{Name: "steps", Snapshot: -1, Folds: eventlog.Folds[int]{
	eventlog.On(func(n *int, _ step) { *n++ }),
}}

// counters are counted on in step with their stream.
var counters = eventlog.Table[int]{Name: "counters"}

type updates struct{ *soak }

func updatedStream(generation, i int) string { return fmt.Sprintf("s%d.%d", generation, i) }

// stream is one of those that are updated now.
func (s *updates) stream() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return updatedStream(len(s.acked)/streamSteps, rand.IntN(updatedStreams))
}

func (s *updates) openLog(d *Log) (*eventlog.Log, error) {
	return eventlog.Open(s.t.Context(), d, &eventlog.Options{Shards: 3, Attempts: 1000})
}

func (s *updates) live(ctx context.Context, d *Log, name string) {
	l, err := s.openLog(d)
	if err != nil {
		s.t.Error(err)
		return
	}
	var work sync.WaitGroup
	for w := range 5 {
		work.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				s.update(l, fmt.Sprint(name, ".", w, ".", n))
			}
		})
	}
	work.Wait()
	s.owned(d)
	if err := l.Close(); err != nil {
		s.t.Errorf("close: %v", err)
	}
}

// update runs a transaction of some kind.
func (s *updates) update(l *eventlog.Log, id string) {
	within := 20 * time.Second
	hurry := rand.IntN(20) == 0
	if hurry {
		within = rand.N(2 * time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	kinds := []updating{alone, alone, besideOther, s.withTable(), two, onlyReads}
	do, a, b := kinds[rand.IntN(len(kinds))], s.stream(), s.stream()
	var ids []string
	_, err := l.Update(ctx, func(tx *eventlog.Tx) (err error) {
		ids, err = do(tx, id, a, b)
		return err
	})
	switch {
	case err == nil:
		s.ack(ids...)
	case hurry && ctx.Err() != nil:
		s.count(gaveUp)
	default:
		s.t.Errorf("%s: %v", id, err)
	}
}

// updating is a transaction that works on two streams. It returns what it appends, if it is
// written.
type updating func(tx *eventlog.Tx, id, a, b string) (ids []string, err error)

// alone counts on in one stream.
func alone(tx *eventlog.Tx, id, a, _ string) ([]string, error) {
	n, err := stepsOf.Load(tx, a)
	if err != nil {
		return nil, err
	}
	return []string{id}, tx.Append(a, step{ID: id, N: *n + 1})
}

// besideOther says what it saw of another stream.
func besideOther(tx *eventlog.Tx, id, a, b string) ([]string, error) {
	saw, err := stepsOf.Load(tx, b)
	if err != nil {
		return nil, err
	}
	n, err := stepsOf.Load(tx, a)
	if err != nil {
		return nil, err
	}
	return []string{id}, tx.Append(a, step{ID: id, N: *n + 1, Other: b, Saw: *saw})
}

// two counts on in two streams at once.
func two(tx *eventlog.Tx, id, a, b string) ([]string, error) {
	ids, err := alone(tx, id, a, "")
	if err != nil || a == b {
		return ids, err
	}
	more, err := alone(tx, id+"+", b, "")
	return append(ids, more...), err
}

// onlyReads changes nothing.
func onlyReads(tx *eventlog.Tx, _, a, b string) ([]string, error) {
	_, err := stepsOf.Load(tx, a)
	if err == nil {
		_, err = stepsOf.Load(tx, b)
	}
	return nil, err
}

// withTable counts on in a row and in a stream of its own, without a look at that.
func (s *updates) withTable() updating {
	runs := 0
	return func(tx *eventlog.Tx, id, a, b string) ([]string, error) {
		if runs++; runs == 2 {
			s.count(ranAgain)
		}
		n, _, err := counters.Get(tx, "k")
		if err != nil {
			return nil, err
		}
		if err := counters.Put(tx, "k", n+1); err != nil {
			return nil, err
		}
		if err := tx.Append("counted", step{ID: id + "t", N: n + 1}); err != nil {
			return nil, err
		}
		ids, err := besideOther(tx, id, a, b)
		return append(ids, id+"t"), err
	}
}

// verify reads all that was written.
func (s *updates) verify() {
	d, err := s.open()
	if err != nil {
		s.t.Fatal(err)
	}
	l, err := s.openLog(d)
	if err != nil {
		s.t.Fatal(err)
	}
	defer l.Close()
	if err := eventlog.Check(s.t.Context(), l); err != nil {
		s.t.Error(err)
	}
	found := make(map[string]int)
	s.verifyStream(l, "counted", found)
	for generation := range len(s.acked)/streamSteps + 1 {
		for i := range updatedStreams {
			s.verifyStream(l, updatedStream(generation, i), found)
		}
	}
	for id := range found {
		if whole, half := strings.CutSuffix(id, "+"); half && found[whole] == 0 {
			s.t.Errorf("of %s there is one half", whole)
		}
	}
	s.check(found)
}

func (s *updates) verifyStream(l *eventlog.Log, stream string, found map[string]int) {
	n, saw := 0, make(map[string]int)
	for r, err := range l.Read(s.t.Context(), eventlog.Query{Stream: stream}) {
		var e step
		if err := errors.Join(err, r.Decode(&e)); err != nil {
			s.t.Fatal(err)
		}
		n++
		if r.Version != uint64(n) || e.N != n || e.Saw < saw[e.Other] {
			s.t.Errorf("%s@%d, the %dth, is %+v behind one that saw %d", stream, r.Version, n, e, saw[e.Other])
		}
		if saw[e.Other] = e.Saw; e.Other == "" {
			delete(saw, "")
		}
		found[e.ID]++
	}
}
