package remotelog

import (
	"errors"
	"fmt"
	"testing"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// TestNobodyBehindATakenPlace: a Write to a place that was taken before this owner's
// time is refused at once, so nobody comes to stand behind it.
func TestNobodyBehindATakenPlace(t *testing.T) {
	t.Parallel()
	chained(t, func(t *testing.T, c *chain, a, b *party) {
		c.tails = func(int) (driver.Revision, error) { return 10, nil }
		for _, p := range []*party{a, b} {
			taken := c.write(p, 'x', nil, batch(0, 10, 1))
			c.work.Wait()
			if e := refusalOf(t, taken); e.Tail != 10 || len(e.News)+len(e.Ahead) > 0 {
				t.Errorf("told of %v and %v behind %d", e.News, e.Ahead, e.Tail)
			}
		}
		refusalOf(t, c.write(b, 'y', nil, behind('a', batch(0, 11, 1))))
		if c.has() != "" {
			t.Errorf("the store has %q", c.started)
		}
		last := c.write(b, 'b', nil, batch(0, 11, 1))
		if c.work.Wait(); last() != nil {
			t.Error(last())
		}
	})
}

// TestAheadWhereItHolds: who loses is told of what is under way, also in shards beside,
// where the store decides in order and the Write takes it; nobody comes to stand behind a
// Write elsewhere.
func TestAheadWhereItHolds(t *testing.T) {
	t.Parallel()
	for _, chains := range []bool{true, false} {
		for _, takes := range []bool{true, false} {
			t.Run(fmt.Sprint(chains, takes), func(t *testing.T) {
				t.Parallel()
				chained(t, func(t *testing.T, c *chain, a, b *party) {
					c.chains = chains
					if err := errors.Join(do(t, c.turns, a, nil, batch(0, 1, 1)), do(t, c.turns, a, nil, batch(1, 1, 1)), do(t, c.turns, b, nil, batch(0, 2, 1))); err != nil {
						t.Fatal(err)
					}
					c.write(b, 'd', &driver.CellError{}, batch(1, 2, 1))
					e := refusalOf(t, c.bring(a, 'x', nil, driver.Write{TakesAhead: takes, Batches: []driver.Batch{batch(0, 2, 1)}}))
					if told := len(e.Ahead) > 0; told != (chains && takes) {
						t.Errorf("told of %v", e.Ahead)
					}
					if chains {
						return
					}
					named := c.write(a, 'e', nil, behind('d', batch(1, 3, 1)))
					c.work.Wait()
					if refusalOf(t, named); c.has() != "d" {
						t.Errorf("the store had %q", c.has())
					}
				})
			})
		}
	}
}

// TestBehindOneOfMany: a Write stands behind the one that its writer was told of, and
// behind no other one, whatever ID that is given: none, one twice, or another's name.
func TestBehindOneOfMany(t *testing.T) {
	t.Parallel()
	for _, id := range [][16]byte{{}, {9}, nameOf('a')} {
		chained(t, func(t *testing.T, c *chain, hostile, b *party) {
			w := driver.Write{ID: id, TakesAhead: true, Batches: []driver.Batch{batch(0, 1, 1)}}
			c.bring(hostile, 'a', &driver.CellError{}, w)
			ahead := refusalOf(t, c.write(b, 'x', nil, batch(0, 1, 1))).Ahead
			c.work.Wait() // it has failed
			c.bring(hostile, 'b', nil, w)
			next := batch(0, 2, 1)
			next.Behind = ahead[0].Write
			other := c.write(b, 'c', nil, next)
			c.work.Wait()
			e := refusalOf(t, other)
			if len(e.News)+len(e.Ahead) > 0 || c.has() != "ab" {
				t.Errorf("ID %v: told of %v and %v, the store has %q", id, e.News, e.Ahead, c.started)
			}
			last := c.write(b, 'd', nil, behind('b', batch(0, 2, 1)))
			if c.work.Wait(); last() != nil {
				t.Errorf("ID %v: behind the one that is there: %v", id, last())
			}
		})
	}
}
