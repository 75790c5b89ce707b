package remotelog

import (
	"bytes"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// keptNews bounds the bytes of the last commits of a shard that are kept for those
// who lose a race, and toldNews what one refusal brings. Whoever lacks more reads.
const (
	keptNews = 64 << 10
	toldNews = 256 << 10
)

// recent is the last commits of a shard, with those that are under way.
type recent struct {
	commits []driver.Commit // one behind the other, without keys
	writes  [][16]byte      // the Write of each
	size    int
}

// commitCost is what a commit takes beside its data.
const commitCost = 64

func cost(c *driver.Commit) int { return len(c.Data) + commitCost }

// add takes a copy of the commits of a Write.
func (r *recent) add(write [16]byte, b *driver.Batch) {
	size, data := 0, 0
	for i := range b.Commits {
		size += cost(&b.Commits[i])
		data += len(b.Commits[i].Data)
	}
	if n := len(r.commits); size > keptNews || n > 0 && r.commits[n-1].Revision+1 != b.First {
		*r = recent{}
	}
	if size > keptNews {
		return
	}
	copied := make([]byte, 0, data)
	for i := range b.Commits {
		start := len(copied)
		copied = append(copied, b.Commits[i].Data...)
		r.commits = append(r.commits, driver.Commit{Revision: b.Commits[i].Revision, Data: copied[start:len(copied):len(copied)]})
		r.writes = append(r.writes, write)
	}
	r.size += size
	drop := 0
	for ; r.size > keptNews; drop++ {
		r.size -= cost(&r.commits[drop])
	}
	r.commits, r.writes = r.commits[drop:], r.writes[drop:]
}

// cut drops what is behind a revision: it failed.
func (r *recent) cut(tail driver.Revision) {
	n := len(r.commits)
	for ; n > 0 && r.commits[n-1].Revision > tail; n-- {
		r.size -= cost(&r.commits[n-1])
	}
	r.commits, r.writes = r.commits[:n:n], r.writes[:n:n]
}

// by reports whether a Write has put the commit at a revision there.
func (r *recent) by(write [16]byte, rev driver.Revision) bool {
	n := len(r.commits)
	return n > 0 && r.commits[0].Revision <= rev && rev <= r.commits[n-1].Revision &&
		r.writes[rev-r.commits[0].Revision] == write
}

// from returns the commits from a revision on, up to another; ok is false when some
// are not kept, or the first revision is not one that the shard could go on with.
func (r *recent) from(first, last driver.Revision) (commits []driver.Commit, ok bool) {
	n := len(r.commits)
	if n == 0 || first < r.commits[0].Revision || first > last+1 || r.commits[n-1].Revision < last {
		return nil, false
	}
	start := r.commits[0].Revision
	return r.commits[first-start : last+1-start], true
}

// flights returns the commits from a revision up to another by the Writes that they
// are of.
func (r *recent) flights(shard int, first, last driver.Revision) (list []driver.Flight, ok bool) {
	commits, ok := r.from(first, last)
	if !ok {
		return nil, false
	}
	for i, c := range commits {
		write := r.writes[c.Revision-r.commits[0].Revision]
		if n := len(list); n == 0 || list[n-1].Write != write {
			list = append(list, driver.Flight{Write: write, Batch: driver.Batch{Shard: shard, First: c.Revision}})
		}
		b := &list[len(list)-1].Batch
		b.Commits = commits[i+1-len(b.Commits)-1 : i+1]
	}
	if len(list) == 0 {
		list = append(list, driver.Flight{Batch: driver.Batch{Shard: shard, First: first}})
	}
	return list, true
}

// own makes what a refusal tells the receiver's own.
func own(e *driver.TailError) {
	for i := range e.News {
		cloneCommits(&e.News[i])
	}
	for i := range e.Ahead {
		cloneCommits(&e.Ahead[i].Batch)
	}
}

func cloneCommits(b *driver.Batch) {
	commits := make([]driver.Commit, len(b.Commits))
	for i, c := range b.Commits {
		commits[i] = driver.Commit{Revision: c.Revision, Data: bytes.Clone(c.Data)}
	}
	b.Commits = commits
}
