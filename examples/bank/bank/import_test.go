package bank_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/examples/bank/bank"
)

// importText imports books and returns what the import did.
func importText(log *eventlog.Log, text string) (bank.Imported, error) {
	return bank.Import(context.Background(), log, "books.csv", strings.NewReader(text), nil)
}

// balance folds the stream of an account.
func balance(t testing.TB, log *eventlog.Log, name, currency string) int64 {
	t.Helper()
	stream := bank.AccountID{Name: name, Currency: currency}.Stream()
	a, err := bank.Accounts.At(context.Background(), log, eventlog.Query{Stream: stream})
	if err != nil {
		t.Fatal(err)
	}
	return a.Balance
}

func position(t testing.TB, log *eventlog.Log) string {
	t.Helper()
	p, err := log.Position(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return p.String()
}

func TestImportTwiceChangesNothing(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../testdata/household-ledger.csv")
	if err != nil {
		t.Fatal(err)
	}
	log := eventlogtest.New(t)
	var seen []int
	first, err := bank.Import(context.Background(), log, "books.csv", strings.NewReader(string(text)),
		func(i bank.Imported) { seen = append(seen, i.Recorded) })
	if want := (bank.Imported{Recorded: 3049, Postings: 10079}); err != nil || first != want {
		t.Fatalf("the import did %+v, %v; want %+v", first, err, want)
	}
	if len(seen) < 10 || seen[len(seen)-1] != 3049 {
		t.Errorf("progress was %v", seen)
	}
	before := position(t, log)
	again, err := importText(log, string(text))
	if want := (bank.Imported{Present: 3049}); err != nil || again != want {
		t.Errorf("the second import did %+v, %v; want %+v", again, err, want)
	}
	if after := position(t, log); after != before {
		t.Errorf("the second import moved the log from %s to %s", before, after)
	}
}

// TestImportIsAtomic: all postings of a transaction and its claim stand in one
// commit, whatever shards they lie in.
func TestImportIsAtomic(t *testing.T) {
	t.Parallel()
	log := eventlogtest.New(t)
	var text strings.Builder
	text.WriteString(header)
	for i := range 17 {
		fmt.Fprintf(&text, "wages,2024-01-31,wages,Account %d,1,EUR\n", i)
	}
	text.WriteString("wages,2024-01-31,wages,Income,-17,EUR\n")
	if _, err := importText(log, text.String()); err != nil {
		t.Fatal(err)
	}
	commits, shards, events := make(map[eventlog.ID]bool), make(map[int]bool), 0
	for r, err := range log.Read(context.Background(), eventlog.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		commits[r.Commit()], shards[r.Shard] = true, true
		events++
	}
	if len(commits) != 1 || len(shards) < 2 || events != 37 {
		t.Errorf("%d commits, %d shards, %d events", len(commits), len(shards), events)
	}
}

// TestImportStopsAndGoesOn: what came before the refused transaction stays, of
// it and what follows nothing is applied, and after mending the same import goes
// on.
func TestImportStopsAndGoesOn(t *testing.T) {
	t.Parallel()
	var before strings.Builder
	before.WriteString(header)
	for i := range 100 {
		before.WriteString(whole(fmt.Sprint("t", i)))
	}
	after := whole("later")
	mended := before.String() + "bad,2024-03-01,x,New,5,EUR\nbad,2024-03-01,x,Other,-5,EUR\n" + after
	for name, c := range map[string]struct{ bad, want string }{
		"malformed":  {"bad,2024-03-01,x,New,5,EUR\nbad,2024-03-01,x,Other,five,EUR\n", "books.csv:203: amount_cents"},
		"unbalanced": {"bad,2024-03-01,x,New,5,EUR\nbad,2024-03-01,x,Other,-4,EUR\n", "books.csv:202: transaction bad: the transaction does not balance"},
		"overflow":   {"bad,2024-03-01,x,Big,9223372036854775807,EUR\nbad,2024-03-01,x,New,1,EUR\nbad,2024-03-01,x,Big,1,EUR\nbad,2024-03-01,x,Less,-9223372036854775808,EUR\nbad,2024-03-01,x,Less,-1,EUR\n", "books.csv:204: transaction bad: Big EUR: the balance would exceed 64 bits"},
		"frozen":     {"bad,2024-03-01,x,New,5,EUR\nbad,2024-03-01,x,Frozen,-5,EUR\n", "books.csv:203: transaction bad: Frozen EUR: the account is frozen"},
		"a long name": {"bad,2024-03-01,x,New,5,EUR\nbad,2024-03-01,x," + strings.Repeat("n", 1000) + ",-5,EUR\n",
			"books.csv:203: transaction bad: eventlog: load account"},
		"a long id":     {strings.ReplaceAll("bad,2024-03-01,x,New,0,EUR\n", "bad", strings.Repeat("i", 1000)), "books.csv:202: transaction iii"},
		"a long text":   {"bad,2024-03-01,x,New,5,EUR\nbad,2024-03-01," + strings.Repeat("x", eventlog.MaxEvent) + ",Other,-5,EUR\n", "books.csv:203: transaction bad: eventlog: append"},
		"a repeated id": {"t7,2024-02-29,lunch,New,1250,EUR\nt7,2024-02-29,lunch,Assets:Cash,-1250,EUR\n", "books.csv:202: transaction t7: id reused with other content"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := eventlogtest.New(t)
			freeze(t, log, bank.AccountID{Name: "Frozen", Currency: "EUR"})
			done, err := importText(log, before.String()+c.bad+after)
			var at *bank.LineError
			if !errors.As(err, &at) || !strings.HasPrefix(err.Error(), c.want) {
				t.Fatalf("error %.300v\nwant  %s…", err, c.want)
			}
			if done.Recorded != 100 || balance(t, log, "Expenses:Food", "EUR") != 100*1250 {
				t.Errorf("before it %+v was done, the balance is %d", done, balance(t, log, "Expenses:Food", "EUR"))
			}
			for s, err := range log.Streams(context.Background(), "account/EUR/New") {
				t.Errorf("half of it is applied: %+v, %v", s, err)
			}
			done, err = importText(log, mended)
			if want := (bank.Imported{Recorded: 2, Present: 100, Postings: 4}); err != nil || done != want {
				t.Errorf("after mending the import did %+v, %v; want %+v", done, err, want)
			}
		})
	}
}

