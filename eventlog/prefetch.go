package eventlog

import (
	"context"
	"fmt"
)

// Prefetch reads the states of streams, several at the same time, so that an Update
// which loads all of them does not ask the store for one after the other: each costs what
// its Load would, and its Load then nothing. It is no condition of anything, and what
// others write meanwhile, or the log forgets because they are thousands, is read again.
func (m *Model[S]) Prefetch(ctx context.Context, l *Log, streams ...string) error {
	return atOnce(len(streams), func(i int) error {
		if err := m.prefetch(ctx, l, streams[i]); err != nil {
			return fmt.Errorf("eventlog: prefetch %s %s: %w", m.Name, streams[i], err)
		}
		return nil
	})
}

func (m *Model[S]) prefetch(ctx context.Context, l *Log, stream string) error {
	if err := checkName("stream", stream); err != nil {
		return err
	}
	f := m.folding(l, stream)
	l.mu.Lock()
	s, err := f.lane.look(stream)
	l.mu.Unlock()
	if err != nil {
		return err
	}
	if err := f.upTo(ctx, &s); err != nil {
		return err
	}
	if !s.known {
		l.mu.Lock()
		f.lane.window.learn(stream, f.version, s.tail)
		l.mu.Unlock()
	}
	return nil
}
