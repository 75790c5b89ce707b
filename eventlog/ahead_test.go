package eventlog_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/memlog"
)

// toldBeside lets a log be told, beside a refusal in another shard, of a commit under
// way, which is then written; it hears no more of it. The log has six entries then.
func toldBeside(t *testing.T) *eventlog.Log {
	t.Helper()
	store := memlog.NewStore()
	o := eventlog.Options{Shards: 2, MaxSkew: 20 * time.Millisecond, Poll: 20 * time.Millisecond}
	here, answers := answered(t, store, o)
	there, under := answered(t, store, o)
	mine, theirs := inShard(here, 0, "mine"), inShard(here, 1, "theirs")
	add(t, here, mine, "0")
	add(t, there, mine, "1")

	flying, land := make(chan driver.Flight), make(chan struct{})
	under.say(func(w driver.Write) error {
		flying <- flightOf(w)
		<-land
		return errPass
	})
	var work sync.WaitGroup
	work.Go(func() { add(t, there, theirs, "2") })
	f := <-flying
	answers.say(func(driver.Write) error {
		return &driver.TailError{Tail: 2, News: []driver.Batch{{Shard: 1, First: f.Batch.First}}, Ahead: []driver.Flight{f}}
	})
	add(t, here, mine, "3")
	close(land)
	work.Wait()
	add(t, here, mine, "4")
	add(t, there, theirs, "5")
	return here
}

// TestFollowBehindWhatOthersHadUnderWay: who follows all shards, or exports them, waits
// for no commit of another process that this one was told of and heard no more of.
func TestFollowBehindWhatOthersHadUnderWay(t *testing.T) {
	t.Parallel()
	for name, texts := range map[string]func(t *testing.T, ctx context.Context, l *eventlog.Log) string{
		"follow": followed, "export": exported,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := toldBeside(t)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				if got := texts(t, ctx, l); len(strings.Fields(got)) != 6 {
					t.Errorf("it has %q", got)
				}
			})
		})
	}
}

// followed is what a follower of all shards gets within a second.
func followed(t *testing.T, ctx context.Context, l *eventlog.Log) string {
	ctx, cancel := context.WithCancel(ctx)
	f := follow(ctx, l, eventlog.Query{})
	time.Sleep(time.Second)
	cancel()
	is(t, <-f.end, context.Canceled)
	return f.texts(t)
}

// exported is what an export has.
func exported(t *testing.T, ctx context.Context, l *eventlog.Log) string {
	var out bytes.Buffer
	is(t, eventlog.Export(ctx, l, &out, nil), nil)
	var list []string
	for line := range strings.Lines(out.String()) {
		var event struct{ Data *entry }
		if err := json.Unmarshal([]byte(line), &event); err == nil && event.Data != nil {
			list = append(list, event.Data.Text)
		}
	}
	return strings.Join(list, " ")
}

// TestToldBesideThatItFailed: who was told, beside a refusal in another shard, of a commit
// under way, and beside the next one that nothing is under way there any more, neither
// sees it nor stands behind it.
func TestToldBesideThatItFailed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, o := memlog.NewStore(), eventlog.Options{Shards: 2}
		here, answers := answered(t, store, o)
		there, _ := answered(t, store, o)
		mine, theirs := inShard(here, 0, "mine"), inShard(here, 1, "theirs")
		add(t, here, mine, "0")
		x := failed(t, store, theirs, "X")
		nothing := driver.Batch{Shard: 1, First: x.Batch.First}
		answers.say(told(1, x), func(driver.Write) error {
			add(t, there, mine, "1")
			return &driver.TailError{Tail: 2, News: []driver.Batch{nothing}}
		})
		add(t, here, mine, "2")
		update(t, here, func(tx *eventlog.Tx) error {
			d, err := diaries.Load(tx, theirs)
			if err == nil && d.Text != "" {
				t.Errorf("seen: %q", d.Text)
			}
			return errors.Join(err, tx.Append(theirs, entry{"3"}))
		})
		for _, w := range answers.writes() {
			for _, b := range w.Batches {
				if b.Behind != [16]byte{} {
					t.Errorf("shard %d stands behind what has failed", b.Shard)
				}
			}
		}
		want(t, here, theirs, "3")
		want(t, here, mine, "0 1 2")
	})
}

