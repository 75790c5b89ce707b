package memlog

import (
	"bytes"
	"context"
	"iter"
	"slices"
	"sort"
	"strings"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// handle is what a process holds of a store.
type handle struct {
	store     *Store
	exclusive bool
	closed    bool          // guarded by store.mu
	done      chan struct{} // closed by Close
}

func (h *handle) Exclusive() bool { return h.exclusive }

func (h *handle) Close() error {
	h.store.mu.Lock() // no Write is under way
	defer h.store.mu.Unlock()
	if h.closed {
		return driver.ErrClosed
	}
	h.closed = true
	close(h.done)
	return nil
}

// err returns what keeps a call from going on.
func (h *handle) err(ctx context.Context) error {
	select {
	case <-h.done:
		return driver.ErrClosed
	default:
		return ctx.Err()
	}
}

func (h *handle) Write(ctx context.Context, w driver.Write) error {
	if err := h.err(ctx); err != nil {
		return err
	}
	if err := w.Validate(); err != nil {
		return err
	}
	w = clone(w)
	h.store.mu.Lock()
	defer h.store.mu.Unlock()
	if h.closed {
		return driver.ErrClosed
	}
	return h.store.write(w)
}

// clone copies what the store keeps of w.
func clone(w driver.Write) driver.Write {
	w.Batches = slices.Clone(w.Batches)
	for i := range w.Batches {
		b := &w.Batches[i]
		b.Commits = slices.Clone(b.Commits)
		for j := range b.Commits {
			b.Commits[j].Data = bytes.Clone(b.Commits[j].Data)
		}
	}
	w.Cells = slices.Clone(w.Cells)
	for i := range w.Cells {
		w.Cells[i].Cell.Value = bytes.Clone(w.Cells[i].Cell.Value)
	}
	return w
}

func (h *handle) Tail(ctx context.Context, shard int) (driver.Revision, error) {
	if err := h.err(ctx); err != nil {
		return 0, err
	}
	h.store.mu.RLock()
	defer h.store.mu.RUnlock()
	return h.store.shards[shard].tail(), nil
}

// commits returns the commits of a shard and the places of key as of now.
func (h *handle) commits(shard int, key string) ([][]byte, []mark) {
	h.store.mu.RLock()
	defer h.store.mu.RUnlock()
	s := h.store.shards[shard]
	if s == nil {
		return nil, nil
	}
	return s.commits, s.marks(key)
}

func (h *handle) Read(ctx context.Context, shard int, r driver.Range) iter.Seq2[driver.Commit, error] {
	return func(yield func(driver.Commit, error) bool) {
		data, _ := h.commits(shard, "")
		first, end := max(r.From, 1), uint64(len(data))+1
		if r.To != 0 {
			end = min(end, r.To)
		}
		if first > end {
			end = first
		}
		err := h.walk(ctx, int(end-first), r, func(i int) bool {
			rev := driver.Revision(first) + driver.Revision(i)
			return yield(driver.Commit{Revision: rev, Data: bytes.Clone(data[rev-1])}, nil)
		})
		if err != nil {
			yield(driver.Commit{}, err)
		}
	}
}

func (h *handle) Find(ctx context.Context, shard int, key string, r driver.Range) iter.Seq2[driver.Commit, error] {
	return func(yield func(driver.Commit, error) bool) {
		data, marks := h.commits(shard, key)
		marks = marks[sort.Search(len(marks), func(i int) bool { return marks[i].pos >= r.From }):]
		if r.To != 0 {
			marks = marks[:sort.Search(len(marks), func(i int) bool { return marks[i].pos >= r.To })]
		}
		err := h.walk(ctx, len(marks), r, func(i int) bool {
			rev := marks[i].rev
			return yield(driver.Commit{Revision: rev, Data: bytes.Clone(data[rev-1])}, nil)
		})
		if err != nil {
			yield(driver.Commit{}, err)
		}
	}
}

// walk visits the indexes below n in r's direction, at most r.Limit of them,
// until visit returns false. It returns what ends the iteration early.
func (h *handle) walk(ctx context.Context, n int, r driver.Range, visit func(int) bool) error {
	steps := n
	if r.Limit > 0 {
		steps = min(n, r.Limit)
	}
	for i := range steps {
		if err := h.err(ctx); err != nil {
			return err
		}
		if r.Backward {
			i = n - 1 - i
		}
		if !visit(i) {
			return nil
		}
	}
	return h.err(ctx)
}

func (h *handle) Keys(ctx context.Context, shard int, prefix, after string) iter.Seq2[driver.Key, error] {
	return func(yield func(driver.Key, error) bool) {
		names := h.store.names(shard)
		names = names[sort.Search(len(names), func(i int) bool { return names[i] >= prefix && names[i] > after }):]
		n := sort.Search(len(names), func(i int) bool { return !strings.HasPrefix(names[i], prefix) })
		err := h.walk(ctx, n, driver.Range{}, func(i int) bool {
			_, marks := h.commits(shard, names[i])
			return yield(driver.Key{Name: names[i], Pos: marks[len(marks)-1].pos}, nil)
		})
		if err != nil {
			yield(driver.Key{}, err)
		}
	}
}

// cellPage is how many cells are looked up under one lock.
const cellPage = 64

func (h *handle) Cells(ctx context.Context, from, to string, limit int) iter.Seq2[driver.Cell, error] {
	return func(yield func(driver.Cell, error) bool) {
		page := make([]*driver.Cell, 0, cellPage)
		if limit > 0 {
			page = page[:0:min(limit, cellPage)]
		}
		for yielded := 0; ; {
			h.store.mu.RLock()
			page = h.store.cells.page(page, from, to)
			h.store.mu.RUnlock()
			for _, c := range page {
				if err := h.err(ctx); err != nil {
					yield(driver.Cell{}, err)
					return
				}
				if !yield(driver.Cell{Key: c.Key, Value: bytes.Clone(c.Value), Version: c.Version}, nil) {
					return
				}
				if yielded++; yielded == limit {
					return
				}
			}
			if len(page) < cap(page) {
				break
			}
			from = page[len(page)-1].Key + "\x00"
		}
		if err := h.err(ctx); err != nil {
			yield(driver.Cell{}, err)
		}
	}
}
