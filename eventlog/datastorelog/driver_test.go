package datastorelog

import (
	"testing"

	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/internal/emulator"
)

// TestDriver holds the promises of every driver.
func TestDriver(t *testing.T) {
	t.Parallel()
	eachLeg(t, func(t *testing.T, l leg) {
		drivertest.Run(t, func(t *testing.T) driver.Log { return l.server(t).open(t, emulator.Project(), nil) })
		drivertest.Handles(t, func(t *testing.T) func(*testing.T) driver.Log {
			s, project := l.server(t), emulator.Project()
			return func(t *testing.T) driver.Log { return s.open(t, project, nil) }
		})
	})
}