// TestFillersAreLater: what fills the place of a write that stood behind one that failed
// has a later time than what another process, whose clock runs fast, put there meanwhile.
func TestFillersAreLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, o := memlog.NewStore(), eventlog.Options{Shards: 1, MaxSkew: 10 * time.Second}
		fast := o
		eventlog.SetNow(&fast, func() time.Time { return time.Now().Add(5 * time.Second) })
		here, answers := answered(t, store, o)
		there, _ := answered(t, store, fast)
		add(t, here, "a", "0")
		x := failed(t, store, "a", "x")
		behind := false
		answers.say(told(1, x), func(w driver.Write) error {
			behind = w.Batches[0].Behind == x.Write && w.Batches[0].First == 3
			add(t, there, "b", "fast")
			return loseAnswer(w)
		}, answers.refuse) // the repetition; then there is the filler, and its place is taken
		add(t, here, "a", "1")
		if !behind {
			t.Error("it did not stand behind what failed")
		}
		want(t, here, "a", "0 1")
		is(t, eventlog.Check(t.Context(), here), nil) // times rise
	})
}

// fewDiaries has a snapshot after a few events.
var fewDiaries = eventlog.Model[diary]{Name: "few", Snapshot: 3, Folds: diaries.Folds}

// TestNoSnapshotOfWhatFailed: a state that somebody saw behind a write of another process
// that failed becomes no snapshot, though its own last event is written in the end, with
// the same version.
func TestNoSnapshotOfWhatFailed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, o := memlog.NewStore(), eventlog.Options{Shards: 1}
		here, answers := answered(t, store, o)
		there, _ := answered(t, store, o)
		add(t, here, "a", "one")
		x := failed(t, store, "a", "X")
		flying, land := make(chan struct{}), make(chan struct{})
		answers.say(told(1, x), func(w driver.Write) error {
			close(flying)
			<-land
			return answers.refuse(w)
		})
		var work sync.WaitGroup
		work.Go(func() { add(t, here, "a", "C") })
		<-flying
		var seen []string
		work.Go(func() {
			update(t, here, func(tx *eventlog.Tx) error {
				d, err := fewDiaries.Load(tx, "a")
				if err == nil {
					seen = append(seen, d.Text)
				}
				return err
			})
		})
		synctest.Wait() // the snapshot waits until all is durable
		add(t, there, "a", "Y")
		close(land)
		work.Wait()
		synctest.Wait()
		if got := fmt.Sprint(seen); got != "[one X C  one Y C ]" {
			t.Errorf("seen: %s", got)
		}
		for _, w := range answers.writes() {
			for _, op := range w.Cells {
				if state := string(op.Cell.Value[24:]); strings.Contains(state, "X") { // behind 24 bytes that may be anything
					t.Errorf("a snapshot of %q", state)
				}
			}
		}
		add(t, there, "a", ".")
		next, _ := answered(t, store, o)
		update(t, next, func(tx *eventlog.Tx) error {
			d, err := fewDiaries.Load(tx, "a")
			if err == nil && d.Text != "one Y C . " {
				t.Errorf("loaded: %q", d.Text)
			}
			return err
		})
	})
}

// TestOddAhead: a program that is told of commits under way that it would not write
// stands behind none of them, and from then on waits until others' writes are decided on.
// It fails nothing that rests on them.
func TestOddAhead(t *testing.T) {
	t.Parallel()
	for name, odd := range map[string]func(c *driver.Commit){
		"garbage":  func(c *driver.Commit) { c.Data = []byte("garbage") },
		"empty":    func(c *driver.Commit) { c.Data = nil },
		"no time":  func(c *driver.Commit) { c.Time = 0 },
		"too late": func(c *driver.Commit) { c.Time += int64(time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store, o := memlog.NewStore(), eventlog.Options{Shards: 1, MaxSkew: time.Minute}
				here, answers := answered(t, store, o)
				add(t, here, "a", "one")
				x := failed(t, store, "a", "X")
				odd(&x.Batch.Commits[0])
				answers.say(told(1, x), answers.refuseBehind, answers.refuseBehind)
				for _, text := range []string{"two", "three"} {
					update(t, here, func(tx *eventlog.Tx) error {
						if _, err := diaries.Load(tx, "a"); err != nil {
							return err
						}
						return tx.Append("a", entry{text})
					})
				}
				want(t, here, "a", "one two three")
				for i, w := range answers.writes() {
					if i > 0 && w.TakesAhead || w.Batches[0].Behind != [16]byte{} {
						t.Errorf("write %d: takes %v, behind %v", i, w.TakesAhead, w.Batches[0].Behind)
					}
				}
			})
		})
	}
}
