package eventlog_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/rollforward/rollforward/eventlog"
)

// groups are what the Group hook saw.
type groups struct {
	mu   sync.Mutex
	list []eventlog.GroupInfo
}

func (g *groups) options(shards int) *eventlog.Options {
	return &eventlog.Options{Shards: shards, Hooks: eventlog.Hooks{Group: func(i eventlog.GroupInfo) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.list = append(g.list, i)
	}}}
}

// TestGroupsShareAWrite: what queues up behind a write in flight is written
// together, each caller with its own answer.
func TestGroupsShareAWrite(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var g groups
		l, f := faulty(t, g.options(1))
		gate := make(chan struct{})
		f.Inject(holdWrites(gate))
		var answers []<-chan error
		queue := func(stream, text string, expect eventlog.Expect) {
			answers = append(answers, begin(func() error {
				_, err := l.Append(t.Context(), stream, &eventlog.AppendOptions{Expect: expect}, entry{text})
				return err
			}))
			synctest.Wait()
		}
		queue("hot", "first", eventlog.Expect{})
		for i := range 10 {
			queue("hot", fmt.Sprint(i), eventlog.Exactly(uint64(i+1)))
		}
		queue("hot", "no", eventlog.NoStream) // it alone fails
		queue("hot", "last", eventlog.Exactly(11))
		close(gate)
		for i, a := range answers {
			if i == 11 {
				is(t, <-a, eventlog.ErrConflict)
			} else {
				is(t, <-a, nil)
			}
		}
		want(t, l, "hot", "first 0 1 2 3 4 5 6 7 8 9 last")
		if len(g.list) != 2 || g.list[0].Commits != 1 || g.list[1].Commits != 11 || g.list[1].Events != 11 || g.list[1].Shards != 1 {
			t.Errorf("writes %+v, expected one of 1 commit and one of 11", g.list)
		}
	})
}

// TestGroupsStayWithinAWrite: transactions that are allowed one by one are not
// refused because they would share a write that is too large.
func TestGroupsStayWithinAWrite(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var g groups
		l, f := faulty(t, g.options(4))
		gate := make(chan struct{})
		f.Inject(holdWrites(gate))
		large := eventlog.Raw{Type: "test.large", Data: make([]byte, 790_000)}
		var answers []<-chan error
		for _, shards := range []int{4, 1, 4, 2, 4, 1} { // with 790 kB for each
			answers = append(answers, begin(func() error {
				_, err := l.Update(t.Context(), func(tx *eventlog.Tx) error {
					for s := range shards {
						if err := tx.Append(inShard(l, s, "s"), large); err != nil {
							return err
						}
					}
					return nil
				})
				return err
			}))
			synctest.Wait()
		}
		close(gate)
		for _, a := range answers {
			is(t, <-a, nil)
		}
		for _, w := range g.list {
			if w.Bytes > 3_600_000 {
				t.Errorf("a write of %d bytes", w.Bytes)
			}
		}
	})
}
