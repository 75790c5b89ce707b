package sagatest

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/outbox"
)

// trouble makes messages of sagas come twice or late.
type trouble struct {
	*World
	mu    sync.Mutex
	first map[uint64]eventlog.ID // the step that brought a message first, by its content
	until time.Time              // when the last late message is due
}

func newTrouble(w *World) *trouble {
	return &trouble{World: w, first: make(map[uint64]eventlog.ID)}
}

// wrap puts the trouble before the handlers. The steps of sagas themselves it leaves
// alone: the outbox does each once, and an instance refers to them by their ids.
func (t *trouble) wrap(handlers []outbox.Handler) []outbox.Handler {
	list := make([]outbox.Handler, len(handlers))
	for i, h := range handlers {
		list[i] = h
		if h.Do == nil {
			continue
		}
		message := strings.HasPrefix(h.Type, "$saga/") && strings.Count(h.Type, "/") == 2 && !strings.HasSuffix(h.Type, "/*")
		list[i].Do = func(tx *eventlog.Tx, s outbox.Raw) error {
			if message && t.seed != 0 {
				if late, err := t.meddle(tx, s); err != nil || late {
					return err
				}
			}
			return h.Do(tx, s)
		}
	}
	return list
}

// meddle repeats a message, or puts it off. late says that it is not to be done now.
func (t *trouble) meddle(tx *eventlog.Tx, s outbox.Raw) (late bool, err error) {
	h := fnv.New64a()
	fmt.Fprint(h, t.seed, s.Type, s.Stream, string(s.Data))
	content := h.Sum64()
	if !t.isFirst(content, tx.Meta().Causation) {
		return false, nil
	}
	r := rand.New(rand.NewPCG(t.seed, content))
	x, pause := r.Float64(), time.Duration(r.Int64N(int64(2*time.Second)))
	switch {
	case x < t.opts.Repeat:
	case x < t.opts.Repeat+t.opts.Delay:
		late = true
	default:
		return false, nil
	}
	due := tx.Time().Add(pause)
	_, err = outbox.At(tx, due, s)
	t.mu.Lock()
	defer t.mu.Unlock()
	if due.After(t.until) {
		t.until = due
	}
	return late, err
}

// isFirst reports whether this step brought the message first: what brings it again is
// left alone.
func (t *trouble) isFirst(content uint64, step eventlog.ID) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, known := t.first[content]; !known {
		t.first[content] = step
	}
	return t.first[content] == step
}

// over reports whether all late messages are due.
func (t *trouble) over(now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return now.After(t.until)
}
