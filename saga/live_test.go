package saga_test

import (
	"flag"
	"os"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/rollforward/rollforward/internal/sys"
)

// TestMain runs all tests of the package twice: with each step in a commit of its own,
// and with what can be done at once. All of them compare the instances that decisions
// hold with what their events fold to.
func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.bench").Value.String() != "" {
		os.Exit(m.Run())
	}
	sys.CheckLive = func(live, folded any) {
		if reflect.DeepEqual(live, folded) { // cmp takes a hundred times as long
			return
		}
		diff := cmp.Diff(folded, live, cmp.Exporter(func(reflect.Type) bool { return true }), cmpopts.EquateEmpty())
		if diff != "" {
			panic("a decision and its events differ (-events +decision):\n" + diff)
		}
	}
	code := m.Run()
	if atOnce = 64; code == 0 {
		code = m.Run()
	}
	os.Exit(code)
}
