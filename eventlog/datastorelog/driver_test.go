package datastorelog

import (
	"testing"

	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/internal/emulator"
)

// A leg is a server to run the tests on.
type leg struct {
	name string
	host func(testing.TB) string
}

// The Datastore emulator refuses queries without an index: what passes there passes
// on the more lenient one.
var legs = []leg{
	{"datastore", emulator.DatastoreIndexed.Host},
	{"firestore", emulator.Firestore.Host},
}

// eachLeg runs a test on all servers.
func eachLeg(t *testing.T, f func(t *testing.T, host string)) {
	for _, l := range legs {
		t.Run(l.name, func(t *testing.T) { f(t, l.host(t)) })
	}
}

// openOn opens a log of a project of its own.
func openOn(t testing.TB, host, project string, o *Options) *Log {
	t.Helper()
	var opts Options
	if o != nil {
		opts = *o
	}
	opts.Emulator = host
	l, err := Open(t.Context(), project, &opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// TestDriver holds the promises of every driver.
func TestDriver(t *testing.T) {
	t.Parallel()
	eachLeg(t, func(t *testing.T, host string) {
		drivertest.Run(t, func(t *testing.T) driver.Log { return openOn(t, host, emulator.Project(), nil) })
		drivertest.Handles(t, func(t *testing.T) func(*testing.T) driver.Log {
			project := emulator.Project()
			return func(t *testing.T) driver.Log { return openOn(t, host, project, nil) }
		})
	})
}
