package drivertest_test

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/memlog"
)

// brokenEnv names the broken driver that this process runs the suite with.
const brokenEnv = "DRIVERTEST_BROKEN"

func TestMain(m *testing.M) {
	if os.Getenv(brokenEnv) != "" {
		drivertest.SetPatience(time.Second / 2)
		os.Exit(m.Run())
	}
	goleak.VerifyTestMain(m)
}

// TestFaultyWithoutFaults: without faults a Faulty keeps all promises. In a
// process of TestSuiteFindsBrokenDrivers the driver is a broken one instead.
func TestFaultyWithoutFaults(t *testing.T) {
	wrap := func(log driver.Log) driver.Log { return drivertest.NewFaulty(log, nil) }
	newStore := func() func() driver.Log { return memlog.NewStore().Open }
	moves := func(log driver.Mover) driver.Mover { return drivertest.NewFaulty(log, nil).Mover() }
	if name := os.Getenv(brokenEnv); name != "" {
		if wrap = broken[name].wrap; wrap == nil {
			wrap = func(log driver.Log) driver.Log { return log }
		}
		if moves = broken[name].moves; moves == nil {
			moves = func(log driver.Mover) driver.Mover { return log }
		}
		if broken[name].newStore != nil {
			newStore = broken[name].newStore
		}
	}
	drivertest.Run(t, func(*testing.T) driver.Log { return wrap(newStore()()) })
	drivertest.Moves(t, func(*testing.T) driver.Mover { return moves(memlog.NewStore().Open().(driver.Mover)) })
	drivertest.Handles(t, func(*testing.T) func(*testing.T) driver.Log {
		open := newStore()
		return func(*testing.T) driver.Log { return wrap(open()) }
	})
}

// TestSuiteFindsBrokenDrivers shows that each test of the suite can fail: drivers
// that break one promise each are found by the test of that promise.
func TestSuiteFindsBrokenDrivers(t *testing.T) {
	if os.Getenv(brokenEnv) != "" {
		return
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range broken {
		rounds := [][]string{b.promises}
		if b.hangs {
			rounds = slices.Collect(slices.Chunk(b.promises, 1))
		}
		for _, promises := range rounds {
			t.Run(name+"/"+strings.Join(promises, ","), func(t *testing.T) {
				t.Parallel()
				cmd := exec.CommandContext(t.Context(), program,
					"-test.run=^TestFaultyWithoutFaults$/^("+strings.Join(promises, "|")+")$",
					"-rapid.nofailfile", "-rapid.shrinktime=100ms")
				// Without the second that a program built with -race waits at its end.
				cmd.Env = append(os.Environ(), brokenEnv+"="+name, "GORACE=atexit_sleep_ms=0")
				out, err := cmd.CombinedOutput()
				hung := b.hangs && strings.Contains(string(out), "still waiting after")
				for _, p := range promises {
					if !hung && !strings.Contains(string(out), fmt.Sprintf("--- FAIL: TestFaultyWithoutFaults/%s ", p)) {
						t.Errorf("the suite finds nothing wrong with %s: %v\n%s", p, err, out)
					}
				}
				if !hung && strings.Count(string(out), "broken promise: ") < len(promises) {
					t.Errorf("%v, and not every promise is named:\n%s", err, out)
				}
			})
		}
	}
}

// TestEveryPromiseIsBroken holds that a test of the suite comes with a driver
// that it finds.
func TestEveryPromiseIsBroken(t *testing.T) {
	t.Parallel()
	found := make(map[string]bool)
	for _, b := range broken {
		for _, p := range b.promises {
			found[p] = true
		}
	}
	for _, p := range drivertest.Promises() {
		if !found[p] {
			t.Errorf("no driver breaks %s", p)
		}
		delete(found, p)
	}
	for p := range found {
		t.Errorf("a driver breaks %s, which the suite does not test", p)
	}
}
