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

// recent is the last commits of a shard.
type recent struct {
	commits []driver.Commit // one behind the other, without keys
	size    int
}

// commitCost is what a commit takes beside its data.
const commitCost = 48

// add takes a copy of what has become durable.
func (r *recent) add(b *driver.Batch) {
	size := 0
	for i := range b.Commits {
		size += len(b.Commits[i].Data) + commitCost
	}
	if n := len(r.commits); size > keptNews || n > 0 && r.commits[n-1].Revision+1 != b.First {
		*r = recent{}
	}
	if size > keptNews {
		return
	}
	data := make([]byte, 0, size)
	for i := range b.Commits {
		start := len(data)
		data = append(data, b.Commits[i].Data...)
		r.commits = append(r.commits, driver.Commit{Revision: b.Commits[i].Revision, Data: data[start:len(data):len(data)]})
	}
	r.size += size
	drop := 0
	for ; r.size > keptNews; drop++ {
		r.size -= len(r.commits[drop].Data) + commitCost
	}
	r.commits = r.commits[drop:]
}

// from returns the commits from a revision on, up to the tail; ok is false when some
// are not kept, or the revision is not one that the shard could go on with.
func (r *recent) from(first, tail driver.Revision) (commits []driver.Commit, ok bool) {
	n := len(r.commits)
	if n == 0 || first < r.commits[0].Revision || first > tail+1 || r.commits[n-1].Revision != tail {
		return nil, false
	}
	return r.commits[first-r.commits[0].Revision:], true
}

// own makes the news the receiver's own.
func own(news []driver.Batch) []driver.Batch {
	for i := range news {
		commits := make([]driver.Commit, len(news[i].Commits))
		for j, c := range news[i].Commits {
			commits[j] = driver.Commit{Revision: c.Revision, Data: bytes.Clone(c.Data)}
		}
		news[i].Commits = commits
	}
	return news
}
