package saga_test

import (
	"os"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/rollforward/rollforward/internal/sys"
)

// TestMain has all tests of the package compare the instances that decisions hold with
// what their events fold to.
func TestMain(m *testing.M) {
	sys.CheckLive = func(live, folded any) {
		if diff := cmp.Diff(folded, live, cmp.Exporter(func(reflect.Type) bool { return true }), cmpopts.EquateEmpty()); diff != "" {
			panic("a decision and its events differ (-events +decision):\n" + diff)
		}
	}
	os.Exit(m.Run())
}
