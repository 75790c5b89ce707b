package bank_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"cloud.google.com/go/datastore"
	"google.golang.org/api/option"

	"github.com/google/go-cmp/cmp"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/examples/bank/bank"
	"github.com/rollforward/rollforward/internal/dsfake"
	"github.com/rollforward/rollforward/internal/emulator"
	"github.com/rollforward/rollforward/internal/race"
	"github.com/rollforward/rollforward/projection/datastoresink"
)

// legs are the servers that read models in Datastore are tested on.
var legs = map[string]func(t testing.TB) []option.ClientOption{
	"optimistic":  func(t testing.TB) []option.ClientOption { return fake(t, dsfake.Optimistic) },
	"pessimistic": func(t testing.TB) []option.ClientOption { return fake(t, dsfake.Pessimistic) },
	"Datastore":   func(t testing.TB) []option.ClientOption { return emulator.Options(emulator.DatastoreIndexed.Host(t)) },
	"Firestore":   func(t testing.TB) []option.ClientOption { return emulator.Options(emulator.Firestore.Host(t)) },
}

func fake(t testing.TB, mode dsfake.Mode) []option.ClientOption {
	s := dsfake.New(&dsfake.Options{Mode: mode})
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s.ClientOptions()
}

// datastoreClient returns a client of an empty project.
func datastoreClient(t testing.TB, options []option.ClientOption) *datastore.Client {
	t.Helper()
	c, err := datastore.NewClient(context.Background(), emulator.Project(), options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// inDatastore returns the read model of a log in Datastore, up to date.
func inDatastore(t testing.TB, log *eventlog.Log, c *datastore.Client) *bank.ReadModel {
	t.Helper()
	m, err := bank.NewDatastoreReadModel(log, c, "bank")
	if err != nil {
		t.Fatal(err)
	}
	if err := m.CatchUp(context.Background()); err != nil {
		t.Fatal(err)
	}
	return m
}

func all[T any](t testing.TB, list iter.Seq2[T, error]) (out []T) {
	t.Helper()
	for v, err := range list {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, v)
	}
	return out
}

// TestDatastoreLedgers: books that are imported come to what another program computed,
// byte for byte, and every answer is that of the read model in SQLite; the audit agrees.
func TestDatastoreLedgers(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"household", "hostile"} {
		if name == "household" && race.Enabled && os.Getenv("ROLLFORWARD_SOAK") == "" {
			t.Log("the household is left to the tests without the race detector: it takes minutes with it")
			continue
		}
		file := filepath.Join("..", "testdata", name+"-ledger.csv")
		books, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		log := eventlogtest.New(t)
		if _, err := bank.Import(context.Background(), log, file, books, nil); err != nil {
			t.Fatal(err)
		}
		if err := books.Close(); err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(filepath.Join("..", "testdata", name+"-balances.csv"))
		if err != nil {
			t.Fatal(err)
		}
		other := readModel(t, log, filepath.Join(t.TempDir(), "readmodel.db"))
		for leg, options := range legs {
			t.Run(name+" "+leg, func(t *testing.T) {
				m := inDatastore(t, log, datastoreClient(t, options(t)))
				if diff := cmp.Diff(string(want), balancesCSV(t, m)); diff != "" {
					t.Errorf("balances (-want +got)\n%s", diff)
				}
				same(t, "balances", all(t, other.Balances(t.Context())), all(t, m.Balances(t.Context())))
				same(t, "lines", all(t, other.Lines(t.Context())), all(t, m.Lines(t.Context())))
				names := make(map[string]bool)
				for _, b := range all(t, other.Balances(t.Context())) {
					if len(names) < 8 {
						names[b.Account] = true
					}
				}
				for name := range names {
					same(t, "statement of "+name, statement(t, other, name), statement(t, m, name))
				}
				if a := examine(t, log, m); len(a.Problems) > 0 {
					t.Errorf("audit: %q", a.Problems)
				}
			})
		}
	}
}

