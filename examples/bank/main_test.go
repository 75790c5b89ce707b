package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/pebblelog"
	"github.com/rollforward/rollforward/examples/bank/bank"
	"github.com/rollforward/rollforward/internal/cli"
	"github.com/rollforward/rollforward/internal/logcmd"
	"github.com/rollforward/rollforward/projection/projector"
	"github.com/rollforward/rollforward/saga/sagarunner"
)

// TestMain is one of the bank's commands when a test starts this binary as one.
func TestMain(m *testing.M) {
	switch os.Getenv("BANK_TEST_COMMAND") {
	case "bank":
		main()
	case "projector":
		projector.Main(projector.Options{Projections: bank.Projections(), Datastore: bank.DatastoreProjections(), DB: bank.ReadModelFile})
	case "sagarunner":
		sagarunner.Main(sagarunner.Options{Handlers: bank.Handlers()})
	case "eventlog":
		logcmd.Main()
	}
	os.Exit(m.Run())
}

// An outcome is what a command left.
type outcome struct {
	status      int
	out, errOut string
}

func runBank(args ...string) outcome { return runBankWith("", args...) }

func runBankWith(stdin string, args ...string) outcome {
	var out, errOut bytes.Buffer
	root := newCommand()
	root.SetIn(strings.NewReader(stdin))
	root.SetOut(&out)
	root.SetErr(&errOut)
	return outcome{cli.Run(context.Background(), root, args), out.String(), errOut.String()}
}

// must runs a command that has to succeed.
func must(t *testing.T, args ...string) string {
	t.Helper()
	o := runBank(args...)
	if o.status != cli.OK {
		t.Fatalf("bank %q: exit status %d: %s", args, o.status, o.errOut)
	}
	return o.out
}

// at puts --log behind the name of the command.
func at(log, name string, args ...string) []string {
	return append([]string{name, "--log", log}, args...)
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// position says how far a log reaches.
func position(t *testing.T, dir string) string {
	t.Helper()
	d, err := pebblelog.Open(dir, &pebblelog.Options{MustExist: true})
	if err != nil {
		t.Fatal(err)
	}
	l, err := eventlog.Open(context.Background(), d, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p, err := l.Position(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return p.String()
}

// TestImportLedgers: the balances of imported books equal, byte for byte, those
// that another program computed. A second import changes nothing.
func TestImportLedgers(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"household", "hostile"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log, file := filepath.Join(t.TempDir(), "new", "log"), "testdata/"+name+"-ledger.csv"
			must(t, at(log, "import", file)...)
			before := position(t, log)
			again := must(t, at(log, "import", file)...)
			if !strings.HasPrefix(again, "0 transactions with 0 postings recorded, ") {
				t.Errorf("the second import says %q", again)
			}
			if after := position(t, log); after != before {
				t.Errorf("the second import moved the log from %s to %s", before, after)
			}
			got := must(t, at(log, "balances", "-o", "csv")...)
			if diff := cmp.Diff(read(t, "testdata/"+name+"-balances.csv"), got); diff != "" {
				t.Errorf("balances (-want +got)\n%s", diff)
			}
			if audit := must(t, at(log, "audit")...); !strings.Contains(audit, "none") {
				t.Errorf("audit: %s", audit)
			}
		})
	}
}

const header = "transaction,date,description,account,amount_cents,currency\n"

// TestImportGoesOn: a refused import says file and line, keeps what came before,
// and goes on when the file is mended.
func TestImportGoesOn(t *testing.T) {
	t.Parallel()
	good := header + "t1,2024-01-01,,A,5,EUR\nt1,2024-01-01,,B,-5,EUR\n"
	for name, c := range map[string]struct {
		rows   string
		status int
		want   string
	}{
		"malformed":    {"t2,2024-01-01,,A,x,EUR\n", cli.Failed, `books.csv:4: amount_cents "x" is not a whole number`},
		"a column off": {"t2,2024-01-01,A,x,EUR\n", cli.Failed, "books.csv:4: the row must have the 6 columns"},
		"unbalanced":   {"t2,2024-01-01,,A,5,EUR\nt2,2024-01-01,,C,-4,EUR\n", cli.Failed, "books.csv:4: transaction t2: the transaction does not balance: EUR is off by 1"},
		"repeated":     {"t0,2024-01-01,,A,0,EUR\nt1,2024-01-01,,C,0,EUR\n", cli.Conflict, "books.csv:5: transaction t1: id reused with other content"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			log, file := filepath.Join(dir, "log"), filepath.Join(dir, "books.csv")
			writeFile(t, file, good+c.rows)
			o := runBank(at(log, "import", file)...)
			if o.status != c.status || !strings.Contains(o.errOut, c.want) {
				t.Errorf("exit status %d, %s", o.status, o.errOut)
			}
			if !strings.Contains(must(t, at(log, "balances", "--all")...), "B") || strings.Contains(must(t, at(log, "balances", "--all")...), "C  ") {
				t.Error("what came before is lost, or half of it is applied")
			}
			writeFile(t, file, good+"t2,2024-01-01,,A,1,EUR\nt2,2024-01-01,,B,-1,EUR\n")
			must(t, at(log, "import", file)...)
			if got, want := must(t, at(log, "balances", "-o", "csv")...), "account,currency,balance_cents\nA,EUR,6\nB,EUR,-6\n"; got != want {
				t.Errorf("then the balances are %q, want %q", got, want)
			}
		})
	}
}

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestImportStandardInput(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "log")
	o := runBankWith(header+"t1,2024-01-01,,A,5,EUR\nt1,2024-01-01,,B,-5,EUR\n", at(log, "import", "-")...)
	if o.status != cli.OK || o.out != "1 transactions with 2 postings recorded, 0 were there already\n" {
		t.Errorf("%+v", o)
	}
}
