package eventlog

import (
	"strings"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// window knows which keys the last commits of a shard carry, pending ones
// included, so that "has anything with this key happened after revision r?" is
// answered in memory when r is not below its floor. It forgets a generation of
// commits at a time; of those before, and of what was looked up, it keeps the
// versions of streams as a cache.
type window struct {
	floor      driver.Revision // commits up to here were forgotten
	floorTime  int64           // of the commit at floor
	old, young generation      // the commits behind floor, in order
	gone       map[string]mark // of the last ones forgotten
	learned    *cache[uint64]  // stream -> version, of streams that none of these had
}

// A generation is commits one behind the other.
type generation struct {
	commits []windowCommit
	keys    int             // in commits
	marks   map[string]mark // of each key in commits, its last place
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
	windowCommits    = 4096 // of both generations, if what is pending allows it
	windowKeys       = 32768
	windowGeneration = windowCommits / 2
	windowHeads      = 8192 // more than driver.MaxCommitKeys: what a member learned stays until it joins
)

func newWindow(floor driver.Revision) window {
	return window{floor: floor, old: newGeneration(), young: newGeneration(),
		gone: make(map[string]mark), learned: newCache[uint64](windowHeads)}
}

func newGeneration() generation { return generation{marks: make(map[string]mark)} }

func (g *generation) full() bool {
	return len(g.commits) >= windowGeneration || g.keys >= windowKeys/2
}

// last is the revision of the last commit.
func (w *window) last() driver.Revision {
	return w.floor + driver.Revision(len(w.old.commits)+len(w.young.commits))
}

// add puts the next commit into the window.
func (w *window) add(keys []driver.Key, time int64) {
	w.young.add(windowCommit{keys, time}, w.last()+1)
}

func (g *generation) add(c windowCommit, rev driver.Revision) {
	g.commits = append(g.commits, c)
	g.keys += len(c.keys)
	for _, k := range c.keys {
		g.marks[k.Name] = mark{rev, k.Pos}
	}
}

// evict forgets the old generation when the young one is full, and nothing
// behind upTo.
func (w *window) evict(upTo driver.Revision) {
	n := len(w.old.commits)
	floor := w.floor + driver.Revision(n)
	if !w.young.full() || floor > upTo {
		return
	}
	if n > 0 {
		w.floor, w.floorTime = floor, w.old.commits[n-1].time
	}
	for name := range w.old.marks { // durable now: what was learned before is history
		w.learned.delete(name)
	}
	clear(w.old.commits)
	clear(w.gone)
	empty := generation{commits: w.old.commits[:0], marks: w.gone} // the memory of what is forgotten
	w.gone, w.old, w.young = w.old.marks, w.young, empty
}

// truncate forgets the commits behind rev, which were never written.
func (w *window) truncate(rev driver.Revision) {
	n := int(rev - w.floor)
	w.old.cut(min(n, len(w.old.commits)), w.floor)
	w.young.cut(max(n-len(w.old.commits), 0), w.floor+driver.Revision(len(w.old.commits)))
}

// cut leaves the first n commits, which stand behind floor.
func (g *generation) cut(n int, floor driver.Revision) {
	if n == len(g.commits) {
		return
	}
	kept := g.commits[:n]
	clear(g.commits[n:])
	clear(g.marks)
	g.commits, g.keys = g.commits[:0], 0
	for i, c := range kept {
		g.add(c, floor+driver.Revision(i)+1)
	}
}

// time is that of the last commit.
func (w *window) time() int64 {
	for _, g := range []*generation{&w.young, &w.old} {
		if n := len(g.commits); n > 0 {
			return g.commits[n-1].time
		}
	}
	return w.floorTime
}

// recent returns the last place of a key behind the floor.
func (w *window) recent(key string) (mark, bool) {
	m, ok := w.young.marks[key]
	if !ok {
		m, ok = w.old.marks[key]
	}
	return m, ok
}

// changed reports whether a commit behind rev carries key; known is false when
// the window does not reach back to rev.
func (w *window) changed(key string, rev driver.Revision) (changed, known bool) {
	if m, ok := w.recent(key); ok {
		return m.rev > rev, m.rev > rev || rev >= w.floor
	}
	return false, rev >= w.floor
}

// head returns the version of a stream, pending commits included.
func (w *window) head(stream string) (version uint64, known bool) {
	m, ok := w.recent(stream)
	if !ok {
		m, ok = w.gone[stream]
	}
	if ok {
		return m.pos, true
	}
	return w.learned.get(stream)
}

// learn notes the version that a stream had at revision asOf.
func (w *window) learn(stream string, version uint64, asOf driver.Revision) {
	if _, ok := w.head(stream); !ok && asOf >= w.floor {
		w.learned.put(strings.Clone(stream), version)
	}
}

func isStream(key string) bool { return !strings.HasPrefix(key, systemKeys) }
