package sagatest

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"regexp"
	"slices"
	"sync"
	"testing/synctest"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// A turnstile lets calls of the store through one at a time: when all else waits, it
// draws the next one from those that want to. So the order of the calls, and with it
// nearly all of what a run does, is decided by the seed and not by the scheduler.
type turnstile struct {
	mu      sync.Mutex
	rand    *rand.Rand
	waiting []*ticket
	arrived chan struct{}
	trail   func(name string) // tests
}

type ticket struct {
	name string // who it is; the same in each run
	open chan struct{}
}

func newTurnstile(seed uint64) *turnstile {
	return &turnstile{rand: rand.New(rand.NewPCG(seed, 1)), arrived: make(chan struct{}, 1)}
}

// run lets calls through until ctx ends, and then all that come.
func (t *turnstile) run(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-t.arrived:
		case <-ctx.Done():
		}
		for ctx.Err() == nil {
			synctest.Wait()
			if !t.next() {
				break
			}
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, w := range t.waiting {
		close(w.open)
	}
	t.waiting, t.rand = nil, nil
}

// next lets one through.
func (t *turnstile) next() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.waiting) == 0 {
		return false
	}
	slices.SortStableFunc(t.waiting, func(a, b *ticket) int { return cmp.Compare(a.name, b.name) })
	k := t.rand.IntN(len(t.waiting))
	if t.trail != nil {
		t.trail(t.waiting[k].name)
	}
	close(t.waiting[k].open)
	t.waiting = slices.Delete(t.waiting, k, k+1)
	return true
}

// ids are drawn anew in each run.
var ids = regexp.MustCompile(`[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}|[0-9]{9,}`)

// pass returns when the caller may go on.
func (t *turnstile) pass(ctx context.Context, format string, args ...any) error {
	w := &ticket{name: ids.ReplaceAllString(fmt.Sprintf(format, args...), "ID"), open: make(chan struct{})}
	t.mu.Lock()
	if t.rand == nil {
		t.mu.Unlock()
		return ctx.Err()
	}
	t.waiting = append(t.waiting, w)
	t.mu.Unlock()
	select {
	case t.arrived <- struct{}{}:
	default:
	}
	select {
	case <-w.open:
		return nil
	case <-ctx.Done():
		t.leave(w)
		return ctx.Err()
	}
}

func (t *turnstile) leave(w *ticket) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if k := slices.Index(t.waiting, w); k >= 0 {
		t.waiting = slices.Delete(t.waiting, k, k+1)
	}
}

// A gated is a log whose calls go through a turnstile.
type gated struct {
	driver.Log
	gate *turnstile
	name string // of the process
}

func (g *gated) Write(ctx context.Context, w driver.Write) error {
	name := ""
	for _, b := range w.Batches {
		name += fmt.Sprintf(" %d@%d+%d", b.Shard, b.First, len(b.Commits))
	}
	for _, c := range w.Cells {
		name += " " + c.Cell.Key
	}
	if err := g.gate.pass(ctx, "%s write%s", g.name, name); err != nil {
		return err
	}
	return g.Log.Write(ctx, w)
}

func (g *gated) Tail(ctx context.Context, shard int) (driver.Revision, error) {
	if err := g.gate.pass(ctx, "%s tail %d", g.name, shard); err != nil {
		return 0, err
	}
	return g.Log.Tail(ctx, shard)
}

func (g *gated) Read(ctx context.Context, shard int, r driver.Range) iter.Seq2[driver.Commit, error] {
	return passing(ctx, g, g.Log.Read(ctx, shard, r), "read", shard, "", r)
}

func (g *gated) Find(ctx context.Context, shard int, key string, r driver.Range) iter.Seq2[driver.Commit, error] {
	return passing(ctx, g, g.Log.Find(ctx, shard, key, r), "find", shard, key, r)
}

func (g *gated) Keys(ctx context.Context, shard int, prefix, after string) iter.Seq2[driver.Key, error] {
	return passing(ctx, g, g.Log.Keys(ctx, shard, prefix, after), "keys", shard, prefix, driver.Range{})
}

func (g *gated) Cells(ctx context.Context, from, to string, limit int) iter.Seq2[driver.Cell, error] {
	return passing(ctx, g, g.Log.Cells(ctx, from, to, limit), "cells", 0, from, driver.Range{})
}

func passing[T any](ctx context.Context, g *gated, items iter.Seq2[T, error], what string, shard int, key string, r driver.Range) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		if err := g.gate.pass(ctx, "%s %s %d %s %d", g.name, what, shard, key, r.From); err != nil {
			var zero T
			yield(zero, err)
			return
		}
		items(yield)
	}
}
