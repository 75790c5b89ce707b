package outbox_test

import (
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/pebblelog"
	"github.com/rollforward/rollforward/outbox"
)

// TestBacklogInMemory: however many steps are pending, only so many are in hand,
// whether they can run, or fail, or wait, or are of a type that nobody knows. A
// million take less than 512 MB, store included.
func TestBacklogInMemory(t *testing.T) {
	total, most := 40_000, uint64(256<<20)
	if os.Getenv("ROLLFORWARD_SOAK") == "1" {
		total, most = 1_000_000, 512<<20
	}
	d, err := pebblelog.Open(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	l, err := eventlog.Open(t.Context(), d, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for n := 0; n < total; n += 1000 {
		update(t, l, func(tx *eventlog.Tx) error {
			if err := tx.Append(fmt.Sprintf("source/%d", n), Added{n}); err != nil {
				return err
			}
			for i := range 1000 {
				var s outbox.Step
				switch to := fmt.Sprintf("a%d/%d", i%3, i); i % 4 {
				case 0:
					s = named{"test.unknown", to, nil}
				case 1:
					s = Fail{to}
				default:
					s = Add{to, n + i}
				}
				if _, err := outbox.At(tx, time.Now().Add(time.Duration(i%8/4)*24*time.Hour), s); err != nil {
					return err
				}
			}
			return nil
		})
	}
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	peak := uint64(0)
	ran := 0
	h := outbox.On(func(tx *eventlog.Tx, a Add) error { return tx.Append(a.To, Added{a.N}) }, nil)
	r := runner(l, h, failing(&outbox.Policy{Backoff: time.Hour}))
	r.Hooks.Batch = func(i outbox.BatchInfo) {
		if ran += i.Steps; ran/10_000 != (ran-i.Steps)/10_000 {
			runtime.ReadMemStats(&now)
			peak = max(peak, now.HeapInuse)
		}
	}
	drain(t, r)
	runtime.ReadMemStats(&now)
	if peak = max(peak, now.HeapInuse); peak > most {
		t.Errorf("%d MB at most, before %d MB", peak>>20, before.HeapInuse>>20)
	}
	t.Logf("%d steps ran or failed; heap: %d MB before, %d MB at most, %d MB behind", ran, before.HeapInuse>>20, peak>>20, now.HeapInuse>>20)
	if total > 100_000 {
		return
	}
	if n := len(pending(t, l)); n != total*3/4 || ran != total*3/8 {
		t.Errorf("%d ran or failed, %d are pending", ran, n)
	}
}
