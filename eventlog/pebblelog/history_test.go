package pebblelog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"sync"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// A history knows what writers were told about their writes, and checks a log
// against it.
type history struct {
	mu      sync.Mutex
	tried   map[int]*attempt
	next    int
	pad     int // how large a commit may be
	answers int
	tails   [historyShards]driver.Revision // what writers believe
	version map[string]uint64
}

const historyShards = 8

// An attempt is one Write; its number is in everything that it writes.
type attempt struct {
	write  driver.Write
	answer error
	done   bool
}

// A note is the content of a commit or cell.
type note struct {
	Attempt int
	Shards  []int // of all its commits
	Pad     string
}

func newHistory(pad int) *history {
	return &history{pad: pad, tried: map[int]*attempt{}, version: map[string]uint64{}}
}

// plan makes the next Write: commits in one to three shards, behind the tails
// that it believes in, and sometimes a cell.
func (h *history) plan(rng *rand.Rand) (int, driver.Write) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.next++
	n := h.next
	shards := rng.Perm(historyShards)[:1+rng.IntN(3)]
	w := driver.Write{ID: [16]byte{byte(n), byte(n >> 8), byte(n >> 16)}}
	data, _ := json.Marshal(note{n, shards, fmt.Sprintf("%*d", rng.IntN(h.pad), n)})
	for _, s := range shards {
		rev := h.tails[s] + 1
		w.Batches = append(w.Batches, driver.Batch{Shard: s, First: rev, Commits: []driver.Commit{{
			Revision: rev, Data: data,
			Keys: []driver.Key{{Name: fmt.Sprintf("attempt/%d", n), Pos: 1}, {Name: "all", Pos: uint64(rev)}},
		}}})
	}
	if rng.IntN(3) == 0 {
		name := fmt.Sprintf("cell/%d", rng.IntN(20))
		old := h.version[name]
		w.Cells = []driver.CellOp{{Op: driver.Put, If: &old, Cell: driver.Cell{Key: name, Version: uint64(n), Value: data}}}
	}
	h.tried[n] = &attempt{write: w}
	return n, w
}

// learn takes in an answer. Of tails and versions it believes what it is told.
func (h *history) learn(n int, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	a := h.tried[n]
	a.answer, a.done = err, true
	h.answers++
	if err == nil {
		for _, b := range a.write.Batches {
			h.tails[b.Shard] = max(h.tails[b.Shard], b.First)
		}
		for _, c := range a.write.Cells {
			h.version[c.Cell.Key] = max(h.version[c.Cell.Key], c.Cell.Version)
		}
	}
	var tail *driver.TailError
	if errors.As(err, &tail) {
		h.tails[tail.Shard] = tail.Tail
	}
	var cell *driver.CellError
	if errors.As(err, &cell) {
		h.version[cell.Key] = cell.Version
	}
}

// run writes from n goroutines while more says so, each until a Write fails for
// another reason than a lost race.
func (h *history) run(l driver.Log, n int, more func() bool) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(i), 1))
			for more() {
				n, w := h.plan(rng)
				err := l.Write(context.Background(), w)
				h.learn(n, err)
				if err != nil && !lostRace(err) {
					return
				}
			}
		})
	}
	wg.Wait()
}

// count is the number of answers.
func (h *history) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.answers
}

// await returns when n more answers have come; an error when the writers have ended before.
func (h *history) await(n int, ended <-chan struct{}) error {
	for target := h.count() + n; h.count() < target; runtime.Gosched() {
		select {
		case <-ended:
			return errors.New("the writers have ended, each with an error")
		default:
		}
	}
	return nil
}

func lostRace(err error) bool {
	var tail *driver.TailError
	var cell *driver.CellError
	return errors.As(err, &tail) || errors.As(err, &cell)
}

// now copies the history as it is: what was acknowledged until this moment.
func (h *history) now() map[int]attempt {
	h.mu.Lock()
	defer h.mu.Unlock()
	m := make(map[int]attempt, len(h.tried))
	for n, a := range h.tried {
		m[n] = *a
	}
	return m
}

