package eventlog

import (
	"context"
	"slices"
	"time"
)

// A turn makes the functions that update a hot key run one after another. It
// exists from a conflict on the key until nobody waits for it. Without it,
// every success would make all other functions under way run again. It is a
// courtesy, not a lock: a transaction holds one at most, from its first look at
// such a key until it has joined its lanes, and nobody waits for it for long;
// what is right is decided when joining.
type turn struct {
	key     string
	held    bool
	waiting []chan struct{}
}

const (
	turnPatience = 10 * time.Millisecond
	maxTurns     = 1024 // at a time; one that nobody takes up stays
)

// contend notes a conflict on a key. The caller holds the lock.
func (l *Log) contend(key string) {
	if _, ok := l.turns[key]; !ok && key != "" && len(l.turns) < maxTurns {
		l.turns[key] = &turn{key: key}
	}
}

// takeTurn waits until it is the transaction's turn, if the key has turns.
func (tx *Tx) takeTurn(ctx context.Context, key string) {
	l := tx.log
	l.mu.Lock()
	t, ok := l.turns[key]
	if !ok || !t.held {
		if ok {
			t.held, tx.turn = true, t
		}
		l.mu.Unlock()
		return
	}
	bell := make(chan struct{})
	t.waiting = append(t.waiting, bell)
	l.mu.Unlock()
	patience := time.NewTimer(turnPatience)
	defer patience.Stop()
	select {
	case <-bell:
		tx.turn = t
		return
	case <-patience.C:
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.Index(t.waiting, bell); i >= 0 {
		t.waiting = slices.Delete(t.waiting, i, i+1)
		return
	}
	tx.turn = t // it was handed over meanwhile
}

// passTurn gives the turn to the next who waits. The caller holds the lock.
func (l *Log) passTurn(tx *Tx) {
	t := tx.turn
	if t == nil {
		return
	}
	tx.turn = nil
	if len(t.waiting) > 0 {
		close(t.waiting[0])
		t.waiting = t.waiting[1:]
		return
	}
	if t.held = false; l.turns[t.key] == t {
		delete(l.turns, t.key)
	}
}
