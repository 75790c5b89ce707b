package eventlog

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// TestWindowAgainstHistory: whatever a window says of keys and versions is what
// the whole history of the shard says, while commits are placed, become durable
// and are lost, over many generations.
func TestWindowAgainstHistory(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	w := &windowed{t: t, window: newWindow(0, 0), rng: rand.New(rand.NewPCG(seed, 0)), places: make(map[string][]mark), asked: make(map[string]mark)}
	for w.window.floor < 10*windowCommits && !t.Failed() {
		switch n := w.rng.IntN(20); {
		case n == 0: // the store stands still for long
			for range 2 {
				w.place(windowCommits)
				w.land(1)
			}
		case n < 10:
			w.place(1 + w.rng.IntN(200))
		case n < 16:
			w.land(1 + w.rng.IntN(1+len(w.pending())))
		case n < 18:
			w.lose(w.rng.IntN(1 + len(w.pending())))
		default:
			w.land(len(w.pending()))
		}
		w.check()
	}
}

// windowed is a window, and the history that it should know the end of.
type windowed struct {
	t       *testing.T
	window  window
	rng     *rand.Rand
	tail    int // so many commits are durable
	commits []windowedCommit
	places  map[string][]mark // of every key, in order
	asked   map[string]mark   // what the index said of streams, and as of which revision
	clock   int64
}

type windowedCommit struct {
	keys []driver.Key
	was  []mark
	time int64
}

func (w *windowed) pending() []windowedCommit { return w.commits[w.tail:] }

// name is a stream that many commits have, one that few have, one that is new, or
// a tag.
func (w *windowed) name() string {
	switch w.rng.IntN(8) {
	case 0, 1:
		return fmt.Sprint("hot ", w.rng.IntN(20))
	case 2, 3:
		return fmt.Sprint("cool ", w.rng.IntN(2000))
	case 4, 5:
		return fmt.Sprint("cold ", w.rng.IntN(20_000))
	case 6:
		return fmt.Sprint("new ", len(w.commits))
	default:
		return tagKey(fmt.Sprint(w.rng.IntN(3000)))
	}
}

// last is where a key stands at a revision.
func (w *windowed) last(name string, asOf driver.Revision) mark {
	list := w.places[name]
	for len(list) > 0 && list[len(list)-1].rev > asOf {
		list = list[:len(list)-1]
	}
	if len(list) == 0 {
		return mark{}
	}
	return list[len(list)-1]
}

// place adds pending commits. As in a lane, the versions of their streams must be
// known first.
func (w *windowed) place(n int) {
	for range n {
		rev := driver.Revision(len(w.commits) + 1)
		var keys []driver.Key
		for range 1 + w.rng.IntN(3) {
			name := w.name()
			if slices.ContainsFunc(keys, func(k driver.Key) bool { return k.Name == name }) {
				continue
			}
			pos := uint64(rev)
			if isStream(name) {
				asOf := driver.Revision(w.tail)
				w.window.learn(name, w.last(name, asOf).pos, asOf)
				head, known := w.window.head(name)
				if !known {
					w.t.Fatalf("the window forgets what it learned of %q at once", name)
				}
				pos = head + 1 + w.rng.Uint64N(2)
			}
			keys = append(keys, driver.Key{Name: name, Pos: pos})
		}
		w.clock += 1 + w.rng.Int64N(10)
		w.commits = append(w.commits, windowedCommit{keys, w.window.add(keys, w.clock, nil), w.clock})
		for _, k := range keys {
			w.places[k.Name] = append(w.places[k.Name], mark{rev: rev, pos: k.Pos})
		}
	}
}

// land makes pending commits durable.
func (w *windowed) land(n int) {
	w.tail += min(n, len(w.pending()))
	w.window.evict(driver.Revision(w.tail))
}

// lose takes the last pending commits back.
func (w *windowed) lose(n int) {
	for range n {
		c, before := w.commits[len(w.commits)-1], int64(0)
		w.commits = w.commits[:len(w.commits)-1]
		if n := len(w.commits); n > 0 {
			before = w.commits[n-1].time
		}
		w.window.undo(c.keys, c.was, before)
		for _, k := range c.keys {
			w.places[k.Name] = w.places[k.Name][:len(w.places[k.Name])-1]
		}
	}
}

// ask asks the index for a stream's version; what it says may reach the window
// much later.
func (w *windowed) ask(name string) {
	asOf := driver.Revision(w.tail)
	w.asked[name] = mark{rev: asOf, pos: w.last(name, asOf).pos}
}

func (w *windowed) answer(name string) {
	if at, ok := w.asked[name]; ok {
		w.window.learn(name, at.pos, at.rev)
		delete(w.asked, name)
	}
}

// check asks the window for many keys.
func (w *windowed) check() {
	win, now := &w.window, driver.Revision(len(w.commits))
	if win.floor > driver.Revision(w.tail) {
		w.t.Fatalf("the window forgot up to %d, durable is %d", win.floor, w.tail)
	}
	timeOf := func(rev driver.Revision) int64 {
		if rev == 0 {
			return 0
		}
		return w.commits[rev-1].time
	}
	if win.time() != timeOf(now) || win.floorTime != timeOf(win.floor) {
		w.t.Fatalf("the window has the times %d and, at its floor, %d; expected %d and %d", win.time(), win.floorTime, timeOf(now), timeOf(win.floor))
	}
	for range 100 {
		name := w.name()
		last := w.last(name, now)
		for _, rev := range []driver.Revision{w.somewhere(), last.rev, max(last.rev, 1) - 1, win.floor, now} {
			changed, known := win.changed(name, rev)
			if known && changed != (last.rev > rev) || !known && rev >= win.floor {
				w.t.Fatalf("%q was last in %d: has it changed after %d? the window says %t, %t; its floor is %d, durable %d of %d",
					name, last.rev, rev, changed, known, win.floor, w.tail, now)
			}
		}
		if !isStream(name) {
			continue
		}
		if version, known := win.head(name); known && version != last.pos || !known && last.rev > win.floor {
			w.t.Fatalf("%q is at version %d since %d: the window says %d, %t; its floor is %d, durable %d of %d",
				name, last.pos, last.rev, version, known, win.floor, w.tail, now)
		}
		if w.rng.IntN(2) == 0 {
			w.ask(name)
		} else {
			w.answer(name)
		}
	}
}

func (w *windowed) somewhere() driver.Revision {
	return driver.Revision(w.rng.IntN(len(w.commits) + 1))
}
