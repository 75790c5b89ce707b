package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rollforward/rollforward/eventlog/pebblelog"
	"github.com/rollforward/rollforward/internal/cli"
)

// customers opens accounts of ada, with 500, and bob.
func customersOf(t *testing.T) (log string) {
	t.Helper()
	log = filepath.Join(t.TempDir(), "log")
	must(t, at(log, "open", "ada", "EUR")...)
	must(t, at(log, "open", "bob", "EUR")...)
	must(t, at(log, "deposit", "ada", "500", "EUR", "--description", "wages")...)
	return log
}

func TestAccountCommands(t *testing.T) {
	t.Parallel()
	log := customersOf(t)
	for _, c := range []struct {
		line   string
		status int
		want   string // in the output, or the error
	}{
		{"withdraw ada 100 EUR", cli.OK, "ada: open, 400 EUR\n"},
		{"withdraw ada 401 EUR", cli.Failed, "ada EUR: insufficient funds: the balance is 400"},
		{"deposit nobody 1 EUR", cli.Failed, "nobody EUR: no such account"},
		{"open ada EUR", cli.Failed, "ada EUR: the account exists"},
		{"open books EUR --ledger", cli.OK, "books: open, 0 EUR\n"},
		{"withdraw books 7 EUR", cli.OK, "books: open, -7 EUR\n"},
		{"freeze bob EUR", cli.OK, "bob: frozen, 0 EUR\n"},
		{"deposit bob 1 EUR", cli.Failed, "the account is frozen"},
		{"close bob EUR", cli.Failed, "the account is frozen"},
		{"thaw bob EUR", cli.OK, "bob: open, 0 EUR\n"},
		{"thaw bob EUR", cli.Failed, "the account is not frozen"},
		{"close ada EUR", cli.Failed, "the account is not empty: the balance is 400"},
		{"close bob EUR", cli.OK, "bob: closed, 0 EUR\n"},
		{"statement nobody", cli.Failed, "nobody: no such account"},
		{"statement bob", cli.OK, ""},
		{"open ada", cli.Misused, "accepts 2 arg(s), received 1"},
		{"deposit ada 1.50 EUR", cli.Misused, `amount "1.50" is not a whole number of minor units`},
		{"deposit ada 0 EUR", cli.Misused, "amount 0 is not positive"},
		{"deposit ada 9223372036854775808 EUR", cli.Misused, "does not fit into 64 bits"},
		{"transfer ada bob 1.50 EUR", cli.Misused, "not a whole number"},
		{"load --clients 0", cli.Misused, "load needs 1 client"},
		{"balances -o xml", cli.Misused, "invalid argument"},
		{"import missing.csv", cli.Failed, "missing.csv: no such file"},
		{"import testdata", cli.Failed, "testdata is a directory"},
		{"audit --acks missing", cli.Failed, "missing: no such file"},
		{"nonsense", cli.Misused, "unknown command"},
	} {
		words := strings.Fields(c.line)
		o := runBank(append(words, "--log", log)...)
		got := o.out
		if c.status != cli.OK {
			got = o.errOut
		}
		if o.status != c.status || !strings.Contains(got, c.want) {
			t.Errorf("bank %s: %+v\nwant %d, %q", c.line, o, c.status, c.want)
		}
		if c.status != cli.OK && o.out != "" {
			t.Errorf("bank %s: writes %q to standard output", c.line, o.out)
		}
	}
	must(t, at(log, "audit")...)
}

func TestTransferCommand(t *testing.T) {
	t.Parallel()
	log := customersOf(t)
	for _, c := range []struct {
		line   string
		status int
		want   string
	}{
		{"transfer ada bob 120 EUR --id t1", cli.OK, "transfer t1 of 120 EUR from ada to bob is completed\n"},
		{"transfer ada bob 120 EUR --id t1", cli.OK, "transfer t1 of 120 EUR from ada to bob is completed\n"},
		{"transfer ada bob 121 EUR --id t1", cli.Conflict, "id reused with other content"},
		{"transfer ada bob 400 EUR", cli.Failed, "was refused: ada EUR: insufficient funds: the balance is 380"},
		{"transfer ada eve 80 EUR --id t2", cli.Failed, "transfer t2 of 80 EUR from ada to eve was refunded: eve EUR: no such account"},
		{"transfer ada ada 80 EUR", cli.Failed, "both sides are the same account"},
		{"transfer ada bob 80 USD", cli.Failed, "was refused: ada USD: no such account"},
	} {
		o := runBank(append(strings.Fields(c.line), "--log", log)...)
		if o.status != c.status || !strings.Contains(o.out+o.errOut, c.want) {
			t.Errorf("bank %s: %+v\nwant %d, %q", c.line, o, c.status, c.want)
		}
	}
	day := must(t, at(log, "statement", "ada", "-o", "csv")...)
	day = strings.Split(day, "\n")[1][:len("2006-01-02")]
	want := strings.ReplaceAll(`date,amount_cents,balance_cents,currency,transaction,description
DAY,500,500,EUR,,wages
DAY,-120,380,EUR,transfer/t1,transfer to bob
DAY,-80,300,EUR,transfer/t2,transfer to eve
DAY,80,380,EUR,transfer/t2,refund of the transfer to eve
`, "DAY", day)
	if diff := cmp.Diff(want, must(t, at(log, "statement", "ada", "-o", "csv")...)); diff != "" {
		t.Errorf("statement (-want +got)\n%s", diff)
	}
}

