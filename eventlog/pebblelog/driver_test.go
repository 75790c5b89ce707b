package pebblelog

import (
	"testing"

	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/drivertest"
)

func TestDriver(t *testing.T) {
	t.Parallel()
	drivertest.Run(t, func(t *testing.T) driver.Log { return open4(t, t.TempDir()) })
	drivertest.Handles(t, func(t *testing.T) func(*testing.T) driver.Log {
		dir := t.TempDir()
		return func(t *testing.T) driver.Log { return open4(t, dir) }
	})
}

func open4(t *testing.T, dir string) driver.Log {
	l, err := Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	return l
}
