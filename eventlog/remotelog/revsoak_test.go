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
	"sync/atomic"
	"testing"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
)

type step struct {
	ID  string
	N   int
	Saw int
}

func (step) EventType() string { return "test.step" }

var steps = eventlog.Model[int]{Name: "steps", Snapshot: -1, Folds: eventlog.Folds[int]{
	eventlog.On(func(n *int, _ step) { *n++ }),
}}

type cellv struct{ N int }

var table = eventlog.Table[cellv]{Name: "tab"}

func TestRevSoak(t *testing.T) {
	if os.Getenv("REVSOAK") == "" {
		t.Skip()
	}
	secs, _ := strconv.Atoi(os.Getenv("REVSOAK"))
	takeover := os.Getenv("TAKEOVER") != ""
	dir := t.TempDir()
	const shards = 3
	const streams = 5
	open := func() *eventlog.Log {
		d, err := Open(t.Context(), dir, &Options{})
		if err != nil {
			t.Fatal(err)
		}
		l, err := eventlog.Open(t.Context(), d, &eventlog.Options{Shards: shards, Attempts: 1000})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(secs)*time.Second)
	defer cancel()
	startedAt := time.Now()
	var mu sync.Mutex
	acked := map[string]bool{}
	maybe := map[string]bool{}
	var total, conflicts, longest atomic.Int64
	var wg sync.WaitGroup
	for p := range 4 {
		wg.Go(func() {
			for gen := 0; ctx.Err() == nil; gen++ {
				l := open()
				life := time.Duration(secs) * time.Second
				if takeover {
					life = time.Duration(100+rand.IntN(700)) * time.Millisecond
				}
				pctx, stop := context.WithTimeout(ctx, life)
				var in sync.WaitGroup
				for w := range 5 {
					in.Go(func() {
						for n := 0; pctx.Err() == nil; n++ {
							id := fmt.Sprintf("%d.%d.%d.%d", p, gen, w, n)
							a, b := rand.IntN(streams), rand.IntN(streams)
							octx, ocancel := context.WithTimeout(context.Background(), 20*time.Second)
							if rand.IntN(20) == 0 {
								ocancel()
								octx, ocancel = context.WithTimeout(context.Background(), time.Duration(rand.IntN(2000))*time.Microsecond)
							}
							kind := rand.IntN(6)
							begin := time.Now()
							_, err := l.Update(octx, func(tx *eventlog.Tx) error {
								sa := "s" + strconv.Itoa(a)
								c, err := steps.Load(tx, sa)
								if err != nil {
									return err
								}
								saw := -1
								if kind >= 2 {
									v, err := steps.Load(tx, "s"+strconv.Itoa(b))
									if err != nil {
										return err
									}
									saw = *v
								}
								if kind == 3 {
									v, _, err := table.Get(tx, "k")
									if err != nil {
										return err
									}
									if err := table.Put(tx, "k", cellv{v.N + 1}); err != nil {
										return err
									}
									if err := tx.Append("tab", step{ID: id, N: v.N + 1}); err != nil {
										return err
									}
								}
								if kind == 4 && a != b {
									if err := tx.Append("s"+strconv.Itoa(b), step{ID: id + "+", N: saw + 1, Saw: -1}); err != nil {
										return err
									}
								}
								if kind == 5 { // only reads
									return nil
								}
								return tx.Append(sa, step{ID: id, N: *c + 1, Saw: b*1000000 + saw})
							})
							if d := time.Since(begin); int64(d) > longest.Load() {
								longest.Store(int64(d))
							}
							if d := time.Since(begin); d > 2*time.Second {
								t.Logf("%s took %v, kind %d, ended at %v: %v", id, d, kind, time.Since(startedAt), err)
							}
							ocancel()
							switch {
							case err == nil:
								total.Add(1)
								mu.Lock()
								if kind != 5 {
									acked[id] = true
								}
								mu.Unlock()
							case errors.Is(err, driver.ErrClosed):
								mu.Lock()
								maybe[id] = true
								mu.Unlock()
								return
							case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
								mu.Lock()
								maybe[id] = true
								mu.Unlock()
							case errors.Is(err, eventlog.ErrConflict):
								conflicts.Add(1)
							default:
								mu.Lock()
								maybe[id] = true
								mu.Unlock()
								t.Errorf("%s: %v", id, err)
							}
						}
					})
				}
				in.Wait()
				stop()
				if err := l.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			}
		})
	}
	wg.Wait()
	keeper := open()
	t.Logf("%d done, %d conflicts, longest %v", total.Load(), conflicts.Load(), time.Duration(longest.Load()))
	if err := eventlog.Check(t.Context(), keeper); err != nil {
		t.Errorf("check: %v", err)
	}
	found := map[string]int{}
	for _, s := range []string{"s0", "s1", "s2", "s3", "s4", "tab"} {
		n := 0
		last := map[int]int{}
		for r, err := range keeper.Read(t.Context(), eventlog.Query{Stream: s}) {
			if err != nil {
				t.Fatal(err)
			}
			n++
			var e step
			if err := json.Unmarshal(r.Data, &e); err != nil {
				t.Fatal(err)
			}
			if r.Version != uint64(n) {
				t.Errorf("%s: version %d at %d", s, r.Version, n)
			}
			if e.N != n {
				t.Errorf("%s@%d has N %d (%s)", s, r.Version, e.N, e.ID)
			}
			if s != "tab" && e.Saw >= 0 && e.Saw%1000000 != 999999 {
				b, saw := e.Saw/1000000, e.Saw%1000000
				if saw < last[b] {
					t.Errorf("%s@%d saw s%d at %d after %d", s, n, b, saw, last[b])
				}
				last[b] = saw
			}
			if s != "tab" {
				found[e.ID]++
			}
		}
		t.Logf("%s: %d", s, n)
	}
	for id := range acked {
		if found[id] != 1 {
			t.Errorf("%s acknowledged, found %d times", id, found[id])
		}
	}
	for id, n := range found {
		if n != 1 {
			t.Errorf("%s is there %d times", id, n)
		}
	}
	_ = keeper.Close()
}
