package remotelog

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// TestWritesStandWhereTheyWereMadeFor: processes write behind each other's Writes under
// way, some of which fail, while owners come and go. Every commit is behind the one that
// it was made for, in every shard that its Write only checked there is what it saw, and
// what was acknowledged is there once.
func TestWritesStandWhereTheyWereMadeFor(t *testing.T) {
	t.Parallel()
	s := &chains{soak: newSoak(t, 60*time.Millisecond, wrote, toldAhead, wroteBehind, refusedBehind, refusedCell)}
	s.run(4, s.live)
	s.verify()
}

// What writers of chains see.
const (
	wrote         = "written"
	toldAhead     = "told of what is under way"
	wroteBehind   = "written behind what was under way"
	refusedBehind = "refused behind what was under way"
	refusedCell   = "refused for a cell"
)

const chainShards = 3

// chains are writers of a few shards that number their commits: so is their time.
type chains struct {
	*soak
	last atomic.Int64
}

func (s *chains) live(ctx context.Context, d *Log, _ string) {
	var wg sync.WaitGroup
	for range 1 + rand.IntN(3) {
		wg.Go(func() {
			w := &chainWriter{chains: s, log: d, views: make([]view, chainShards)}
			for ctx.Err() == nil && w.write() {
			}
		})
	}
	wg.Wait()
	s.owned(d)
}

// A chainWriter writes behind whatever it was told of.
type chainWriter struct {
	*chains
	log   *Log
	views []view
}

// An attempt is a Write, and what it makes of the shards.
type attempt struct {
	driver.Write
	made  []string
	views map[int]view
	named bool // it stands behind Writes under way
}

func (w *chainWriter) write() (again bool) {
	a := w.attempt()
	ctx, cancel := context.Background(), context.CancelFunc(func() {})
	if rand.IntN(30) == 0 {
		ctx, cancel = context.WithTimeout(ctx, rand.N(1500*time.Microsecond))
	}
	defer cancel()
	err := w.log.Write(ctx, a.Write)
	var tail *driver.TailError
	switch {
	case err == nil:
		w.written(a)
		return true
	case errors.As(err, &tail):
		return w.refused(a, tail)
	case errors.As(err, new(*driver.CellError)):
		w.count(refusedCell)
		return rand.IntN(2) == 0 || w.look()
	case errors.Is(err, driver.ErrUnknown), ctx.Err() != nil:
		return w.look()
	}
	w.t.Error(err)
	return false
}

func (w *chainWriter) attempt() *attempt {
	a := &attempt{Write: driver.Write{TakesAhead: rand.IntN(10) > 0}, views: make(map[int]view)}
	crand.Read(a.ID[:])
	first := rand.IntN(chainShards)
	w.add(a, first, 1+rand.IntN(3))
	for k := range rand.IntN(chainShards) {
		w.add(a, (first+k+1)%chainShards, rand.IntN(2)*(1+rand.IntN(3)))
	}
	w.tellChecks(a)
	if rand.IntN(15) == 0 { // it will fail
		other := uint64(5)
		a.Cells = []driver.CellOp{{If: &other, Cell: driver.Cell{Key: "none"}}}
	}
	return a
}

// add adds a batch of so many commits.
func (w *chainWriter) add(a *attempt, shard, commits int) {
	v := w.views[shard]
	b := driver.Batch{Shard: shard, First: v.ahead + 1}
	if v.ahead > v.tail {
		b.Behind, a.named = v.behind, true
	}
	for range commits {
		num := w.last.Add(1)
		a.made = append(a.made, fmt.Sprint(num))
		v.ahead++
		b.Commits = append(b.Commits, driver.Commit{Revision: v.ahead, Data: numbered{Num: num, Behind: v.aheadNum}.encode(), Time: num,
			Keys: []driver.Key{{Name: "k" + strconv.FormatInt(num, 10), Pos: uint64(v.ahead)}}})
		v.aheadNum = num
	}
	v.tail, v.num = v.ahead, v.aheadNum
	a.Batches, a.views[shard] = append(a.Batches, b), v
}

// tellChecks lets the last commit of the first batch say what all checks rest on.
func (w *chainWriter) tellChecks(a *attempt) {
	c := &a.Batches[0].Commits[len(a.Batches[0].Commits)-1]
	l, err := decodeNumbered(c.Data)
	if err != nil {
		w.t.Error(err)
	}
	for _, b := range a.Batches {
		if len(b.Commits) == 0 && b.First > 1 {
			l.Saw = append(l.Saw, glimpse{b.Shard, b.First - 1, w.views[b.Shard].aheadNum})
		}
	}
	c.Data = l.encode()
}

func (w *chainWriter) written(a *attempt) {
	w.count(wrote)
	if a.named {
		w.count(wroteBehind)
	}
	w.ack(a.made...)
	for shard, v := range a.views {
		w.views[shard] = v
	}
}

func (w *chainWriter) refused(a *attempt, e *driver.TailError) (again bool) {
	if a.named {
		w.count(refusedBehind)
	}
	for i := range a.Batches {
		b := &a.Batches[i]
		next, ok := w.views[b.Shard].told(b, e)
		if w.views[b.Shard] = next; !ok && !w.lookAt(b.Shard) {
			return false
		}
		if next.ahead > next.tail {
			w.count(toldAhead)
		}
	}
	return true
}

// look reads how it stands with all shards.
func (w *chainWriter) look() bool {
	for shard := range w.views {
		if !w.lookAt(shard) {
			return false
		}
	}
	return true
}

func (w *chainWriter) lookAt(shard int) bool {
	tail, err := w.log.Tail(context.Background(), shard)
	v := view{tail: tail, ahead: tail}
	if err == nil && tail > 0 {
		for c, e := range w.log.Read(context.Background(), shard, driver.Range{From: uint64(tail), To: uint64(tail) + 1}) {
			var l numbered
			if err = e; err == nil {
				l, err = decodeNumbered(c.Data)
			}
			v.num = l.Num
		}
	}
	if err != nil {
		w.t.Error(err)
		return false
	}
	v.aheadNum = v.num
	w.views[shard] = v
	return true
}

// verify reads all that was written.
func (s *chains) verify() {
	d, err := s.open()
	if err != nil {
		s.t.Fatal(err)
	}
	defer d.Close()
	found, at := make(map[string]int), make(map[glimpse]bool)
	var saw []glimpse
	for shard := range chainShards {
		var last int64
		for c, err := range d.Read(s.t.Context(), shard, driver.Range{}) {
			if err != nil {
				s.t.Fatal(err)
			}
			l, err := decodeNumbered(c.Data)
			if err != nil || l.Behind != last {
				s.t.Errorf("shard %d revision %d: %d is behind %d, made for %d, %v", shard, c.Revision, l.Num, last, l.Behind, err)
			}
			found[fmt.Sprint(l.Num)]++
			at[glimpse{shard, c.Revision, l.Num}] = true
			saw, last = append(saw, l.Saw...), l.Num
		}
	}
	for _, g := range saw {
		if !at[g] {
			s.t.Errorf("somebody saw %d at revision %d of shard %d, which is not there", g.Num, g.Revision, g.Shard)
		}
	}
	s.check(found)
}
