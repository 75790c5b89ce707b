package pebblelog

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/drivertest"
)

// TestDriver holds the promises of every driver: on a file system in memory,
// where a sync costs nothing, and for what is opened again on a real one.
func TestDriver(t *testing.T) {
	t.Parallel()
	drivertest.Run(t, func(t *testing.T) driver.Log { return mustOpen(t, &Options{FS: vfs.NewMem()}) })
	drivertest.Handles(t, func(t *testing.T) func(*testing.T) driver.Log {
		dir := t.TempDir()
		return func(t *testing.T) driver.Log {
			l, err := Open(dir, nil)
			if err != nil {
				t.Fatal(err)
			}
			return l
		}
	})
}
