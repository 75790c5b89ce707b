package bank_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/rollforward/rollforward/examples/bank/bank"
)

const header = "transaction,date,description,account,amount_cents,currency\n"

// whole is a good transaction of two rows.
func whole(id string) string {
	return id + ",2024-02-29,lunch,Expenses:Food,1250,EUR\n" + id + ",2024-02-29,lunch,Assets:Cash,-1250,EUR\n"
}

// read returns the ids of the transactions that were read, and the error.
func read(text string) (ids []string, err error) {
	for t, err := range bank.ReadJournal("books.csv", strings.NewReader(text)) {
		if err != nil {
			return ids, err
		}
		ids = append(ids, t.ID)
	}
	return ids, nil
}

func TestReadJournal(t *testing.T) {
	t.Parallel()
	text := "\uFEFF" + strings.ReplaceAll(header+
		`T 1,2024-02-29,"a ""quoted"" line`+"\n"+`and one more","Café | {x}/y, nº 1", -0 ,EUR`+"\n", "\n", "\r\n")
	if _, err := read(text); err == nil {
		t.Error("spaces around an amount are taken")
	}
	text = strings.Replace(text, " -0 ", "-5", 1) + "\r\n" + "T 1,2024-02-29,,Y,+5,EUR"
	var got []*bank.Transaction
	for tr, err := range bank.ReadJournal("books.csv", strings.NewReader(text)) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, tr)
	}
	want := []*bank.Transaction{{ID: "T 1", File: "books.csv", Postings: []bank.Posting{
		{Line: 2, Date: "2024-02-29", Description: "a \"quoted\" line\nand one more", Amount: -5,
			Account: bank.AccountID{Name: "Café | {x}/y, nº 1", Currency: "EUR"}},
		{Line: 5, Date: "2024-02-29", Account: bank.AccountID{Name: "Y", Currency: "EUR"}, Amount: 5},
	}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestReadJournalRefuses: the error says where and what, and everything that was
// whole before it was read.
func TestReadJournalRefuses(t *testing.T) {
	t.Parallel()
	before := header + whole("a") + whole("b") // lines 2 to 5
	for name, c := range map[string]struct {
		text string
		want string // error
		read int    // transactions
	}{
		"an empty file":         {"", "books.csv:1: the file is empty", 0},
		"no header":             {whole("a"), "books.csv:1: the header is", 0},
		"another header":        {"\n" + "id,date\n", "books.csv:2: the header is", 0},
		"a broken header":       {"\"id,date\n", "books.csv:1: column 10: extraneous or missing", 0},
		"a missing column":      {before + "c,2024-02-29,x,A,1\n", "books.csv:6: the row must have the 6 columns", 2},
		"one column too many":   {before + whole("c") + "d,2024-02-29,x,A,1,EUR,\n", "books.csv:8: the row must have the 6 columns", 3},
		"no date":               {before + "c,,x,A,1,EUR\n", `books.csv:6: date ""`, 2},
		"a day that is none":    {before + "c,2023-02-29,x,A,1,EUR\n", `books.csv:6: date "2023-02-29"`, 2},
		"a fraction":            {before + "c,2024-02-29,x,A,1.50,EUR\n", `books.csv:6: amount_cents "1.50" is not a whole number`, 2},
		"no amount":             {before + "c,2024-02-29,x,A,,EUR\n", `books.csv:6: amount_cents "" is not a whole number`, 2},
		"a gigantic amount":     {before + "c,2024-02-29,x,A,9223372036854775808,EUR\n", "books.csv:6: amount_cents 9223372036854775808 does not fit", 2},
		"no transaction":        {before + ",2024-02-29,x,A,1,EUR\n", "books.csv:6: invalid name: the transaction is empty", 2},
		"no account":            {before + "c,2024-02-29,x,,1,EUR\n", "books.csv:6: invalid name: the account is empty", 2},
		"no currency":           {before + "c,2024-02-29,x,A,1,\n", "books.csv:6: invalid name: the currency is empty", 2},
		"a control character":   {before + "c,2024-02-29,x,\"A\nB\",1,EUR\n", "books.csv:6: invalid name: the account", 2},
		"a NUL":                 {before + "c,2024-02-29,x,A\x00,1,EUR\n", "books.csv:6: invalid name: the account", 2},
		"Latin-1 in a name":     {before + "c,2024-02-29,x,Caf\xe9,1,EUR\n", "books.csv:6: invalid name: the account", 2},
		"Latin-1 in a text":     {before + "c,2024-02-29,Caf\xe9,A,1,EUR\n", "books.csv:6: the description", 2},
		"a bare quote":          {before + "c,2024-02-29,x \"y,A,1,EUR\n", "books.csv:6: column 16: bare", 2},
		"a quote without end":   {before + "c,2024-02-29,\"x,A,1,EUR\n" + whole("d"), "books.csv:6: a quoted column does not end properly, up to line 8", 2},
		"unbalanced":            {before + "c,2024-02-29,x,A,5,EUR\nc,2024-02-29,x,B,-4,EUR\n" + whole("d"), "books.csv:6: transaction c: the transaction does not balance: EUR is off by 1", 2},
		"unbalanced at the end": {before + "c,2024-02-29,x,A,5,EUR\n", "books.csv:6: transaction c: the transaction does not balance", 2},
		"balanced over currencies only": {before + "c,2024-02-29,x,A,5,EUR\nc,2024-02-29,x,B,-5,USD\n",
			"books.csv:6: transaction c: the transaction does not balance: EUR is off by 5", 2},
		"beyond 64 bits": {before + strings.Repeat("c,2024-02-29,x,A,9223372036854775807,EUR\n", 2) + "c,2024-02-29,x,A,2,EUR\n",
			"books.csv:6: transaction c: the transaction does not balance: EUR is off by 18446744073709551616", 2},
		"empty lines before it": {before + "\n\r\n\nc,2024-02-29,x,A,x,EUR\n", "books.csv:9: amount_cents", 2},
		"a line of spaces":      {before + "  \n" + whole("c"), "books.csv:6: the row must have", 2},
		"a bad row inside":      {before + "b,2024-02-29,x,A,x,EUR\n", "books.csv:6: amount_cents", 1},
		"a short row inside":    {before + "b,2024-02-29\n", "books.csv:6: the row must have", 1},
		"a bare quote inside":   {before + "b,2024-02-29,x \"y,A,1,EUR\n", "books.csv:6: column 16", 1},
		"an id in bad quotes":   {before + "\"c\"d,2024-02-29,x,A,1,EUR\n", "books.csv:6: ", 1}, // it may be another b
		"unbalanced, then bad":  {before + "c,2024-02-29,x,A,5,EUR\n" + "d,,x,A,1,EUR\n", "books.csv:6: transaction c: the transaction does not balance", 2},
		"a row without end":     {before + "c,2024-02-29,\"" + strings.Repeat("x\n", bank.MaxRow/2) + strings.Repeat("y", 1<<16), "books.csv:6: a row of more than 1048576 bytes", 2},
		"a transaction without end": {before + strings.Repeat("c,2024-02-29,x,A,0,EUR\n", bank.MaxPostings+1),
			"books.csv:6: transaction c: it has more than 1000 postings", 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ids, err := read(c.text)
			var at *bank.LineError
			if !errors.As(err, &at) || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("error %v\nwant  %s…", err, c.want)
			}
			if len(ids) != c.read {
				t.Errorf("%d transactions before it were read, want %d", len(ids), c.read)
			}
		})
	}
}

