package remotelog

import (
	"slices"
	"strings"

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
	commits []driver.Commit // one behind the other, without data
	data    [][]byte        // of each, nil when it is durable
	writes  [][16]byte      // the Write of each
	size    int
}

// What a commit takes beside its data, and a key beside its name.
const (
	commitCost = 128
	keyCost    = 24
)

func cost(c *driver.Commit) int {
	n := len(c.Data) + commitCost
	for _, k := range c.Keys {
		n += len(k.Name) + keyCost
	}
	return n
}

func costs(commits []driver.Commit) (n int) {
	for i := range commits {
		n += cost(&commits[i])
	}
	return n
}

// add takes a copy of the commits of a Write.
func (r *recent) add(write [16]byte, b *driver.Batch) {
	room := costs(b.Commits)
	if n := len(r.commits); room > keptNews || n > 0 && r.commits[n-1].Revision+1 != b.First {
		*r = recent{}
	}
	if room > keptNews {
		return
	}
	r.size += room
	for _, c := range clone(b.Commits) {
		r.data, r.writes = append(r.data, c.Data), append(r.writes, write)
		c.Data = nil
		r.commits = append(r.commits, c)
	}
	drop := 0
	for ; r.size > keptNews; drop++ {
		r.size -= r.cost(drop)
	}
	r.commits, r.data, r.writes = r.commits[drop:], r.data[drop:], r.writes[drop:]
}

func (r *recent) cost(i int) int { return cost(&r.commits[i]) + len(r.data[i]) }

// land drops the data of what is durable, up to a revision.
func (r *recent) land(tail driver.Revision) {
	for i := len(r.commits) - 1; i >= 0; i-- {
		if r.commits[i].Revision > tail {
			continue
		}
		if r.data[i] == nil {
			return
		}
		r.size -= len(r.data[i])
		r.data[i] = nil
	}
}

// clone returns commits that share no memory with these.
func clone(list []driver.Commit) []driver.Commit {
	var data, names, keys int
	for i := range list {
		data += len(list[i].Data)
		keys += len(list[i].Keys)
		for _, k := range list[i].Keys {
			names += len(k.Name)
		}
	}
	out, bytes, kept := make([]driver.Commit, len(list)), make([]byte, 0, data), make([]driver.Key, 0, keys)
	var text strings.Builder
	text.Grow(names)
	for i := range list {
		for _, k := range list[i].Keys {
			text.WriteString(k.Name)
		}
	}
	rest := text.String()
	for i, c := range list {
		start, first := len(bytes), len(kept)
		bytes = append(bytes, c.Data...)
		for _, k := range c.Keys {
			n := len(k.Name)
			kept = append(kept, driver.Key{Name: rest[:n], Pos: k.Pos})
			rest = rest[n:]
		}
		out[i] = driver.Commit{Revision: c.Revision, Data: bytes[start:len(bytes):len(bytes)], Keys: kept[first:len(kept):len(kept)], Time: c.Time}
	}
	return out
}

// cut drops what is behind a revision: it failed.
func (r *recent) cut(tail driver.Revision) {
	n := len(r.commits)
	for ; n > 0 && r.commits[n-1].Revision > tail; n-- {
		r.size -= r.cost(n - 1)
	}
	r.commits, r.data, r.writes = r.commits[:n:n], r.data[:n:n], r.writes[:n:n]
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

// flights returns the commits from a revision up to another with their data, by the
// Writes that they are of.
func (r *recent) flights(shard int, first, last driver.Revision) (list []driver.Flight, ok bool) {
	commits, ok := r.from(first, last)
	if !ok {
		return nil, false
	}
	if len(commits) == 0 {
		return []driver.Flight{{Batch: driver.Batch{Shard: shard, First: first}}}, true
	}
	at := int(commits[0].Revision - r.commits[0].Revision)
	commits = slices.Clone(commits)
	for i := range commits {
		commits[i].Data = r.data[at+i]
		write := r.writes[at+i]
		if n := len(list); n == 0 || list[n-1].Write != write {
			list = append(list, driver.Flight{Write: write, Batch: driver.Batch{Shard: shard, First: commits[i].Revision}})
		}
		b := &list[len(list)-1].Batch
		b.Commits = commits[i-len(b.Commits) : i+1]
	}
	return list, true
}

// own makes what a refusal tells the receiver's own.
func own(e *driver.TailError) {
	for i := range e.News {
		e.News[i].Commits = clone(e.News[i].Commits)
	}
	for i := range e.Ahead {
		e.Ahead[i].Batch.Commits = clone(e.Ahead[i].Batch.Commits)
	}
}
