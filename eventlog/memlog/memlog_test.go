package memlog_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/memlog"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestDriver(t *testing.T) {
	drivertest.Run(t, func(*testing.T) driver.Log { return memlog.Open() })
	drivertest.Handles(t, func(*testing.T) func(*testing.T) driver.Log {
		store := memlog.NewStore()
		return func(*testing.T) driver.Log { return store.Open() }
	})
}
