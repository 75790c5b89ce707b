package projectiontest

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"sync"
	"testing"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/projection"
	"github.com/rollforward/rollforward/projection/sqlsink"
)

// A course is how the events of a scenario come into one log and from there, in
// several ways, into read models.
type course struct {
	t           testing.TB
	dir         string
	given       []given
	projections []sqlsink.Projection
	store       driver.Log
	log         *eventlog.Log
}

// A way is a read model and how it came about.
type way struct {
	name string
	db   *sql.DB
	err  error               // why a projection stopped
	rows map[string][]string // by table
}

// errSkipped: another way's failure leaves this one without a meaning.
var errSkipped = errors.New("skipped")

func newCourse(t testing.TB, g []given, p []sqlsink.Projection) *course {
	t.Helper()
	c := &course{t: t, dir: t.TempDir(), given: g, projections: p, store: memlog.Open()}
	c.log = c.open(c.store)
	t.Cleanup(func() {
		if err := errors.Join(eventlog.Check(context.Background(), c.log), c.log.Close()); err != nil {
			t.Error(err)
		}
	})
	return c
}

func (c *course) open(d driver.Log) *eventlog.Log {
	c.t.Helper()
	l, err := eventlog.Open(context.Background(), d, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	return l
}

// run appends the events and lets the projections run meanwhile and afterwards.
func (c *course) run() (live *way, others []*way) {
	c.t.Helper()
	wait, end := c.start()
	middle := len(c.given) / 2
	c.append(c.given[:middle], wait)
	first := c.firstHalf()
	c.append(c.given[middle:], wait)
	live = end()
	return live, []*way{c.secondHalf(first), c.repeated(), c.backwards(), c.rebuilt(live)}
}

// start starts the projections. wait returns when they have handled all that is
// in the log, or never will; end waits and ends them.
func (c *course) start() (wait func() error, end func() *way) {
	c.t.Helper()
	sink := c.openSink("live")
	r := c.runner(sink)
	ctx, cancel := context.WithCancel(context.Background())
	var reason error
	var running sync.WaitGroup
	running.Go(func() {
		defer cancel() // they have stopped: nothing is to be waited for
		reason = r.Run(ctx)
	})
	stop := func() {
		cancel()
		running.Wait()
	}
	c.t.Cleanup(stop) // before the sink and the log are closed
	wait = func() error { return r.WaitFor(ctx, c.end()) }
	return wait, func() *way {
		c.t.Helper()
		err := wait()
		if stop(); reason != nil {
			err = reason
		}
		return c.way("live", sink, err)
	}
}

const halves = "in two halves"

// firstHalf lets the projections run to the middle, a commit at a time.
func (c *course) firstHalf() error {
	c.t.Helper()
	sink := c.openSink(halves)
	r := c.runner(sink)
	r.Batch = 1
	err := r.CatchUp(context.Background())
	if err := sink.Close(); err != nil {
		c.t.Fatal(err)
	}
	return err
}

// secondHalf lets them go on from there, unless they have stopped.
func (c *course) secondHalf(err error) *way {
	c.t.Helper()
	sink := c.openSink(halves)
	if err == nil {
		err = c.runner(sink).CatchUp(context.Background())
	}
	return c.way(halves, sink, err)
}

// repeated runs every transaction twice, the first time in vain.
func (c *course) repeated() *way {
	c.t.Helper()
	const name = "with every transaction repeated"
	sink := c.openSink(name)
	r := c.runner(sink)
	r.Sink = repeating{sink}
	return c.way(name, sink, r.CatchUp(context.Background()))
}

// backwards takes one shard after another, from the last to the first.
func (c *course) backwards() *way {
	c.t.Helper()
	const name = "with the shards in another order"
	sink := c.openSink(name)
	d := &late{Log: c.store, first: c.log.Shards()}
	l := c.open(d)
	r := c.runner(sink)
	r.Log = l
	var err error
	for d.first > 0 && err == nil {
		if d.first--; d.first == 0 || c.end().Revision(d.first) > 0 {
			err = r.CatchUp(context.Background())
		}
	}
	if err := l.Close(); err != nil {
		c.t.Fatal(err)
	}
	return c.way(name, sink, err)
}

// rebuilt rebuilds what live has left.
func (c *course) rebuilt(live *way) *way {
	c.t.Helper()
	const name = "rebuilt"
	if live.err != nil {
		return &way{name: name, err: errSkipped}
	}
	sink := c.openSink(live.name)
	r := c.runner(sink)
	var err error
	for _, p := range c.projections {
		err = errors.Join(err, r.Rebuild(context.Background(), p.Name))
	}
	return c.way(name, sink, err)
}

// append appends events one by one, each when the one before it was handled.
func (c *course) append(list []given, wait func() error) {
	c.t.Helper()
	for _, g := range list {
		if _, err := c.log.Append(context.Background(), g.stream, nil, g.event); err != nil {
			c.t.Fatalf("given: %v", err)
		}
		_ = wait() // the end says what was wrong
	}
}

// end is how far the log reaches.
func (c *course) end() eventlog.Position {
	c.t.Helper()
	p, err := c.log.Position(context.Background())
	if err != nil {
		c.t.Fatal(err)
	}
	return p
}

func (c *course) openSink(name string) *sqlsink.Sink {
	c.t.Helper()
	sink, err := sqlsink.OpenSQLite(context.Background(), filepath.Join(c.dir, name+".db"))
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		if err := sink.Close(); err != nil {
			c.t.Error(err)
		}
	})
	return sink
}

func (c *course) runner(sink projection.Sink[*sql.Tx]) *sqlsink.Runner {
	return &sqlsink.Runner{Log: c.log, Sink: sink, Projections: c.projections, Attempts: 1}
}

func (c *course) way(name string, sink *sqlsink.Sink, err error) *way {
	c.t.Helper()
	w := &way{name: name, db: sink.DB(), err: err}
	var failed error
	if w.rows, failed = dump(context.Background(), w.db); failed != nil {
		c.t.Fatalf("when: %s: %v", name, failed)
	}
	return w
}
