package projectiontest_test

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
)

// A watched is a test that may fail without failing the one that watches it.
type watched struct {
	testing.TB
	failures []string
	cleanups []func()
}

// watch runs fn as a test of its own, with its cleanups.
func watch(fn func(t testing.TB)) *watched {
	w := &watched{}
	done := make(chan struct{})
	go func() { // Fatalf ends the goroutine
		defer close(done)
		fn(w)
	}()
	<-done
	for i := len(w.cleanups) - 1; i >= 0; i-- {
		w.cleanups[i]()
	}
	return w
}

func (w *watched) Helper()           {}
func (w *watched) Cleanup(fn func()) { w.cleanups = append(w.cleanups, fn) }

func (w *watched) TempDir() string {
	dir, err := os.MkdirTemp("", "projectiontest")
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func (w *watched) Errorf(format string, args ...any) {
	w.failures = append(w.failures, fmt.Sprintf(format, args...))
}

func (w *watched) Error(args ...any) { w.Errorf("%s", fmt.Sprint(args...)) }

func (w *watched) Fatalf(format string, args ...any) {
	w.Errorf(format, args...)
	runtime.Goexit()
}

func (w *watched) Fatal(args ...any) { w.Fatalf("%s", fmt.Sprint(args...)) }

// expect fails unless the test failed and said all of this; with nothing to
// say, unless it passed.
func (w *watched) expect(t *testing.T, says ...string) {
	t.Helper()
	all := strings.Join(w.failures, "\n")
	if (len(says) == 0) != (len(all) == 0) {
		t.Errorf("it said %q, expected %q", all, says)
	}
	for _, s := range says {
		if !strings.Contains(all, s) {
			t.Errorf("it said %q, expected %q", all, s)
		}
	}
}
