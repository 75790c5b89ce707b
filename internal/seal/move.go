package seal

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// maxTime is later than every commit's, and leaves room for later ones.
const maxTime = math.MaxInt64 / 2

// Passable reports whether a Write with this Latest may be put behind a commit with
// this time.
func Passable(time, latest int64) bool {
	return 0 < time && time <= maxTime && (latest == 0 || time <= latest)
}

// maxBatches are more than a log has shards.
const maxBatches = 4096

// Check checks a valid Write of driver.Mover's: what is not as it was sealed must not be
// sealed anew.
func Check(w *driver.Write) error {
	if len(w.Cells) > 0 {
		return errors.New("a write with cells cannot be moved")
	}
	if n := len(w.Batches); n > maxBatches {
		return fmt.Errorf("%w: %d shards, at most %d", driver.ErrTooLarge, n, maxBatches)
	}
	size, commits := 0, 0
	for i := range w.Batches {
		b := &w.Batches[i]
		if b.Behind != [16]byte{} {
			return errors.New("a write that stands behind another one cannot be moved")
		}
		commits += len(b.Commits)
		for _, name := range b.Unless {
			size += len(name)
		}
		for j := range b.Commits {
			c := &b.Commits[j]
			if j > 0 && c.Time <= b.Commits[j-1].Time || c.Time > maxTime {
				return fmt.Errorf("shard %d revision %d: time %d is not behind the one ahead, or beyond all times", b.Shard, c.Revision, c.Time)
			}
			if !movable(c.Data, b.Shard, uint64(c.Revision), c.Time) {
				return &driver.CorruptError{Shard: b.Shard, Revision: c.Revision, Reason: "a commit that was not made for this place and time"}
			}
			size += len(c.Data)
		}
	}
	if commits == 0 {
		return errors.New("a write without commits has nothing to move")
	}
	if size > driver.MaxMove {
		return fmt.Errorf("%w: %d bytes that could be moved, at most %d", driver.ErrTooLarge, size, driver.MaxMove)
	}
	return nil
}

// Move puts the batches of a Write that was checked behind the commits that each of them
// passes, which have no data, and says what has become of them, as driver.Mover does.
func Move(batches []driver.Batch, passed [][]driver.Commit) []driver.Moved {
	any, commits := false, 0
	for i := range batches {
		batches[i].First += driver.Revision(len(passed[i]))
		any = any || len(passed[i]) > 0
		commits += len(batches[i].Commits)
	}
	settle(batches)
	if !any {
		return nil
	}
	changed := retime(batches, passed)
	moved, times := make([]driver.Moved, 0, len(batches)), make([]int64, 0, commits)
	for i := range batches {
		b, start := &batches[i], len(times)
		if len(passed[i]) == 0 && !changed[i] {
			continue
		}
		for j := range b.Commits {
			c := &b.Commits[j]
			times = append(times, c.Time)
			Set(c.Data, b.Shard, uint64(c.Revision), c.Time)
		}
		from := driver.Batch{Shard: b.Shard, First: b.First - driver.Revision(len(passed[i])), Commits: passed[i]}
		moved = append(moved, driver.Moved{Passed: from, Times: times[start:len(times):len(times)]})
	}
	return moved
}

// settle gives the commits of batches, and their keys, their revisions.
func settle(batches []driver.Batch) {
	for i := range batches {
		for j := range batches[i].Commits {
			c := &batches[i].Commits[j]
			c.Revision = batches[i].First + driver.Revision(j)
			for k := range c.Keys {
				if c.Keys[k].Pos == 0 {
					c.Keys[k].Pos = uint64(c.Revision)
				}
			}
		}
	}
}

// retime gives the commits of batches times later than those that they have passed, and
// says in which of them that made a difference. A commit keeps its time if it can;
// those that have one time still have one, and the order of all stays.
func retime(list []driver.Batch, passed [][]driver.Commit) (changed []bool) {
	type place struct {
		time   int64
		batch  int
		commit *driver.Commit
	}
	n := 0
	for i := range list {
		n += len(list[i].Commits)
	}
	all := make([]place, 0, n)
	ahead := make([]int64, len(list))
	for i := range list {
		for j := range list[i].Commits {
			c := &list[i].Commits[j]
			all = append(all, place{c.Time, i, c})
		}
		if n := len(passed[i]); n > 0 {
			ahead[i] = passed[i][n-1].Time
		}
	}
	slices.SortFunc(all, func(a, b place) int { return cmp.Compare(a.time, b.time) })
	changed = make([]bool, len(list))
	for last := int64(math.MinInt64); len(all) > 0; {
		n, time := 0, max(all[0].time, last+1)
		for ; n < len(all) && all[n].time == all[0].time; n++ {
			time = max(time, ahead[all[n].batch]+1)
		}
		for _, p := range all[:n] {
			changed[p.batch] = changed[p.batch] || p.time != time
			p.commit.Time = time
		}
		last, all = time, all[n:]
	}
	return changed
}
