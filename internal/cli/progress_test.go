package cli

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// output may be written and read by two goroutines.
type output struct {
	mu sync.Mutex
	b  strings.Builder
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// work does 1,000 of 20,000 in the middle of each second.
func work(p *Progress, seconds int) {
	time.Sleep(500 * time.Millisecond)
	for i := range seconds {
		p.Set(int64(i+1)*1000, 20_000)
		time.Sleep(time.Second)
	}
	synctest.Wait()
}

func TestProgressWritesALineEveryFiveSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out output
		p := StartProgress(&out, "verify", "commits")
		work(p, 13)
		p.Stop()
		p.Stop()
		want := `verify: 2,000 of 20,000 commits (10%), 1,000/s, 18s left
verify: 7,000 of 20,000 commits (35%), 1,000/s, 13s left
verify: 12,000 of 20,000 commits (60%), 1,000/s, 8s left
`
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
}

func TestProgressKeepsOneLineOnATerminal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out output
		p := startProgress(&out, true, "verify", "commits")
		work(p, 3)
		lines := strings.Split(out.String(), "\r\x1b[K")
		if len(lines) != 1+8 || strings.Contains(out.String(), "\n") || !strings.HasPrefix(lines[8], "verify: 3,000 of 20,000 commits (15%)") {
			t.Errorf("%q", lines)
		}
		p.Stop()
		if !strings.HasSuffix(out.String(), "\r\x1b[K") {
			t.Error("the line stays")
		}
	})
}

func TestProgressIsSilentForShortWork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out output
		for _, terminal := range []bool{false, true} {
			p := startProgress(&out, terminal, "verify", "commits")
			time.Sleep(progressAfter - 1)
			p.Stop()
		}
		if out.String() != "" {
			t.Errorf("%q", out.String())
		}
	})
}

func TestProgressLines(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		unit        string
		done, total int64
		want        string
	}{
		{"events", 5000, 0, "x: 5,000 events, 1,000/s"},
		{"rounds", 1, 5, "x: 1 of 5 rounds (20%), 0.2/s, 20s left"},
		{"rounds", 0, 5, "x: 0 of 5 rounds (0%), 0.0/s, ? left"},
		{"bytes", 5 << 20, 10 << 20, "x: 5.0 MiB of 10.0 MiB (50%), 1.0 MiB/s, 5s left"},
	} {
		p := &Progress{what: "x", unit: c.unit}
		p.Set(c.done, c.total)
		if got := p.line(p.begin.Add(5 * time.Second)); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// The rate is that of the last seconds, not of all.
func TestRateFollows(t *testing.T) {
	t.Parallel()
	var r rate
	last := 0.0
	for s := range 60 {
		done := int64(s * 100)
		if s > 30 {
			done = 3000
		}
		last = r.at(time.Duration(s)*time.Second, done)
		if s > 0 && s <= 30 && last != 100 {
			t.Errorf("after %d s: %v/s", s, last)
		}
	}
	if last != 0 {
		t.Errorf("%v/s long after the work stopped", last)
	}
}

func TestCountAndBytes(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1234: "-1,234", -123: "-123"} {
		if got := Count(n); got != want {
			t.Errorf("Count(%d) = %s", n, got)
		}
	}
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1 << 40: "1.0 TiB", 3 << 29: "1.5 GiB"} {
		if got := Bytes(n); got != want {
			t.Errorf("Bytes(%d) = %s", n, got)
		}
	}
}
