package remotelog

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// A chain is turns with a store that decides on Writes in the order of their coming,
// each a second after it has come.
type chain struct {
	*turns
	t       *testing.T
	mu      sync.Mutex
	started []byte // names of Writes, in the order in which they came to the store
	work    sync.WaitGroup
}

func newChain(t *testing.T) *chain {
	c := &chain{turns: newTurns(true, noTails), t: t}
	c.mark = [8]byte{}
	return c
}

// write brings a Write named by a letter to the store, which answers with answer. It
// is refused at once, if it is.
func (c *chain) write(p *party, name byte, answer error, list ...driver.Batch) (result func() error) {
	return c.bring(p, name, answer, driver.Write{ID: [16]byte{name}, TakesAhead: true, Batches: list})
}

func (c *chain) bring(p *party, name byte, answer error, w driver.Write) (result func() error) {
	return c.carries(&waiter{party: p, write: &w}, name, answer)
}

func (c *chain) carries(wt *waiter, name byte, answer error) (result func() error) {
	err := errors.New("under way")
	c.work.Go(func() {
		got := c.do(c.t.Context(), wt, func() func() error {
			time.Sleep(time.Duration('z'-name) * time.Millisecond) // the first one is the slowest
			c.mu.Lock()
			defer c.mu.Unlock()
			c.started = append(c.started, name)
			return func() error {
				time.Sleep(time.Second)
				return answer
			}
		})
		c.mu.Lock()
		defer c.mu.Unlock()
		err = got
	})
	synctest.Wait()
	return func() error {
		c.mu.Lock()
		defer c.mu.Unlock()
		return err
	}
}

// has returns which Writes the store has, in the order of their coming.
func (c *chain) has() string {
	time.Sleep(100 * time.Millisecond)
	c.mu.Lock()
	defer c.mu.Unlock()
	return string(c.started)
}

// nameOf returns what the flight of a Write is called: they are admitted in the order
// of their letters.
func nameOf(name byte) [16]byte { return [16]byte{15: name - 'a' + 1} }

func behind(name byte, b driver.Batch) driver.Batch {
	b.Behind = nameOf(name)
	return b
}

// refusalOf returns the refusal that a Write got.
func refusalOf(t *testing.T, result func() error) *driver.TailError {
	t.Helper()
	var e *driver.TailError
	if err := result(); !errors.As(err, &e) {
		t.Fatalf("%v, expected a refusal", err)
	}
	return e
}

func chained(t *testing.T, f func(t *testing.T, c *chain, a, b *party)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := newChain(t)
		f(t, c, c.join(), c.join())
		c.work.Wait()
		for shard, ln := range c.lanes {
			if ln.flights > 0 || ln.ahead != ln.tail || ln.waiting > 0 {
				t.Errorf("shard %d is left with %+v", shard, *ln)
			}
		}
	})
}

// TestToldOfWhatIsAhead: who loses against a Write under way is told of it at once, and
// comes to the store behind it before it is decided on.
func TestToldOfWhatIsAhead(t *testing.T) {
	t.Parallel()
	chained(t, func(t *testing.T, c *chain, a, b *party) {
		first := c.write(a, 'a', nil, batch(0, 1, 2))
		e := refusalOf(t, c.write(b, 'x', nil, batch(0, 1, 1)))
		if len(e.Ahead) != 1 || e.Ahead[0].Write != nameOf('a') || len(e.Ahead[0].Batch.Commits) != 2 || len(e.News[0].Commits) != 0 {
			t.Fatalf("told of %+v, and as durable of %+v", e.Ahead, e.News)
		}
		second := c.write(b, 'b', nil, behind('a', batch(0, 3, 1)))
		if c.has() != "ab" || first() == nil {
			t.Errorf("the store has %q, the first one %v", c.started, first())
		}
		c.work.Wait()
		if first() != nil || second() != nil {
			t.Errorf("%v, %v", first(), second())
		}
		e = refusalOf(t, c.write(a, 'x', nil, batch(0, 3, 1)))
		if e.Tail != 3 || len(e.Ahead) != 0 || len(e.News) != 1 || len(e.News[0].Commits) != 1 || e.News[0].Commits[0].Data != nil {
			t.Errorf("told of %+v, durable to %d: %+v", e.Ahead, e.Tail, e.News)
		}
	})
}