func same[T any](t *testing.T, what string, want, got []T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-SQLite +Datastore)\n%.2000s", what, diff)
	}
}

// balancesCSV writes the accounts that hold something as "bank balances -o csv" does.
func balancesCSV(t *testing.T, m *bank.ReadModel) string {
	t.Helper()
	var out bytes.Buffer
	w := csv.NewWriter(&out)
	lines := [][]string{{"account", "currency", "balance_cents"}}
	for _, b := range all(t, m.Balances(t.Context())) {
		if b.Cents != 0 {
			lines = append(lines, []string{b.Account, b.Currency, strconv.FormatInt(b.Cents, 10)})
		}
	}
	if err := w.WriteAll(lines); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// TestDatastoreReadModel: all that happens to accounts, names of every kind, accounts that
// are not there, another log, and a read model that grows while it is kept up to date.
func TestDatastoreReadModel(t *testing.T) {
	t.Parallel()
	for leg, options := range legs {
		t.Run(leg, func(t *testing.T) {
			t.Parallel()
			c := datastoreClient(t, options(t))
			for i := range 2 { // the second log is another one, in the same place
				log := busy(t)
				for _, name := range []string{"__reserved__", "__", "=", "\uffff", "\uffee", "𐍈", "\uffff𐍈", "z", "日本", fmt.Sprint("only ", i)} {
					if _, err := log.Update(t.Context(), func(tx *eventlog.Tx) error {
						id := bank.AccountID{Name: name, Currency: "EUR"}
						return errors.Join(bank.Open(tx, id, bank.Customer), bank.Deposit(tx, id, 5, "", "first"), bank.Freeze(tx, id))
					}); err != nil {
						t.Fatal(err)
					}
				}
				drain(t, log)
				m, other := inDatastore(t, log, c), readModel(t, log, filepath.Join(t.TempDir(), "readmodel.db"))
				same(t, "balances", all(t, other.Balances(t.Context())), all(t, m.Balances(t.Context())))
				same(t, "lines", all(t, other.Lines(t.Context())), all(t, m.Lines(t.Context())))
				if a := examine(t, log, m); len(a.Problems) > 0 {
					t.Errorf("audit: %q", a.Problems)
				}
				for _, err := range m.Statement(t.Context(), "nobody") {
					if !errors.Is(err, bank.ErrNoAccount) {
						t.Errorf("nobody has %v", err)
					}
				}
				if done, total, err := m.Progress(t.Context()); err != nil || done != total || total == 0 {
					t.Errorf("progress %d of %d, %v", done, total, err)
				}
			}
			if left, err := c.GetAll(t.Context(), datastore.NewQuery("rollforward_garbage").Namespace("bank").KeysOnly(), nil); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

// TestDatastoreAuditFinds: a row that is not what the log says is found.
func TestDatastoreAuditFinds(t *testing.T) {
	t.Parallel()
	log := busy(t)
	drain(t, log)
	c := datastoreClient(t, fake(t, dsfake.Optimistic))
	m := inDatastore(t, log, c)
	sink, err := datastoresink.New(c, &datastoresink.Options{Namespace: "bank"})
	if err != nil {
		t.Fatal(err)
	}
	for projection, kind := range map[string]string{"balances": "Balance", "statements": "Posting"} {
		ns, err := sink.Namespace(t.Context(), projection)
		if err != nil {
			t.Fatal(err)
		}
		keys, err := c.GetAll(t.Context(), datastore.NewQuery(kind).Namespace(ns).KeysOnly().Limit(1), nil)
		if err != nil || len(keys) != 1 {
			t.Fatalf("%s: %v, %v", kind, keys, err)
		}
		before := len(examine(t, log, m).Problems)
		if err := c.Delete(t.Context(), keys[0]); err != nil {
			t.Fatal(err)
		}
		if a := examine(t, log, m); len(a.Problems) != before+1 {
			t.Errorf("without a %s: %q", kind, a.Problems)
		}
	}
}
