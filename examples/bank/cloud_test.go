package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rollforward/rollforward/internal/cli"
	"github.com/rollforward/rollforward/internal/emulator"
)

// clouds are the Datastores that the bank is tried on.
var clouds = []emulator.Kind{emulator.DatastoreIndexed, emulator.Firestore}

// inCloud names a new log in an emulated Datastore.
func inCloud(t *testing.T, k emulator.Kind) string {
	t.Helper()
	return "datastore://" + emulator.Project() + "?namespace=bank&emulator=" + k.Host(t)
}

// TestBankInDatastore: the import and the demonstration say the same on a log in Datastore,
// byte for byte, as on one in a directory, and every command works there.
func TestBankInDatastore(t *testing.T) {
	t.Parallel()
	for _, k := range clouds {
		t.Run(k.String(), func(t *testing.T) {
			t.Parallel()
			log, dir := inCloud(t, k), filepath.Join(t.TempDir(), "log")
			if o := runBank(at(log, "balances")...); o.status != cli.Failed || !strings.Contains(o.errOut, "there is no log") {
				t.Errorf("without a log: %+v", o)
			}
			for _, args := range [][]string{
				{"import", "testdata/household-ledger.csv"}, {"open", "ada", "EUR"}, {"deposit", "ada", "5000", "EUR", "--date", "2026-01-31"}, {"open", "bob", "EUR"},
				{"transfer", "ada", "bob", "1250", "EUR", "--id", "rent"}, {"import", "testdata/household-ledger.csv"},
				{"balances", "-o", "csv"}, {"balances", "-o", "json"}, {"statement", "Assets:US:BofA:Checking"}, {"audit"},
			} {
				if diff := cmp.Diff(must(t, at(dir, args[0], args[1:]...)...), must(t, at(log, args[0], args[1:]...)...)); diff != "" {
					t.Errorf("%q (-directory +Datastore):\n%.2000s", args, diff)
				}
			}
			got := must(t, at(log, "balances", "-o", "csv")...)
			for line := range strings.Lines(read(t, "testdata/household-balances.csv")) {
				if !strings.Contains(got, line) {
					t.Errorf("the balances lack %s", line)
				}
			}
		})
	}
}

// TestDemoInDatastore: the demonstration keeps its promises on a log in Datastore, and works on no
// other than an empty one.
func TestDemoInDatastore(t *testing.T) {
	t.Parallel()
	log := inCloud(t, emulator.DatastoreIndexed)
	out := must(t, "--log", log)
	if !strings.Contains(out, "equal those that another program computed") || !strings.Contains(out, "money is conserved") {
		t.Errorf("the demonstration says:\n%s", out)
	}
	if o := runBank("--log", log); o.status != cli.Failed || !strings.Contains(o.errOut, "already") {
		t.Errorf("a second time: %+v", o)
	}
}
