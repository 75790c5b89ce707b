package drivertest

import (
	"slices"
	"testing"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// A promise is a piece of the contract of driver.Log with the test that holds
// it.
type promise struct {
	name    string
	promise string
	test    func(t *testing.T, log driver.Log)
}

// Run tests the promises that a single handle of a store makes. open returns a
// handle of a new, empty store each time; Run closes it. The tests run in
// parallel, each on a store of its own.
func Run(t *testing.T, open func(t *testing.T) driver.Log) {
	t.Helper()
	for _, p := range promises() {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			holds(t, p.promise)
			log := open(t)
			t.Cleanup(func() { _ = log.Close() }) // most tests have no interest in it, some have closed it
			p.test(t, log)
		})
	}
	t.Run("Model", func(t *testing.T) {
		t.Parallel()
		Model(t, open)
	})
}

func promises() []promise {
	return slices.Concat(
		writePromises, refusalPromises, cellPromises, readPromises, findPromises, keysPromises, namePromises,
		limitPromises, iterationPromises, memoryPromises, racePromises, visibilityPromises, watchPromises, closePromises,
	)
}

// A storePromise is a promise about several handles of one store.
type storePromise struct {
	name    string
	promise string
	test    func(t *testing.T, open func(t *testing.T) driver.Log)
}

// Handles tests the promises about a store that is opened more than once.
// newStore makes a new, empty store and returns what opens a handle of it; when
// handles are exclusive, it is called only after the last one was closed.
func Handles(t *testing.T, newStore func(t *testing.T) (open func(t *testing.T) driver.Log)) {
	t.Helper()
	for _, p := range handlePromises {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			holds(t, p.promise)
			open := newStore(t)
			p.test(t, func(t *testing.T) driver.Log {
				log := open(t)
				t.Cleanup(func() { _ = log.Close() })
				return log
			})
		})
	}
}

// holds prints the promise when the test has failed.
func holds(t *testing.T, promise string) {
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("broken promise: %s", promise)
		}
	})
}
