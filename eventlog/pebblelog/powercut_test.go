package pebblelog

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/rollforward/rollforward/internal/crashfs"
)

// TestAcknowledgedIsDurable cuts the power at random moments under 64 writers,
// whose writes are merged, and under one, whose are not: every acknowledged write
// is there afterwards, once; nothing refused is, and nothing is there by half.
func TestAcknowledgedIsDurable(t *testing.T) {
	t.Parallel()
	for range rounds(1) {
		for _, c := range []cuts{{writers: 64, pad: 1000, count: 20, apart: 200}, {writers: 1, pad: 1000, count: 10, apart: 20}} {
			seed := rand.Uint64()
			if err := c.run(&Options{MemTableSize: 1 << 20}, seed); err != nil {
				t.Fatalf("%d writers, seed %d: %v", c.writers, seed, err)
			}
		}
	}
}

// TestLargeWritesAreDurable does the same with writes that are too large for a
// memtable, which the engine treats in a way of their own.
func TestLargeWritesAreDurable(t *testing.T) {
	t.Parallel()
	for range rounds(1) {
		seed := rand.Uint64()
		if err := (cuts{writers: 4, pad: 600_000, count: 4, apart: 20}).run(&Options{MemTableSize: 1 << 20}, seed); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// TestPowerCutFindsMissingSync shows that the tests above can fail.
func TestPowerCutFindsMissingSync(t *testing.T) {
	t.Parallel()
	err := (cuts{writers: 64, pad: 1000, count: 20, apart: 200}).run(&Options{MemTableSize: 1 << 20, noSync: true}, 1)
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

// cuts are power cuts under so many writers of commits up to pad bytes, up to so
// many answers apart.
type cuts struct{ writers, pad, count, apart int }

// run takes pictures of the disk as power cuts would leave it. It returns an error
// when one does not hold what was acknowledged before the cut.
func (c cuts) run(o *Options, seed uint64) error {
	rng := rand.New(rand.NewPCG(seed, 0))
	disk := crashfs.New()
	o.FS = disk
	l, err := Open("log", o)
	if err != nil {
		return err
	}
	h, ended := newHistory(c.pad), make(chan struct{})
	var stop atomic.Bool
	go func() { defer close(ended); h.run(l, c.writers, func() bool { return !stop.Load() }) }()
	pictures := make([]picture, c.count)
	for i := range pictures {
		if err := h.await(rng.IntN(c.apart), ended); err != nil {
			return errors.Join(err, l.Close())
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
