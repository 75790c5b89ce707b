package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rollforward/rollforward/internal/cli"
	"github.com/rollforward/rollforward/internal/dsfake"
	"github.com/rollforward/rollforward/internal/emulator"
	"github.com/rollforward/rollforward/internal/race"
)

// A cloud is a Datastore that the bank is tried on.
type cloud struct {
	name string
	fake bool
	host func(t testing.TB) string
}

var (
	indexed = cloud{"Datastore emulator", false, emulator.DatastoreIndexed.Host}
	clouds  = []cloud{fake("optimistic", dsfake.Optimistic), fake("pessimistic", dsfake.Pessimistic), indexed, {"Firestore emulator", false, emulator.Firestore.Host}}
)

func fake(name string, m dsfake.Mode) cloud {
	return cloud{name, true, func(t testing.TB) string {
		t.Helper()
		s := dsfake.New(&dsfake.Options{Mode: m})
		t.Cleanup(func() { _ = s.Close() })
		host, err := s.Listen()
		if err != nil {
			t.Fatal(err)
		}
		return host
	}}
}

// log names a new log there.
func (c cloud) log(t testing.TB) string {
	t.Helper()
	return "datastore://" + emulator.Project() + "?namespace=bank&emulator=" + c.host(t)
}

// notWithRace leaves out what the race detector makes take minutes.
func notWithRace(t *testing.T) {
	t.Helper()
	if race.Enabled && os.Getenv("ROLLFORWARD_SOAK") == "" {
		t.Skip("it runs in the tests without the race detector, and in soaks")
	}
}

// TestBankInDatastore: the import and the demonstration say the same on a log in Datastore,
// byte for byte, as on one in a directory, and every command works there.
func TestBankInDatastore(t *testing.T) {
	t.Parallel()
	for _, c := range clouds {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			log, dir, books := c.log(t), filepath.Join(t.TempDir(), "log"), "household"
			if c.fake && race.Enabled && os.Getenv("ROLLFORWARD_SOAK") == "" {
				books = "hostile"
			}
			account := map[string]string{"household": "Assets:US:BofA:Checking", "hostile": "𐍈"}[books]
			ledger, whole := "testdata/"+books+"-ledger.csv", true
			if !c.fake && os.Getenv("ROLLFORWARD_SOAK") == "" { // an emulator takes for a write what its project holds
				ledger, whole = beginning(t, ledger, 1000), false
			}
			if o := runBank(at(log, "balances")...); o.status != cli.Failed || !strings.Contains(o.errOut, "there is no log") {
				t.Errorf("without a log: %+v", o)
			}
			for _, args := range [][]string{
				{"import", ledger}, {"open", "ada", "EUR"}, {"deposit", "ada", "5000", "EUR", "--date", "2026-01-31"}, {"open", "bob", "EUR"},
				{"transfer", "ada", "bob", "1250", "EUR", "--id", "rent"}, {"import", ledger},
				{"balances", "-o", "csv"}, {"balances", "-o", "json"}, {"statement", account}, {"audit"},
			} {
				if diff := cmp.Diff(must(t, at(dir, args[0], args[1:]...)...), must(t, at(log, args[0], args[1:]...)...)); diff != "" {
					t.Errorf("%q (-directory +Datastore):\n%.2000s", args, diff)
				}
			}
			got := must(t, at(log, "balances", "-o", "csv")...)
			for line := range strings.Lines(read(t, "testdata/"+books+"-balances.csv")) {
				if whole && !strings.Contains(got, line) {
					t.Errorf("the balances lack %s", line)
				}
			}
		})
	}
}

// beginning returns a file with the first rows of a ledger, n and those that are of the last transaction, too.
func beginning(t *testing.T, file string, n int) string {
	t.Helper()
	var part strings.Builder
	last := ""
	for row := range strings.Lines(read(t, file)) {
		id, _, _ := strings.Cut(row, ",")
		if n--; n < 0 && id != last {
			break
		}
		last = id
		part.WriteString(row)
	}
	name := filepath.Join(t.TempDir(), filepath.Base(file))
	writeFile(t, name, part.String())
	return name
}

// TestDemoInDatastore: the demonstration keeps its promises on a log in Datastore, and works on no
// other than an empty one. On emulators, where writes cost what the project holds, its books are short ones.
func TestDemoInDatastore(t *testing.T) {
	t.Parallel()
	notWithRace(t)
	for _, c := range slices.Delete(slices.Clone(clouds), 1, 2) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			books := household
			if !c.fake && os.Getenv("ROLLFORWARD_SOAK") == "" {
				books = ledger{"strange books", "hostile-ledger.csv", read(t, "testdata/hostile-ledger.csv"), read(t, "testdata/hostile-balances.csv")}
			}
			log := c.log(t)
			demo := func() outcome {
				var out, errOut bytes.Buffer
				root := newCommandAt(&site{given: &books})
				root.SetOut(&out)
				root.SetErr(&errOut)
				return outcome{cli.Run(t.Context(), root, []string{"--log", log}), out.String(), errOut.String()}
			}
			if o := demo(); o.status != cli.OK || !strings.Contains(o.out, "equal those that another program computed") || !strings.Contains(o.out, "money is conserved") {
				t.Errorf("the demonstration says: %+v", o)
			}
			if o := demo(); o.status != cli.Failed || !strings.Contains(o.errOut, "already") {
				t.Errorf("a second time: %+v", o)
			}
		})
	}
}