func TestReadJournalStops(t *testing.T) {
	t.Parallel()
	for range bank.ReadJournal("books.csv", strings.NewReader(header+whole("a")+whole("b"))) {
		break // must not read or yield on
	}
	broken := fmt.Errorf("input/output error")
	r := io.MultiReader(strings.NewReader(header+whole("a")+whole("b")+"c,"), iotest.ErrReader(broken))
	var ids []string
	var err error
	for tr, e := range bank.ReadJournal("books.csv", r) {
		if err = e; err == nil {
			ids = append(ids, tr.ID)
		}
	}
	if !errors.Is(err, broken) || len(ids) != 2 {
		t.Errorf("read %v, error %v", ids, err)
	}
}

// TestReadJournalInPieces: it makes no difference how the bytes arrive.
func TestReadJournalInPieces(t *testing.T) {
	t.Parallel()
	text := "\uFEFF" + header + whole("a") + "\r\n" + whole("b") + "b,2024-02-29,x \"y,A,1,EUR\n"
	want, wantErr := read(text)
	for name, r := range map[string]io.Reader{
		"one byte":   iotest.OneByteReader(strings.NewReader(text)),
		"data error": iotest.DataErrReader(strings.NewReader(text)),
	} {
		var ids []string
		var err error
		for tr, e := range bank.ReadJournal("books.csv", r) {
			if err = e; err == nil {
				ids = append(ids, tr.ID)
			}
		}
		if !cmp.Equal(ids, want) || err == nil || err.Error() != wantErr.Error() {
			t.Errorf("%s: read %v, %v; want %v, %v", name, ids, err, want, wantErr)
		}
	}
}

func TestHash(t *testing.T) {
	t.Parallel()
	base := bank.Transaction{ID: "1", Postings: []bank.Posting{
		{Account: bank.AccountID{Name: "A", Currency: "EUR"}, Amount: 5, Date: "2024-01-01", Description: "x", Line: 7}}}
	hash := base.Hash()
	same := base
	same.File, same.Postings = "other", []bank.Posting{base.Postings[0]}
	same.Postings[0].Line = 99
	if same.Hash() != hash {
		t.Error("the hash depends on where the transaction was read")
	}
	for name, change := range map[string]func(*bank.Posting){
		"amount":      func(p *bank.Posting) { p.Amount++ },
		"date":        func(p *bank.Posting) { p.Date = "2024-01-02" },
		"description": func(p *bank.Posting) { p.Description = "y" },
		"account":     func(p *bank.Posting) { p.Account.Name = "B" },
		"currency":    func(p *bank.Posting) { p.Account.Currency = "USD" },
		"boundaries":  func(p *bank.Posting) { p.Description, p.Account.Name = "xA", "" },
	} {
		other := bank.Transaction{ID: "1", Postings: []bank.Posting{base.Postings[0]}}
		change(&other.Postings[0])
		if other.Hash() == hash {
			t.Errorf("the hash does not depend on the %s", name)
		}
	}
	twice := bank.Transaction{ID: "1", Postings: append(base.Postings, base.Postings...)}
	if twice.Hash() == hash {
		t.Error("the hash does not depend on the number of postings")
	}
}
