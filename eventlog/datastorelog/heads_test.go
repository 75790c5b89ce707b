package datastorelog

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestCourtesy holds when a winner waits: for a part of what its rivals need as
// long as they were seen lately, and for those it may have shut out after 8, 16 …
// places in a row; never where another process won last.
func TestCourtesy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const journey = 10 * time.Millisecond
		var h heads
		block := uint64(0)
		win := func() time.Duration {
			block++
			h.write(0, place{1, block}, journey)
			return h.courtesy(0, time.Now())
		}
		var pauses []int
		for n := 1; n <= 8+16+32; n++ {
			if d := win(); d > 8*journey {
				t.Errorf("a pause of %s", d)
			}
			if h.shards[0].streak == 0 {
				pauses = append(pauses, n)
			}
		}
		if len(pauses) != 3 || pauses[0] != 8 || pauses[1] != 24 || pauses[2] != 56 {
			t.Errorf("pauses after %v places, expected 8, 24, 56", pauses)
		}
		for i := range 5 {
			h.meet(0, process{byte(i)})
		}
		waited, most := 0, time.Duration(0)
		for range 100 {
			if d := win(); d > 0 {
				waited++
				most = max(most, d)
			}
		}
		if waited < 90 || most < 2*journey || most > 6*journey {
			t.Errorf("with 5 rivals: waited %d of 100 times, at most %s", waited, most)
		}
		h.learn(0, place{1, block + 1})
		if d := h.courtesy(0, time.Now()); d != 0 {
			t.Errorf("who lost waits %s", d)
		}
		block++
		time.Sleep(rivalry + 1)
		if d := win(); d > 8*journey || len(h.shards[0].rivals) > 0 {
			t.Errorf("rivals of long ago: waits %s", d)
		}
	})
}
