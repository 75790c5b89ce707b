package datastoresink_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/rollforward/rollforward/internal/emulator"
	"github.com/rollforward/rollforward/projection"
	"github.com/rollforward/rollforward/projection/datastoresink"
)

// TestCalledOff: an Apply whose ctx ends keeps no locks: the next one does not wait
// for them.
func TestCalledOff(t *testing.T) {
	each(t, func(t *testing.T, l leg) {
		ctx := soon(t)
		c := l.client(t, emulator.Project(), nil)
		s := newSink(t, c, nil)
		if err := s.Reset(ctx, projection.Reset{Name: "p", Version: 1, Shards: 1}, datastoresink.Empty); err != nil {
			t.Fatal(err)
		}
		batch := projection.Batch{Name: "p", Version: 1, Moves: []projection.Move{{To: projection.Checkpoint{Revision: 3}}}}
		short, cancel := context.WithCancel(ctx)
		err := s.Apply(short, batch, func(tx *datastoresink.Tx) error {
			err := add(tx, "x", 1)
			cancel()
			return errors.Join(err, short.Err())
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("called off: %v", err)
		}
		begin := time.Now()
		if err := s.Apply(ctx, batch, func(tx *datastoresink.Tx) error { return add(tx, "x", 1) }); err != nil {
			t.Error(err)
		}
		if d := time.Since(begin); d > time.Second {
			t.Errorf("the next one took %s", d)
		}
		wantItems(t, c, s, "p", map[string]int{"x": 1})
	})
}
