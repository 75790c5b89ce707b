// Package drivertest says what a driver of the event log must do, as tests, and
// makes drivers fail on purpose. It is for people who write a driver, and for
// tests of what stands on one.
//
// The tests are a table of promises; a failure prints the promise that was
// broken. A driver's own test is a call of each:
//
//	func TestDriver(t *testing.T) {
//		drivertest.Run(t, func(t *testing.T) driver.Log {
//			return open(t, t.TempDir())
//		})
//		drivertest.Handles(t, func(t *testing.T) func(*testing.T) driver.Log {
//			dir := t.TempDir()
//			return func(t *testing.T) driver.Log { return open(t, dir) }
//		})
//	}
//
// There are no flags to skip a promise: what cannot hold on all drivers is not
// promised. What only the driver's own tests can show is left to them: that
// what was acknowledged survives the loss of power, that nothing is visible
// before it would, that damaged bytes are found, that a full disk refuses, and
// (with goleak in TestMain) that no goroutine is left behind.
//
// A [Faulty] is a log that fails by plan, deterministic when the [Plan] is:
// a single fault at a chosen call ([Nth]), or [Chaos] from a seed.
package drivertest
