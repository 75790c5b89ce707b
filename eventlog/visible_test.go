package eventlog_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/drivertest"
)

// TestNobodySeesWhatIsNotDurable holds a write back, on its way to the store or
// its answer on the way home, and looks at the log in every way there is.
func TestNobodySeesWhatIsNotDurable(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		fault func(gate <-chan struct{}) drivertest.Fault
		seen  []string // what may be seen meanwhile
	}{
		{"the store has not got it", func(gate <-chan struct{}) drivertest.Fault { return drivertest.Fault{Before: gate} }, []string{"old"}},
		{"the answer is under way", func(gate <-chan struct{}) drivertest.Fault { return drivertest.Fault{After: gate} }, []string{"old", "old new"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l, f := faulty(t, nil)
				o := newOnlookers(t, l)
				if err := o.write("old"); err != nil {
					t.Fatal(err)
				}
				o.look("at first", "old")

				gate := make(chan struct{})
				f.Inject(func(call drivertest.Call) drivertest.Fault {
					if call.Method == "Write" {
						return c.fault(gate)
					}
					return drivertest.Fault{}
				})
				writer := begin(func() error { return o.write("new") })
				synctest.Wait()
				reader := begin(func() error { return o.update("old new ", func() error { return nil }) })
				refusal := begin(func() error { return o.update("old new ", func() error { return errNo }) })
				panicked := begin(func() error { return o.update("old new ", func() error { panic("!") }) })
				o.look("meanwhile", c.seen...)
				if len(o.heads) != 1 {
					t.Errorf("OnCommit called %d times before the answer, expected 1", len(o.heads))
				}
				unanswered(t, "the write", writer)
				unanswered(t, "an Update that saw it", reader)
				unanswered(t, "a refusal that saw it", refusal)
				unanswered(t, "a panic that saw it", panicked)

				close(gate)
				is(t, <-writer, nil)
				is(t, <-reader, nil)
				is(t, <-refusal, errNo)
				is(t, <-panicked, errPanicked)
				o.look("after the answer", "old new")
				if len(o.heads) != 2 {
					t.Errorf("OnCommit called %d times, expected 2", len(o.heads))
				}
			})
		})
	}
}

const onlooked = "diary/1"

// onlookers look at a log that holds one stream. Each of its commits adds an
// entry, and puts the text of all of them into a table, so that all ways of
// looking show the same.
type onlookers struct {
	t     *testing.T
	log   *eventlog.Log
	mu    sync.Mutex
	heads []driver.Head
	seen  map[string][]string // by followers
}

func newOnlookers(t *testing.T, l *eventlog.Log) *onlookers {
	o := &onlookers{t: t, log: l, seen: make(map[string][]string)}
	ctx, cancel := context.WithCancel(t.Context())
	var following sync.WaitGroup
	for name, q := range o.queries() {
		following.Go(func() {
			q.Follow = true
			for r, err := range l.Read(ctx, q) {
				if err != nil {
					return
				}
				o.mu.Lock()
				o.seen[name] = append(o.seen[name], text(t, r))
				o.mu.Unlock()
			}
		})
	}
	remove := l.OnCommit(func(h driver.Head) {
		o.mu.Lock()
		defer o.mu.Unlock()
		if h.Shard == l.ShardOf(onlooked) {
			o.heads = append(o.heads, h)
		}
	})
	t.Cleanup(func() {
		remove()
		cancel()
		following.Wait()
	})
	return o
}

func (o *onlookers) queries() map[string]eventlog.Query {
	return map[string]eventlog.Query{
		"stream": {Stream: onlooked},
		"tag":    {Tag: "tag"},
		"shard":  {Shards: []int{o.log.ShardOf(onlooked)}},
		"log":    {},
	}
}

func (o *onlookers) write(s string) error {
	_, err := o.log.Update(o.t.Context(), func(tx *eventlog.Tx) error {
		d, err := diaries.Load(tx, onlooked)
		if err != nil {
			return err
		}
		if err := notes.Put(tx, "all", d.Text+s); err != nil {
			return err
		}
		return tx.Append(onlooked, eventlog.Tagged(entry{s}, "tag"))
	})
	return err
}

// update sees what is pending, and ends as end says.
func (o *onlookers) update(want string, end func() error) error {
	_, err := o.log.Update(o.t.Context(), func(tx *eventlog.Tx) error {
		if d, err := diaries.Load(tx, onlooked); err != nil || d.Text != want {
			return fmt.Errorf("an Update sees %+v, %v, expected %q", d, err, want)
		}
		if row, _, err := notes.Get(tx, "all"); err != nil || row+" " != want {
			return fmt.Errorf("an Update sees the row %q, %v, expected %q", row, err, want)
		}
		for name, q := range o.queries() {
			if q.Stream == "" {
				q.Shards = allShards(o.log)
			}
			if got := texts(o.t, tx.Read(q)); got+" " != want {
				return fmt.Errorf("an Update sees %q by %s, expected %q", got, name, want)
			}
		}
		return end()
	})
	return err
}

// look fails when the log shows something else than one of these texts.
func (o *onlookers) look(when string, expected ...string) {
	o.t.Helper()
	synctest.Wait()
	see := func(way, got string) {
		o.t.Helper()
		if !slices.Contains(expected, got) {
			o.t.Errorf("%s, %s shows %q, expected %q", when, way, got, expected)
		}
	}
	for name, q := range o.queries() {
		see("Read by "+name, texts(o.t, o.log.Read(o.t.Context(), q)))
		o.mu.Lock()
		see("Follow by "+name, strings.Join(o.seen[name], " "))
		o.mu.Unlock()
	}
	o.lookThroughView(see)
	at, err := diaries.At(o.t.Context(), o.log, eventlog.Query{Stream: onlooked})
	is(o.t, err, nil)
	see("At", strings.TrimSpace(at.Text))
	p, err := o.log.Position(o.t.Context())
	is(o.t, err, nil)
	see("Position", upTo(uint64(p.Revision(o.log.ShardOf(onlooked)))))
	for _, s := range collect(o.t, o.log.Streams(o.t.Context(), "diary/")) {
		see("Streams", upTo(s.Version))
	}
	for n := uint64(1); n <= 2; n++ {
		if o.reaches(n) {
			continue
		}
		see("WaitFor", upTo(n-1))
		return
	}
	see("WaitFor", upTo(2))
}

// upTo is the text of so many commits.
func upTo(n uint64) string { return strings.Join([]string{"old", "new"}[:n], " ") }

// reaches reports whether WaitFor returns at once for the n-th commit.
func (o *onlookers) reaches(n uint64) bool {
	ctx, cancel := context.WithCancel(o.t.Context())
	defer cancel()
	p := eventlog.Position{}.With(o.log.ShardOf(onlooked), driver.Revision(n))
	answer := begin(func() error { return o.log.WaitFor(ctx, p) })
	synctest.Wait()
	select {
	case err := <-answer:
		is(o.t, err, nil)
		return true
	default:
		return false
	}
}

func (o *onlookers) lookThroughView(see func(way, got string)) {
	o.t.Helper()
	err := o.log.View(o.t.Context(), func(tx *eventlog.Tx) error {
		d, err := diaries.Load(tx, onlooked)
		if err != nil {
			return err
		}
		see("Load in a View", strings.TrimSpace(d.Text))
		row, _, err := notes.Get(tx, "all")
		if err != nil {
			return err
		}
		see("Table in a View", row)
		see("Read in a View", texts(o.t, tx.Read(eventlog.Query{Tag: "tag", Shards: allShards(o.log)})))
		return nil
	})
	is(o.t, err, nil)
}
