package remotelog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/pebblelog"
	"github.com/rollforward/rollforward/internal/race"
)

func init() { processes["append"] = appendProcess }

// appendProcess appends with some workers until it is told to stop, and tells
// what was acknowledged.
func appendProcess(args []string) error {
	dir, name := args[0], args[1]
	ctx := context.Background()
	l, err := openEventlog(ctx, dir)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		_, _ = os.Stdin.Read(make([]byte, 1))
		cancel()
	}()
	var out sync.Mutex
	errs := make([]error, 4)
	var wg sync.WaitGroup
	for w := range errs {
		wg.Go(func() {
			for n := 0; ctx.Err() == nil && errs[w] == nil; n++ {
				id := fmt.Sprintf("%s.%d.%d", name, w, n)
				if errs[w] = appendNote(l, w, n, id); errs[w] == nil {
					out.Lock()
					fmt.Println(id)
					out.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errors.Join(errs...), l.Close())
}

func openEventlog(ctx context.Context, dir string) (*eventlog.Log, error) {
	d, err := Open(ctx, dir, &Options{Store: pebblelog.Options{MemTableSize: 1 << 20}})
	if err != nil {
		return nil, err
	}
	l, err := eventlog.Open(ctx, d, &eventlog.Options{Shards: 4})
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return l, nil
}

type note struct{ ID string }

func (note) EventType() string { return "test.note" }

// appendNote appends in one of several ways: to a stream of many writers, to one
// at an expected version, or to two shards at once.
func appendNote(l *eventlog.Log, w, n int, id string) error {
	ctx := context.Background()
	stream := "note/" + strconv.Itoa((w+n)%7)
	if w%2 == 0 {
		_, err := l.Append(ctx, stream, nil, note{id})
		return err
	}
	_, err := l.Update(ctx, func(tx *eventlog.Tx) error {
		if _, err := counts.Load(tx, stream); err != nil {
			return err
		}
		if n%5 == 0 {
			if err := tx.Append("other/"+strconv.Itoa(n%3), note{id + "+"}); err != nil {
				return err
			}
		}
		return tx.Append(stream, note{id})
	})
	return err
}

var counts = eventlog.Model[int]{Name: "count", Folds: eventlog.Folds[int]{
	eventlog.On(func(n *int, _ note) { *n++ }),
}}

// takeovers is how often a process is killed.
func takeovers() int {
	if os.Getenv("ROLLFORWARD_SOAK") != "" {
		return 100
	}
	return 6
}

// An appender is a process that appends, and what it says.
type appender struct {
	*process
	mu    sync.Mutex
	acked []string
	last  time.Time
	done  chan struct{}
}

func startAppender(t *testing.T, dir, name string) *appender {
	a := &appender{process: start(t, "append", dir, name), done: make(chan struct{})}
	go func() {
		defer close(a.done)
		for a.out.Scan() {
			a.mu.Lock()
			a.acked, a.last = append(a.acked, a.out.Text()), time.Now()
			a.mu.Unlock()
		}
	}()
	return a
}

// count returns how much was acknowledged.
func (a *appender) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.acked)
}

// TestTakeover kills processes that append to one directory, its owner more often
// than not, and starts others. Every process goes on within two seconds; what was
// acknowledged is there once, and what was not at most once.
func TestTakeover(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var living, all []*appender
	begin := func() {
		a := startAppender(t, dir, fmt.Sprint("p", len(all)))
		living, all = append(living, a), append(all, a)
	}
	for range 3 {
		begin()
	}
	for round := range takeovers() {
		progress(t, living, rand.IntN(100), 20*time.Second)
		i := rand.IntN(len(living))
		if round%3 > 0 {
			i = ownerOf(t, dir, living)
		}
		living[i].kill()
		<-living[i].done
		living = append(living[:i:i], living[i+1:]...)
		progress(t, living, 1, takeoverWithin(t))
		begin()
	}
	progress(t, living, 20, 20*time.Second)
	for _, a := range living {
		a.end()
		<-a.done
	}
	checkNotes(t, dir, all)
}

// takeoverWithin is longer where the machine is said to be slow.
func takeoverWithin(t *testing.T) time.Duration {
	if race.Enabled || os.Getenv("CI") != "" {
		return 20 * time.Second
	}
	return 10 * time.Second
}

// progress waits until each process has n acknowledgements more.
func progress(t *testing.T, list []*appender, n int, within time.Duration) {
	t.Helper()
	before := make([]int, len(list))
	for i, a := range list {
		before[i] = a.count()
	}
	begin := time.Now()
	for i, a := range list {
		for a.count() < before[i]+n {
			select {
			case <-a.ended:
				t.Fatalf("%v ended by itself: %v\n%s", a.cmd.Args, a.err, &a.stderr)
			case <-time.After(time.Millisecond):
			}
			if time.Since(begin) > within {
				t.Fatalf("%v has made no progress for %v\n%s", a.cmd.Args, within, &a.stderr)
			}
		}
	}
	if n == 1 {
		t.Logf("everybody goes on after %v", time.Since(begin))
	}
}

// ownerOf returns which of the processes has the directory.
func ownerOf(t *testing.T, dir string, list []*appender) int {
	t.Helper()
	store, err := pebblelog.Open(dir, &pebblelog.Options{MustExist: true})
	if err == nil { // it is just changing
		err = store.Close()
	}
	var held *pebblelog.HeldError
	if !errors.As(err, &held) {
		return 0
	}
	for i, a := range list {
		if a.cmd.Process.Pid == held.PID {
			return i
		}
	}
	return 0
}

// checkNotes holds what was acknowledged against the log.
func checkNotes(t *testing.T, dir string, all []*appender) {
	t.Helper()
	ctx := t.Context()
	l, err := openEventlog(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := eventlog.Check(ctx, l); err != nil {
		t.Error(err)
	}
	found := map[string]int{}
	for r, err := range l.Read(ctx, eventlog.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		var n note
		if err := json.Unmarshal(r.Data, &n); err != nil {
			t.Fatal(err)
		}
		if found[n.ID]++; found[n.ID] > 1 {
			t.Errorf("%s is there %d times", n.ID, found[n.ID])
		}
	}
	acked := 0
	for _, a := range all {
		for _, id := range a.acked {
			if acked++; found[id] != 1 {
				t.Errorf("%s was acknowledged and is there %d times", id, found[id])
			}
		}
	}
	t.Logf("%d processes, %d acknowledged, %d there", len(all), acked, len(found))
}
