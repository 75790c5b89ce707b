package eventlog

import (
	"strings"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// window knows which keys the last commits of a shard carry, pending ones
// included, so that "has anything with this key happened after revision r?" is
// answered in memory when r is not below its floor. Of older streams it keeps
// the last versions as a cache.
type window struct {
	floor     driver.Revision // commits up to here were forgotten
	floorTime int64           // of the commit at floor
	commits   []windowCommit  // those behind floor, in order
	keys      int             // in commits
	recent    map[string]mark // of each key in commits, its last place
	heads     *cache[uint64]  // stream -> version, of streams that recent lacks
}

type windowCommit struct {
	keys []driver.Key
	time int64
}

type mark struct {
	rev driver.Revision
	pos uint64
}

const (
	windowCommits = 4096
	windowKeys    = 32768
	windowHeads   = 8192 // more than driver.MaxCommitKeys: what a member learned stays until it joins
)

func newWindow(floor driver.Revision) window {
	return window{floor: floor, recent: make(map[string]mark), heads: newCache[uint64](windowHeads)}
}

// add puts the next commit into the window.
func (w *window) add(keys []driver.Key, time int64) {
	w.commits = append(w.commits, windowCommit{keys, time})
	w.keys += len(keys)
	rev := w.floor + driver.Revision(len(w.commits))
	for _, k := range keys {
		w.recent[k.Name] = mark{rev, k.Pos}
	}
}

// evict forgets the oldest commits when there are too many, none behind upTo.
func (w *window) evict(upTo driver.Revision) {
	n := 0
	for w.floor < upTo && (len(w.commits)-n > windowCommits || w.keys > windowKeys) {
		w.floor++
		w.floorTime = w.commits[n].time
		for _, k := range w.commits[n].keys {
			if w.recent[k.Name].rev == w.floor {
				delete(w.recent, k.Name)
			}
			if isStream(k.Name) { // also when a pending commit hides this place: it may be lost
				w.heads.put(k.Name, k.Pos)
			}
		}
		w.keys -= len(w.commits[n].keys)
		w.commits[n] = windowCommit{}
		n++
	}
	w.commits = w.commits[n:]
}

// truncate forgets the commits behind rev, which were never written.
func (w *window) truncate(rev driver.Revision) {
	kept := w.commits[:rev-w.floor]
	clear(w.commits[len(kept):])
	w.commits, w.keys = nil, 0
	w.recent = make(map[string]mark)
	for _, c := range kept {
		w.add(c.keys, c.time)
	}
}

// time is that of the last commit.
func (w *window) time() int64 {
	if n := len(w.commits); n > 0 {
		return w.commits[n-1].time
	}
	return w.floorTime
}

// changed reports whether a commit behind rev carries key; known is false when
// the window does not reach back to rev.
func (w *window) changed(key string, rev driver.Revision) (changed, known bool) {
	if m, ok := w.recent[key]; ok {
		return m.rev > rev, m.rev > rev || rev >= w.floor
	}
	return false, rev >= w.floor
}

// head returns the version of a stream, pending commits included.
func (w *window) head(stream string) (version uint64, known bool) {
	if m, ok := w.recent[stream]; ok {
		return m.pos, true
	}
	return w.heads.get(stream)
}

// learn notes the version that a stream had at revision asOf.
func (w *window) learn(stream string, version uint64, asOf driver.Revision) {
	if _, ok := w.recent[stream]; !ok && asOf >= w.floor {
		w.heads.put(strings.Clone(stream), version)
	}
}

func isStream(key string) bool { return !strings.HasPrefix(key, systemKeys) }
