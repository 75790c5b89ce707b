package pebblelog

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestAcknowledgedIsDurable cuts the power at random moments under 64 writers:
// every acknowledged write is there afterwards, once; nothing refused is, and
// nothing is there by half.
func TestAcknowledgedIsDurable(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	if err := cutPower(&Options{MemTableSize: 1 << 20, CacheSize: 8 << 20}, seed, rounds(20)); err != nil {
		t.Fatal(err)
	}
}

// TestPowerCutFindsMissingSync shows that the test above can fail.
func TestPowerCutFindsMissingSync(t *testing.T) {
	t.Parallel()
	err := cutPower(&Options{MemTableSize: 1 << 20, CacheSize: 8 << 20, noSync: true}, 1, 20)
	if err == nil {
		t.Fatal("no power cut lost an acknowledged write though nothing was synced")
	}
	t.Logf("as it should: %v", err)
}

func rounds(n int) int {
	if os.Getenv("ROLLFORWARD_SOAK") != "" {
		return 50 * n
	}
	return n
}

// cutPower writes from 64 goroutines and takes n pictures of the disk as a power
// cut would leave it. It returns an error when one does not hold what was
// acknowledged before the cut.
func cutPower(o *Options, seed uint64, n int) error {
	rng := rand.New(rand.NewPCG(seed, 0))
	disk := vfs.NewCrashableMem()
	o.FS = disk
	l, err := Open("log", o)
	if err != nil {
		return err
	}
	h, ended := newHistory(1000), make(chan struct{})
	var stop atomic.Bool
	go func() { defer close(ended); h.run(l, 64, func() bool { return !stop.Load() }) }()
	pictures := make([]picture, n)
	for i := range pictures {
		for target := h.count() + rng.IntN(200); h.count() < target; {
			runtime.Gosched()
		}
		pictures[i].past = h.now() // before the cut: what is acknowledged later may be there or not
		pictures[i].disk = disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(3) * 50, RNG: rng})
	}
	stop.Store(true)
	<-ended
	errs := []error{l.Close()}
	for i, p := range pictures {
		if err := p.verify(*o); err != nil {
			errs = append(errs, fmt.Errorf("cut %d: %w", i, err))
		}
	}
	return errors.Join(errs...)
}

// A picture is a disk after a power cut with what was known before.
type picture struct {
	past map[int]attempt
	disk vfs.FS
	dir  string // "log" if empty
}

func (p *picture) verify(o Options) error {
	o.FS = p.disk
	l, err := Open(cmp.Or(p.dir, "log"), &o)
	if err != nil {
		return err
	}
	return errors.Join(verify(l, p.past), l.Close())
}