func TestOutputs(t *testing.T) {
	t.Parallel()
	log := customersOf(t)
	for format, want := range map[string]string{
		"table": "ACCOUNT      CURRENCY  BALANCE_CENTS\nEquity:Cash  EUR                -500\nada          EUR                 500\n",
		"csv":   "account,currency,balance_cents\nEquity:Cash,EUR,-500\nada,EUR,500\n",
		"json": "[\n" + `{"account":"Equity:Cash","currency":"EUR","kind":"ledger","state":"open","balance_cents":-500}` + ",\n" +
			`{"account":"ada","currency":"EUR","kind":"customer","state":"open","balance_cents":500}` + "\n]\n",
		"jsonl": `{"account":"Equity:Cash","currency":"EUR","kind":"ledger","state":"open","balance_cents":-500}` + "\n" +
			`{"account":"ada","currency":"EUR","kind":"customer","state":"open","balance_cents":500}` + "\n",
	} {
		if diff := cmp.Diff(want, must(t, at(log, "balances", "-o", format)...)); diff != "" {
			t.Errorf("balances -o %s (-want +got)\n%s", format, diff)
		}
	}
	if all := must(t, at(log, "balances", "--all")...); !strings.Contains(all, "\nbob ") {
		t.Errorf("balances --all leaves bob out: %s", all)
	}
	var audit struct {
		Accounts   int
		Currencies []string
		Problems   []string
	}
	if err := json.Unmarshal([]byte(must(t, at(log, "audit", "-o", "json")...)), &audit); err != nil || audit.Accounts != 3 || audit.Problems == nil {
		t.Errorf("audit -o json: %+v, %v", audit, err)
	}
}

// TestNoLog: commands that look at a log do not make one.
func TestNoLog(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "missing")
	for _, line := range []string{"balances", "statement ada", "audit", "transfer ada bob 1 EUR", "deposit ada 1 EUR", "freeze ada EUR",
		"terms ada EUR", "approve t1", "order list", "order add rent ada bob 1 EUR", "interest EUR --month 2020-01", "pay ada http://x x 1 EUR", "trace t1"} {
		o := runBank(append(strings.Fields(line), "--log", dir)...)
		if o.status != cli.Failed || !strings.Contains(o.errOut, dir+": no such directory") {
			t.Errorf("bank %s: %+v", line, o)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Fatalf("bank %s made the log", line)
		}
	}
	file := filepath.Join(t.TempDir(), "missing.csv")
	if o := runBank(at(dir, "import", file)...); o.status != cli.Failed {
		t.Errorf("%+v", o)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("an import without a file made the log")
	}
}

// TestHeldLog: while another process has the log, the error names it.
func TestHeldLog(t *testing.T) {
	t.Parallel()
	log := customersOf(t)
	d, err := pebblelog.Open(log, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for _, line := range []string{"balances", "audit", "transfer ada bob 1 EUR"} {
		o := runBank(append(strings.Fields(line), "--log", log)...)
		if o.status != cli.Failed || !strings.Contains(o.errOut, "is held by process") {
			t.Errorf("bank %s: %+v", line, o)
		}
	}
}

// TestHelp: every command explains itself, with an example.
func TestHelp(t *testing.T) {
	t.Parallel()
	list := newCommand().Commands()
	for _, c := range list {
		list = append(list, c.Commands()...)
	}
	for _, c := range list {
		if c.Short == "" || c.Example == "" {
			t.Errorf("%s has no description or no example", c.CommandPath())
		}
		if o := runBank(append(strings.Fields(c.CommandPath())[1:], "--help")...); o.status != cli.OK || !strings.Contains(o.out, c.CommandPath()) {
			t.Errorf("%s --help: %+v", c.CommandPath(), o)
		}
	}
}

// TestDemo runs the demonstration. It fails when a promise does not hold.
func TestDemo(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	t.Setenv("EVENTLOG_LOG", filepath.Join(dir, "another log"))
	out := must(t)
	for _, want := range []string{
		"3,049 transactions", "transfers, ", "house of 20000 EUR from judy to ada, fee 110, waits", "fee charge on account/EUR/judy: done",
		"the next one is", "the second time it was done already", "asked 3 times and executed 1", "--- mallory's account is frozen", "money is conserved", "equals a replay",
		"equal those that another program computed", "go run ./examples/bank audit --log " + filepath.Join(dir, "bank-demo-"),
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the demonstration does not say %q:\n%s", want, out)
		}
	}
	_, log, _ := strings.Cut(out, "audit --log ")
	log, _, _ = strings.Cut(log, "\n")
	must(t, at(log, "audit")...)
	if o := runBank("--log", log); o.status != cli.Misused {
		t.Errorf("bank --log: %+v", o)
	}
	if _, err := os.Stat(filepath.Join(dir, "another log")); err == nil {
		t.Error("the demonstration works on somebody's log")
	}
}
