package main

import (
	"bytes"
	"context"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"cloud.google.com/go/datastore"
	"github.com/google/go-cmp/cmp"

	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/examples/bank/bank"
	"github.com/rollforward/rollforward/internal/cli"
	"github.com/rollforward/rollforward/internal/dsfake"
)

// database is a Datastore to dial.
func database(t *testing.T) func(ctx context.Context) (*datastore.Client, string, error) {
	t.Helper()
	s := dsfake.New(nil)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return func(ctx context.Context) (*datastore.Client, string, error) {
		c, err := s.Client(ctx, "test", "")
		return c, "bank", err
	}
}

// TestReadModelInDatastore: every command that reads says the same, byte for byte,
// whether the read model is in SQLite or in Datastore.
func TestReadModelInDatastore(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"household", "hostile"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "household" {
				notWithRace(t)
			}
			log, dial := filepath.Join(t.TempDir(), "log"), database(t)
			in := func(args ...string) string {
				t.Helper()
				var out, errOut bytes.Buffer
				root := newCommandAt(&site{store: cli.Store{Database: dial}})
				root.SetIn(strings.NewReader(""))
				root.SetOut(&out)
				root.SetErr(&errOut)
				if status := cli.Run(t.Context(), root, args); status != cli.OK {
					t.Fatalf("bank %q: exit status %d: %s", args, status, errOut.String())
				}
				return out.String()
			}
			in(at(log, "import", "testdata/"+name+"-ledger.csv")...)
			if diff := cmp.Diff(read(t, "testdata/"+name+"-balances.csv"), in(at(log, "balances", "-o", "csv")...)); diff != "" {
				t.Errorf("balances (-want +got)\n%s", diff)
			}
			account := map[string]string{"household": "Assets:US:BofA:Checking", "hostile": "𐍈"}[name]
			for _, args := range [][]string{
				{"balances", "--all"}, {"balances", "-o", "json"}, {"statement", account}, {"statement", account, "-o", "jsonl"}, {"audit"},
			} {
				line := at(log, args[0], args[1:]...)
				if diff := cmp.Diff(must(t, line...), in(line...)); diff != "" {
					t.Errorf("%v (-SQLite +Datastore)\n%.2000s", args, diff)
				}
			}
			file := filepath.Join(t.TempDir(), "named.db")
			if diff := cmp.Diff(in(at(log, "balances")...), in(at(log, "balances", "--db", file)...)); diff != "" {
				t.Errorf("--db (-without +with)\n%s", diff)
			}
		})
	}
}

// TestDemonstrationInDatastore: the demonstration keeps its promises with a read model in
// Datastore, which is kept up to date while it goes on.
func TestDemonstrationInDatastore(t *testing.T) {
	t.Parallel()
	notWithRace(t)
	client, namespace, err := database(t)(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	log := eventlogtest.New(t)
	m, err := bank.NewDatastoreReadModel(log, client, namespace)
	if err != nil {
		t.Fatal(err)
	}
	d := &demonstration{out: io.Discard, log: log, model: m, given: household}
	if err := d.run(t.Context()); err != nil {
		t.Error(err)
	}
}
