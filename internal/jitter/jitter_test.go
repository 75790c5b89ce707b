package jitter

import (
	"testing"
	"time"
)

func TestN(t *testing.T) {
	seen := make(map[time.Duration]bool)
	for range 1000 {
		d := N(time.Second)
		if d < 0 || d >= time.Second {
			t.Fatalf("%v", d)
		}
		seen[d] = true
	}
	if len(seen) < 900 {
		t.Errorf("%d different ones", len(seen))
	}
	release := Fix()
	if d := N(time.Second); d != time.Second/2 {
		t.Errorf("fixed: %v", d)
	}
	release()
	if a, b := N(time.Hour), N(time.Hour); a == b {
		t.Errorf("released: %v twice", a)
	}
}