// verify returns an error when l is not what may be left of a history:
// everything acknowledged is there once, nothing refused is, nothing is there by
// half, index and commits agree, and cells are no older than acknowledged.
func verify(l driver.Log, past map[int]attempt) error {
	ctx := context.Background()
	found := map[int]int{} // commits by attempt
	for s := range historyShards {
		if err := verifyShard(ctx, l, s, found); err != nil {
			return err
		}
	}
	for n, a := range past {
		switch want := len(a.write.Batches); {
		case a.done && a.answer == nil && found[n] != want:
			return fmt.Errorf("attempt %d was acknowledged; %d of its %d commits are there", n, found[n], want)
		case a.done && a.answer != nil && !errors.Is(a.answer, driver.ErrUnknown) && found[n] > 0:
			return fmt.Errorf("attempt %d was refused with %q and is there", n, a.answer)
		}
	}
	return verifyCells(ctx, l, past, found)
}

func verifyShard(ctx context.Context, l driver.Log, shard int, found map[int]int) error {
	tail, err := l.Tail(ctx, shard)
	if err != nil {
		return err
	}
	want := driver.Revision(1)
	for c, err := range l.Read(ctx, shard, driver.Range{}) {
		if err != nil {
			return fmt.Errorf("read shard %d: %w", shard, err)
		}
		var n note
		if err := json.Unmarshal(c.Data, &n); err != nil {
			return fmt.Errorf("shard %d revision %d: %w", shard, c.Revision, err)
		}
		if c.Revision != want {
			return fmt.Errorf("shard %d revision %d comes where %d should", shard, c.Revision, want)
		}
		want++
		found[n.Attempt]++
		if err := verifyIndex(ctx, l, shard, n.Attempt, c.Revision); err != nil {
			return err
		}
	}
	if want != tail+1 {
		return fmt.Errorf("shard %d has tail %d and ends at %d", shard, tail, want-1)
	}
	all := driver.Revision(0)
	for c, err := range l.Find(ctx, shard, "all", driver.Range{}) {
		if all++; err != nil || c.Revision != all {
			return fmt.Errorf("shard %d key all: revision %d, %v; expected %d", shard, c.Revision, err, all)
		}
	}
	if all != tail {
		return fmt.Errorf("shard %d key all has %d commits of %d", shard, all, tail)
	}
	return nil
}

func verifyIndex(ctx context.Context, l driver.Log, shard, attempt int, rev driver.Revision) error {
	n := 0
	for c, err := range l.Find(ctx, shard, fmt.Sprintf("attempt/%d", attempt), driver.Range{}) {
		if n++; err != nil || c.Revision != rev {
			return fmt.Errorf("shard %d attempt %d: found at %d, %v; expected %d", shard, attempt, c.Revision, err, rev)
		}
	}
	if n != 1 {
		return fmt.Errorf("shard %d attempt %d: found %d times", shard, attempt, n)
	}
	return nil
}

// verifyCells also looks for halves: an attempt whose cell or first commit is
// there must have all its commits.
func verifyCells(ctx context.Context, l driver.Log, past map[int]attempt, found map[int]int) error {
	newest := map[string]uint64{}
	for _, a := range past {
		for _, c := range a.write.Cells {
			if a.done && a.answer == nil {
				newest[c.Cell.Key] = max(newest[c.Cell.Key], c.Cell.Version)
			}
		}
	}
	have := maps.Clone(found)
	for c, err := range l.Cells(ctx, "", "", 0) {
		if err != nil {
			return fmt.Errorf("cells: %w", err)
		}
		var n note
		if err := json.Unmarshal(c.Value, &n); err != nil || uint64(n.Attempt) != c.Version {
			return fmt.Errorf("cell %s at version %d: of attempt %d, %v", c.Key, c.Version, n.Attempt, err)
		}
		if c.Version < newest[c.Key] {
			return fmt.Errorf("cell %s has version %d, version %d was acknowledged", c.Key, c.Version, newest[c.Key])
		}
		delete(newest, c.Key)
		if found[n.Attempt] == 0 {
			return fmt.Errorf("cell %s is of attempt %d, of which no commit is there", c.Key, n.Attempt)
		}
	}
	for key, v := range newest {
		return fmt.Errorf("cell %s is missing, version %d was acknowledged", key, v)
	}
	for n, count := range have {
		if a, ok := past[n]; ok && count != len(a.write.Batches) {
			return fmt.Errorf("attempt %d is there by half: %d of %d commits", n, count, len(a.write.Batches))
		}
	}
	return nil
}
