package projection

import (
	"testing"
	"time"

	"github.com/rollforward/rollforward/eventlog"
)

func TestBackoff(t *testing.T) {
	t.Parallel()
	for n, most := range map[int]time.Duration{1: 10, 2: 20, 3: 40, 7: 640, 8: 1000, 9: 1000, 1 << 40: 1000} {
		for range 50 {
			if d := backoff(10, n); d < most/2 || d > most {
				t.Errorf("failure %d: %d, want %d to %d", n, d, most/2, most)
			}
		}
	}
}

func TestPace(t *testing.T) {
	t.Parallel()
	p := newPace(0)
	for range 20 {
		p.took(p.limit, time.Millisecond)
	}
	if p.limit != defaultBatch {
		t.Errorf("quick transactions: %d events, want %d", p.limit, defaultBatch)
	}
	p.took(3, time.Millisecond)
	if p.limit != defaultBatch {
		t.Errorf("a small one: %d events", p.limit)
	}
	for range 20 {
		p.took(p.limit, time.Second)
	}
	if p.limit != 1 {
		t.Errorf("slow transactions: %d events, want 1", p.limit)
	}
	if p = newPace(10); p.limit != 10 {
		t.Errorf("a Batch of 10: %d events", p.limit)
	}
}

// After a transaction that was full the batches grow slowly from half of it.
func TestPaceFull(t *testing.T) {
	t.Parallel()
	p := newPace(0)
	for range 20 {
		p.took(p.limit, time.Millisecond)
	}
	p.full(600)
	if p.limit != 300 {
		t.Errorf("600 did not fit: then %d, want 300", p.limit)
	}
	rounds := 0
	for ; p.limit < 600 && rounds < 100; rounds++ {
		p.took(p.limit, time.Millisecond)
	}
	if rounds < 8 || rounds > 20 {
		t.Errorf("back at 600 after %d transactions", rounds)
	}
	for range 20 {
		p.full(1)
	}
	if p.limit != 1 {
		t.Errorf("nothing fits: then %d, want 1", p.limit)
	}
}

// A worker that has not noticed a restart must not say how far it came before.
func TestProgressAfterRestart(t *testing.T) {
	t.Parallel()
	p := newProgress(1)
	before := p.kicks()
	p.set(before, 0, 7)
	want := eventlog.Position{}.With(0, 7)
	if yes, _, _ := p.covers(want); !yes {
		t.Error("it does not cover what was set")
	}
	p.restart()
	p.set(before, 0, 8)
	if yes, _, _ := p.covers(want); yes {
		t.Error("it covers what was before the restart")
	}
	p.set(p.kicks(), 0, 0)
	if yes, _, _ := p.covers(eventlog.Position{}); !yes {
		t.Error("it does not cover the beginning")
	}
}
