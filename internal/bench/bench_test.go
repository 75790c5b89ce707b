package bench

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// small is a run of a few moments.
func small(t *testing.T) Config {
	t.Helper()
	dir := t.TempDir()
	if _, err := fileSystem(dir); err != nil {
		t.Skipf("NOT TESTED: %v (set TMPDIR)", err)
	}
	return Config{Dir: dir, Appenders: 4, Batch: 2, Size: 256, Streams: 100, Shards: 4, Duration: 40 * time.Millisecond, Rounds: 2, Replay: true}
}

func runSmall(t *testing.T, c Config) *Result {
	t.Helper()
	r, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(c.Dir); err != nil || len(left) > 0 {
		t.Errorf("the scratch directory stayed: %v %v", left, err)
	}
	for name, v := range map[string]float64{"appends/s": r.AppendsPerS, "limit": r.LimitAppendsPerS, "ratio": r.Ratio, "prepared": r.PreparedAppendsPerS, "prepared ratio": r.PreparedRatio,
		"p50": r.P50, "limit p50": r.LimitP50, "replay": r.ReplayEventsPerS, "replay ratio": r.ReplayRatio} {
		if v <= 0 {
			t.Errorf("%s is %v", name, v)
		}
	}
	if r.EventsPerS != r.AppendsPerS*float64(c.Batch) || r.P999 < r.P99 || r.P99 < r.P50 || len(r.Rounds) != c.Rounds || r.FileSystem == "" {
		t.Errorf("result %+v", r)
	}
	return r
}

func TestRunAppends(t *testing.T) {
	t.Parallel()
	r := runSmall(t, small(t))
	if r.Reruns != 0 {
		t.Errorf("%d appends lost a race on their own streams", r.Reruns)
	}
}

func TestRunHot(t *testing.T) {
	t.Parallel()
	c := small(t)
	c.Hot = true
	if r := runSmall(t, c); r.HotRatio <= 0 || r.SpreadAppendsPerS <= 0 {
		t.Errorf("result %+v", r)
	}
}

func TestRunFillAndLoad(t *testing.T) {
	t.Parallel()
	c := small(t)
	c.Fill, c.Load, c.Batch = 2000, true, 50
	r := runSmall(t, c)
	if r.FillEvents != 2000 || r.FillRatio != 1 || r.LoadRatio <= 0 || r.LoadP50 <= 0 {
		t.Errorf("result %+v", r)
	}
	if r.ReplayEvents < 2000+200*loadEvents {
		t.Errorf("%d events replayed", r.ReplayEvents)
	}
}

func TestRunRefuses(t *testing.T) {
	t.Parallel()
	good := Config{Dir: t.TempDir(), Appenders: 1, Batch: 1, Size: 1, Streams: 1, Duration: 1, Rounds: 1}
	for name, change := range map[string]func(*Config){
		"no appenders":      func(c *Config) { c.Appenders = 0 },
		"no duration":       func(c *Config) { c.Duration = 0 },
		"negative fill":     func(c *Config) { c.Fill = -1 },
		"too few streams":   func(c *Config) { c.Appenders = 2 },
		"too large appends": func(c *Config) { c.Size = 1 << 20 },
		"no directory":      func(c *Config) { c.Dir = filepath.Join(c.Dir, "nosuch") },
	} {
		c := good
		change(&c)
		if _, err := Run(t.Context(), c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestRunRefusesMemory(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("/dev/shm", "bench")
	if err != nil {
		t.Skip("NOT TESTED: no memory file system here")
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	c := small(t)
	c.Dir = dir
	if _, err := Run(t.Context(), c); err == nil || !strings.Contains(err.Error(), "is on tmpfs, which is memory") {
		t.Errorf("error %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	c := small(t)
	c.Duration, c.Fill = time.Hour, 200
	c.Progress = func(what string, _, _ int64, _ string) {
		if what == "measure" {
			cancel()
		}
	}
	if _, err := Run(ctx, c); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// A quantile is the true one or at most 1/32 above.
func TestHistogram(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 1))
	var h, part histogram
	var all []time.Duration
	for i := range 10_000 {
		d := time.Duration(rng.ExpFloat64() * float64(time.Millisecond))
		all = append(all, d)
		if i%2 == 0 {
			h.add(d)
		} else {
			part.add(d)
		}
	}
	h.merge(&part)
	slices.Sort(all)
	for _, q := range []float64{0, 0.5, 0.99, 0.999} {
		want := float64(all[int(q*float64(len(all)))]) / 1e3
		if got := h.quantile(q); got < want || got > want*33/32+0.001 {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
	for b := range bucket(1 << 62) {
		if bucket(upper(b)) != b || bucket(upper(b)+1) != b+1 {
			t.Fatalf("bucket %d ends at %d, in bucket %d", b, upper(b), bucket(upper(b)))
		}
	}
}

func TestPayloads(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 2, 39, 40, 41, 100, 256, 4096} {
		var block bytes.Buffer
		for _, p := range payloads(size)[:max(2, 8192/size)%4096] {
			if len(p) != size || !json.Valid(p) {
				t.Fatalf("size %d: %d bytes: %s", size, len(p), p)
			}
			block.Write(p)
		}
		var out bytes.Buffer
		w, err := flate.NewWriter(&out, flate.BestSpeed)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = w.Write(block.Bytes())
		_ = w.Close()
		if ratio := float64(out.Len()) / float64(block.Len()); size == 256 && (ratio < 0.35 || ratio > 0.65) {
			t.Errorf("payloads of %d bytes compress to %.2f", size, ratio)
		}
	}
}

func TestMedian(t *testing.T) {
	t.Parallel()
	if got := median([]float64{5, 1, 3}); got != 3 {
		t.Errorf("median %v", got)
	}
	if got := median([]float64{4, 1, 3, 2}); got != 2.5 {
		t.Errorf("median %v", got)
	}
	// A round in which both sides are slow changes nothing.
	if got := medianRatio([]float64{8, 1, 8}, []float64{16, 2, 16}); got != 0.5 {
		t.Errorf("ratio %v", got)
	}
}
