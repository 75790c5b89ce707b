package jitter_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/internal/jitter"
)

// TestPause: it lasts as long as it is to, but not beyond the end of ctx, which it tells.
func TestPause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for _, c := range []struct {
			d, took time.Duration
			well    bool
		}{{time.Second, time.Second, true}, {0, 0, true}, {-time.Second, 0, true}, {time.Hour, 59 * time.Second, false}, {0, 0, false}} {
			begin := time.Now()
			if well := jitter.Pause(ctx, c.d); well != c.well || time.Since(begin) != c.took {
				t.Errorf("a pause of %v: %v after %v, want %v after %v", c.d, well, time.Since(begin), c.well, c.took)
			}
		}
	})
}
