package remotelog

import (
	"strings"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// keptNews bounds the bytes of the last commits of a shard that are kept for those
// who lose a race, and toldNews what one refusal brings. Whoever lacks more reads.
const (
	keptNews = 64 << 10
	toldNews = 256 << 10
)

// recent is the last commits of a shard, with those that are under way. Nothing in it
// changes once it is there: who is told of it shares it.
type recent struct {
	commits []driver.Commit // durable, one behind the other, without data
	writes  [][16]byte      // the Write of each
	ahead   []ahead         // under way behind these, in their order
	size    int
}

// ahead is a batch that is under way.
type ahead struct {
	driver.Flight
	size int
}

func (a *ahead) last() driver.Revision {
	return a.Batch.First - 1 + driver.Revision(len(a.Batch.Commits))
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

// last is the revision up to which it reaches; ok is false when it has nothing.
func (r *recent) last() (rev driver.Revision, ok bool) {
	if n := len(r.ahead); n > 0 {
		return r.ahead[n-1].last(), true
	}
	if n := len(r.commits); n > 0 {
		return r.commits[n-1].Revision, true
	}
	return 0, false
}

// add takes the commits of a Write, which nobody changes.
func (r *recent) add(write [16]byte, b *driver.Batch) {
	size := costs(b.Commits)
	if last, ok := r.last(); size > keptNews || ok && last+1 != b.First {
		*r = recent{}
	}
	if size > keptNews {
		return
	}
	r.ahead = append(r.ahead, ahead{driver.Flight{Write: write, Batch: driver.Batch{Shard: b.Shard, First: b.First, Commits: b.Commits}}, size})
	r.size += size
	drop := 0
	for ; r.size > keptNews && drop < len(r.commits); drop++ {
		r.size -= cost(&r.commits[drop])
	}
	r.commits, r.writes = r.commits[drop:], r.writes[drop:]
	for drop = 0; r.size > keptNews; drop++ {
		r.size -= r.ahead[drop].size
	}
	r.ahead = r.ahead[drop:]
}

// land notes that everything up to a revision is durable.
func (r *recent) land(tail driver.Revision) {
	n := 0
	for ; n < len(r.ahead) && r.ahead[n].last() <= tail; n++ {
		a := &r.ahead[n]
		for _, c := range a.Batch.Commits {
			r.size -= len(c.Data)
			c.Data = nil
			r.commits, r.writes = append(r.commits, c), append(r.writes, a.Write)
		}
	}
	r.ahead = r.ahead[n:]
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

// cut drops what is under way behind a revision: it failed.
func (r *recent) cut(tail driver.Revision) {
	n := len(r.ahead)
	for ; n > 0 && r.ahead[n-1].last() > tail; n-- {
		r.size -= r.ahead[n-1].size
	}
	r.ahead = r.ahead[:n:n]
}

// by reports whether a Write has put the commit at a revision there, or is about to.
func (r *recent) by(write [16]byte, rev driver.Revision) bool {
	for i := range r.ahead {
		if a := &r.ahead[i]; a.Batch.First <= rev && rev <= a.last() {
			return a.Write == write
		}
	}
	n := len(r.commits)
	return n > 0 && r.commits[0].Revision <= rev && rev <= r.commits[n-1].Revision &&
		r.writes[rev-r.commits[0].Revision] == write
}

// from returns the durable commits from a revision on, up to the tail; ok is false when
// some are not kept, or the first revision is not one that the shard could go on with.
func (r *recent) from(first, tail driver.Revision) (commits []driver.Commit, ok bool) {
	n := len(r.commits)
	if n == 0 && len(r.ahead) > 0 && first == tail+1 && r.ahead[0].Batch.First == first {
		return nil, true
	}
	if n == 0 || first < r.commits[0].Revision || first > tail+1 || r.commits[n-1].Revision != tail {
		return nil, false
	}
	return r.commits[first-r.commits[0].Revision : n : n], true
}

// each calls f with the commits from a revision on up to another, durable or under way,
// until f returns false. It returns false then, and when some are not kept.
func (r *recent) each(first, last driver.Revision, f func(*driver.Commit) bool) bool {
	next := first
	if n := len(r.commits); n > 0 && r.commits[0].Revision <= first {
		for i := first - r.commits[0].Revision; int(i) < n; i++ {
			if !f(&r.commits[i]) {
				return false
			}
			next++
		}
	}
	for i := range r.ahead {
		for j := range r.ahead[i].Batch.Commits {
			c := &r.ahead[i].Batch.Commits[j]
			if c.Revision < next {
				continue
			}
			if c.Revision > next || !f(c) {
				return false
			}
			next++
		}
	}
	return next == last+1
}

// flights adds what is under way from a revision on up to another, and takes its size
// from the room that there is. ok is false when some of it is not kept, or there is no
// room.
func (r *recent) flights(to []driver.Flight, shard int, first, last driver.Revision, room *int) (list []driver.Flight, ok bool) {
	left, had := *room, len(to)
	for i := range r.ahead {
		a := &r.ahead[i]
		if a.last() < first {
			continue
		}
		f := a.Flight
		if f.Batch.First < first {
			f.Batch.Commits, f.Batch.First = f.Batch.Commits[first-f.Batch.First:], first
		}
		if f.Batch.First != first {
			return to[:had], false
		}
		if left -= a.size; left < 0 {
			return to[:had], false
		}
		to, first = append(to, f), a.last()+1
	}
	if first != last+1 {
		return to[:had], false
	}
	if len(to) == had {
		to = append(to, driver.Flight{Batch: driver.Batch{Shard: shard, First: first}})
	}
	*room = left
	return to, true
}