// TestWaitsWhereItDoesNotTakeIt: a Write that cannot stand behind others is refused when
// they are durable.
func TestWaitsWhereItDoesNotTakeIt(t *testing.T) {
	t.Parallel()
	chained(t, func(t *testing.T, c *chain, a, b *party) {
		c.write(a, 'a', nil, batch(0, 1, 1))
		begin := time.Now()
		err := do(t, c.turns, b, nil, batch(0, 1, 1))
		if e := refusalOf(t, func() error { return err }); e.Tail != 1 || len(e.Ahead) > 0 || time.Since(begin) < time.Second/2 {
			t.Errorf("after %v: tail %d, told of %v", time.Since(begin), e.Tail, e.Ahead)
		}
	})
}

// TestBehindWhatFails: a Write behind one that failed never comes behind another one at
// the same place, whether it is with the store at that time or comes later.
func TestBehindWhatFails(t *testing.T) {
	t.Parallel()
	full, late := driver.ErrDiskFull, &driver.TailError{Tail: 0}
	chained(t, func(t *testing.T, c *chain, a, b *party) {
		d := c.join()
		c.write(a, 'a', full, batch(0, 1, 1), batch(1, 1, 1))
		refusalOf(t, c.write(b, 'x', nil, batch(0, 1, 1)))
		time.Sleep(500 * time.Millisecond)
		c.write(b, 'b', late, behind('a', batch(0, 2, 1)), batch(2, 1, 1))
		refusalOf(t, c.write(d, 'x', nil, batch(0, 1, 1))) // it will come behind b
		time.Sleep(700 * time.Millisecond)                 // a has failed, and so will b: nobody gets a's place before
		other := c.write(a, 'c', nil, batch(0, 1, 2))
		c.work.Wait()
		if other() != nil || c.has() != "abc" {
			t.Fatalf("%v, the store had %q", other(), c.has())
		}
		for _, w := range []driver.Batch{behind('b', batch(0, 3, 1)), behind('a', batch(0, 2, 1)), behind('a', batch(0, 100, 1))} {
			if e := refusalOf(t, c.write(d, 'd', nil, w)); len(e.News)+len(e.Ahead) > 0 {
				t.Errorf("behind %d: %+v", w.Behind[15], e)
			}
		}
		if c.has() != "abc" {
			t.Errorf("the store had %q", c.has())
		}
		if last := c.write(d, 'd', nil, behind('c', batch(0, 3, 1))); c.has() != "abcd" {
			t.Errorf("behind the one that is there: %v, the store had %q", last(), c.has())
		}
	})
}

// TestNoNewsOfWhatFailed: a Write that the store refuses, since its shard had a commit
// that nobody here knew of, is not taken for that commit.
func TestNoNewsOfWhatFailed(t *testing.T) {
	t.Parallel()
	chained(t, func(t *testing.T, c *chain, a, b *party) {
		c.write(a, 'a', &driver.TailError{Tail: 1}, batch(0, 1, 1))
		refusalOf(t, c.write(b, 'x', nil, batch(0, 1, 1)))
		c.work.Wait()
		for _, w := range []driver.Batch{behind('a', batch(0, 2, 1)), batch(0, 1, 1)} {
			if e := refusalOf(t, c.write(b, 'b', nil, w)); e.Tail != 1 || len(e.News) > 0 {
				t.Errorf("tail %d, news %+v", e.Tail, e.News)
			}
		}
	})
}

// TestChecksBehind: a Write that only checks waits for what it stands behind, and is no
// news to anybody.
func TestChecksBehind(t *testing.T) {
	t.Parallel()
	chained(t, func(t *testing.T, c *chain, a, b *party) {
		c.write(a, 'a', nil, batch(0, 1, 1))
		check := c.write(b, 'b', nil, behind('a', batch(0, 2, 0)))
		third := c.write(a, 'c', nil, behind('a', batch(0, 2, 1)))
		c.work.Wait()
		if check() != nil || third() != nil || c.has() != "abc" {
			t.Errorf("%v, %v, the store had %q", check(), third(), c.has())
		}
	})
}

// TestClaimsWhatIsUnderWay: a Write that takes what is under way for durable, without
// saying so, is decided on when it is.
func TestClaimsWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	chained(t, func(t *testing.T, c *chain, a, b *party) {
		c.write(a, 'a', nil, batch(0, 1, 1))
		claim := c.write(b, 'b', nil, batch(0, 2, 1))
		if c.has() != "a" {
			t.Errorf("the store has %q", c.has())
		}
		c.work.Wait()
		if claim() != nil || c.has() != "ab" {
			t.Errorf("%v, the store had %q", claim(), c.has())
		}
	})
}
