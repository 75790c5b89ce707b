package eventlog

import (
	"strings"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// window knows which keys the last commits of a shard carry, pending ones
// included, so that "has anything with this key happened after revision r?" is
// answered in memory when r is not below its floor. It forgets a generation of
// commits at a time; of the one before, and of what was looked up, it keeps the
// versions of streams as a cache.
type window struct {
	floor      driver.Revision // commits up to here were forgotten
	floorTime  int64           // of the commit at floor
	old, young generation      // of the commits behind floor
	gone       map[string]mark // of the generation forgotten last
	learned    *cache[uint64]  // stream -> version, of streams that none of these had
}

// A generation is the last places of the keys of some commits, one behind the
// other.
type generation struct {
	last  driver.Revision // of its commits
	time  int64           // of that
	size  int             // commits
	marks map[string]mark
}

type mark struct {
	rev  driver.Revision
	pos  uint64
	name string // a copy of the window's own: it keeps nothing else in memory
}

const (
	windowCommits    = 4096 // of both generations, if what is pending allows it
	windowGeneration = windowCommits / 2
	generationKeys   = 16384
	windowHeads      = 8192 // more than driver.MaxCommitKeys: what a member learned stays until it joins
)

func newWindow(floor driver.Revision, time int64) window {
	return window{floor: floor, floorTime: time, gone: make(map[string]mark), learned: newCache[uint64](windowHeads),
		old:   generation{last: floor, time: time, marks: make(map[string]mark)},
		young: generation{last: floor, time: time, marks: make(map[string]mark)}}
}

// add puts the next commit into the window. What it covers in its generation is
// appended to was, a mark for each key, for undo.
func (w *window) add(keys []driver.Key, time int64, was []mark) []mark {
	g := &w.young
	g.last, g.time = g.last+1, time
	g.size++
	for _, k := range keys {
		m, ok := g.marks[k.Name]
		name := m.name
		if !ok {
			name = strings.Clone(k.Name)
		}
		g.marks[name] = mark{g.last, k.Pos, name}
		was = append(was, m)
	}
	return was
}

// undo takes the last commit out of the window, which had the time before at the
// commit ahead of it. was is what add returned.
func (w *window) undo(keys []driver.Key, was []mark, before int64) {
	g := &w.young
	if g.size == 0 {
		g = &w.old
		w.young.last, w.young.time = g.last-1, before
	}
	for i := len(keys) - 1; i >= 0; i-- {
		if m := was[i]; m.rev > 0 {
			g.marks[m.name] = m
		} else {
			delete(g.marks, keys[i].Name)
		}
	}
	g.size--
	g.last, g.time = g.last-1, before
}

// evict forgets the old generation when the young one is full, and nothing
// behind upTo.
func (w *window) evict(upTo driver.Revision) {
	if w.young.size < windowGeneration && len(w.young.marks) < generationKeys || w.old.last > upTo {
		return
	}
	for name := range w.old.marks { // durable now: what was learned before is history
		w.learned.delete(name)
	}
	clear(w.gone)
	empty := generation{last: w.young.last, time: w.young.time, marks: w.gone}
	w.floor, w.floorTime = w.old.last, w.old.time
	w.gone, w.old, w.young = w.old.marks, w.young, empty
}

// time is that of the last commit.
func (w *window) time() int64 { return w.young.time }

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