func freeze(t *testing.T, log *eventlog.Log, id bank.AccountID) {
	t.Helper()
	_, err := log.Update(context.Background(), func(tx *eventlog.Tx) error {
		return errors.Join(bank.Open(tx, id, bank.Ledger), bank.Freeze(tx, id))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestImportRepeatedID: the same content is there already, however far away;
// other content is refused.
func TestImportRepeatedID(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	text.WriteString(header + whole("first"))
	for i := range 1000 {
		text.WriteString(whole(fmt.Sprint("t", i)))
	}
	log := eventlogtest.New(t)
	done, err := importText(log, text.String()+whole("first"))
	if want := (bank.Imported{Recorded: 1001, Present: 1, Postings: 2002}); err != nil || done != want {
		t.Errorf("the import did %+v, %v; want %+v", done, err, want)
	}
	before := position(t, log)
	_, err = importText(log, text.String()+strings.ReplaceAll(whole("first"), "lunch", "dinner"))
	if !errors.Is(err, eventlog.ErrIDReused) || !strings.HasPrefix(err.Error(), "books.csv:2004: transaction first") {
		t.Errorf("error %v", err)
	}
	if after := position(t, log); after != before {
		t.Errorf("the refused import moved the log from %s to %s", before, after)
	}
	if got := balance(t, log, "Expenses:Food", "EUR"); got != 1001*1250 {
		t.Errorf("the balance is %d", got)
	}
}

// TestImportTogetherTooLarge: transactions that fit alone are not refused because
// they do not fit into one commit together.
func TestImportTogetherTooLarge(t *testing.T) {
	t.Parallel()
	log := eventlogtest.Open(t, &eventlog.Options{Shards: 1})
	text := header
	for i := range 6 {
		long := strings.Repeat("\x01", 30_000+35_000*(i%2)) // six times as long in JSON
		text += strings.ReplaceAll(whole(fmt.Sprint("t", i)), "lunch", long)
	}
	done, err := importText(log, text)
	if err != nil || done.Recorded != 6 {
		t.Errorf("the import did %+v, %v", done, err)
	}
}

// TestImportTooLargeWithItsKeys is about a limit that is known only when the
// commit is whole: what came before is recorded all the same, and the right
// transaction is refused.
func TestImportTooLargeWithItsKeys(t *testing.T) {
	t.Parallel()
	log := eventlogtest.New(t)
	text, taken := header+whole("before"), make(map[int]bool)
	for i := 0; len(taken) < 5; i++ { // each in a shard of its own: one has room for one
		id := bank.AccountID{Name: strings.Repeat("n", 900) + fmt.Sprint(i), Currency: "EUR"}
		if shard := log.ShardOf(id.Stream()); !taken[shard] {
			taken[shard] = true
			text += "huge,2024-02-29," + strings.Repeat("x", eventlog.MaxTx/5-2300) + "," + id.Name + ",0,EUR\n"
		}
	}
	done, err := importText(log, text)
	if !errors.Is(err, eventlog.ErrTooLarge) || !strings.HasPrefix(err.Error(), "books.csv:4: transaction huge: ") ||
		!strings.Contains(err.Error(), "keys") {
		t.Errorf("error %v", err)
	}
	if done.Recorded != 1 {
		t.Errorf("the import did %+v", done)
	}
}

func TestImportInterrupted(t *testing.T) {
	t.Parallel()
	log := eventlogtest.New(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := bank.Import(ctx, log, "books.csv", strings.NewReader(header+whole("a")), nil)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if done, err := importText(log, header+whole("a")); err != nil || done.Recorded != 1 {
		t.Errorf("then the import did %+v, %v", done, err)
	}
}
