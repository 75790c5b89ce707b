package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rollforward/rollforward/examples/bank/bank"
	"github.com/rollforward/rollforward/internal/cli"
)

// try runs commands on a log, one after the other, and holds them against what they must
// say.
type try struct {
	line   string // a word in it may be 'quoted text'
	status int
	want   string // in the output, or the error
}

func words(line string) (list []string) {
	for i, part := range strings.Split(line, "'") {
		if i%2 == 1 {
			list = append(list, part)
		} else {
			list = append(list, strings.Fields(part)...)
		}
	}
	return list
}

func runAll(t *testing.T, log string, tries []try) {
	t.Helper()
	for _, c := range tries {
		o := runBank(append(words(c.line), "--log", log)...)
		got := o.out
		if c.status != cli.OK {
			got = o.errOut
		}
		if o.status != c.status || !strings.Contains(got, c.want) {
			t.Errorf("bank %s: %+v\nwant %d, %q", c.line, o, c.status, c.want)
		}
	}
}

func TestTermsAndApproval(t *testing.T) {
	t.Parallel()
	log := customersOf(t)
	runAll(t, log, []try{
		{"terms ada EUR", cli.OK, "limit  0\nfee    0\nrate   0\n"},
		{"terms ada EUR --limit 100 --fee 1", cli.OK, "limit  100\nfee    1\nrate   0\n"},
		{"terms ada EUR --rate 100 -o json", cli.OK, `{"limit":100,"flat":1,"rate":100}`},
		{"terms ada EUR --rate -1", cli.Failed, "invalid terms"},
		{"terms eve EUR", cli.Failed, "eve EUR: no such account"},
		{"terms eve EUR --fee 1", cli.Failed, "eve EUR: no such account"},

		{"transfer ada bob 100 EUR --id t1", cli.OK, "transfer t1 of 100 EUR from ada to bob, fee 2, is completed\n"},
		{"transfer ada bob 101 EUR --id t2", cli.OK, "transfer t2 of 101 EUR from ada to bob, fee 2, waits for approval\n"},
		{"transfer ada bob 101 EUR --id t2", cli.OK, "transfer t2 of 101 EUR from ada to bob, fee 2, waits for approval\n"},
		{"transfer ada bob 102 EUR --id t3", cli.OK, "waits for approval"},
		{"approve t2 --by ann", cli.OK, "transfer t2 of 101 EUR from ada to bob, fee 2, is completed\n"},
		{"approve t2 --by ann", cli.Failed, "is completed and waits for no approval"},
		{"transfer ada bob 101 EUR --id t2", cli.OK, "is completed\n"},
		{"refuse t3 --by ann --reason 'too much'", cli.OK, "transfer t3 of 102 EUR from ada to bob, fee 2, went back: the transfer was not approved: refused by ann: too much\n"},
		{"transfer ada bob 102 EUR --id t3", cli.Failed, "was refunded: the transfer was not approved"},
		{"refuse t1 --by ann", cli.Failed, "waits for no approval"},
		{"transfer ada eve 103 EUR --id t4", cli.OK, "waits for approval"},
		{"approve t4 --by ann", cli.Failed, "was refunded: eve EUR: no such account"},
		{"refuse t4 --by ''", cli.Failed, "waits for no approval"},
		{"freeze Bank:Fees EUR", cli.Failed, "is the bank's own"},

		{"balances -o csv", cli.OK, "Bank:Fees,EUR,4\n"},
		{"balances -o csv", cli.OK, "ada,EUR,295\nbob,EUR,201\n"},
		{"audit", cli.OK, "fees                 2\n"},
	})
	if o := runBank(at(log, "refuse", "t9", "--by", "ann")...); o.status != cli.Failed {
		t.Errorf("%+v", o)
	}
}

func TestOrderCommands(t *testing.T) {
	t.Parallel()
	log := customersOf(t)
	today := bank.DateOf(time.Now())
	runAll(t, log, []try{
		{"order add rent ada bob 100 EUR --first " + string(today), cli.OK, "order rent of 100 EUR from ada to bob is due on " + string(today) + " and then every month\n"},
		{"order add rent ada bob 100 EUR --first " + string(today), cli.OK, "is due on"},
		{"order add rent ada bob 101 EUR", cli.Conflict, "id reused"},
		{"order add car ada bob 900 EUR --months 3", cli.OK, "and then every 3 months\n"},
		{"order add x ada bob 100 EUR --first 2020-01-01", cli.Failed, "invalid schedule"},
		{"order add x ada bob 100 EUR --first tomorrow", cli.Misused, `--first "tomorrow" is not of the form`},
		{"order add x ada bob 100 EUR --months 0", cli.Failed, "every 0 months"},
		{"order change rent", cli.Misused, "nothing to change"},
		{"order change rent --amount 0", cli.Misused, "positive"},
		{"order change nobody --amount 5", cli.Failed, "no such standing order"},
		{"order list -o csv", cli.OK, "rent,ada,bob,100,EUR,1," + string(today) + ",,\n"},
		{"audit", cli.OK, "standing orders      2, executed 2 times\n"},
		{"order list -o csv", cli.OK, "rent,ada,bob,100,EUR,1," + string(today.AddMonths(1)) + "," + string(today) + ",completed\n"},
		{"order list -o csv", cli.OK, "insufficient funds"},
		{"order change rent --amount 120 --to eve", cli.OK, "order rent of 120 EUR from ada to eve"},
		{"order cancel car", cli.OK, "order car of 900 EUR from ada to bob is cancelled\n"},
		{"order cancel car", cli.Failed, "the standing order is cancelled"},
		{"transfer ada bob 1 EUR --id order/rent/2030-01-01", cli.Failed, "those of standing orders"},
		{"statement ada -o csv", cli.OK, "-100,400,EUR,transfer/order/rent/" + string(today)},
		{"trace order/rent/" + string(today), cli.OK, "transfer debit on account/EUR/ada: done"},
		{"trace rent", cli.OK, "transfer debit on account/EUR/ada: done"},
		{"order cancel rent", cli.OK, "is cancelled"},
		{"order list --all -o json", cli.OK, `"state":"cancelled"`},
		{"audit", cli.OK, "none"},
	})
	if list := must(t, at(log, "order", "list")...); strings.Contains(list, "rent") {
		t.Errorf("the cancelled order is listed: %s", list)
	}
}

func TestInterestCommand(t *testing.T) {
	t.Parallel()
	log := customersOf(t)
	today := bank.DateOf(time.Now())
	last := (today[:len("2006-01")] + "-01").AddMonths(-1)
	runAll(t, log, []try{
		{"deposit bob 12000 EUR --date " + string(last), cli.OK, "bob: open, 12000 EUR"},
		{"deposit bob 1 EUR --date " + string(today.AddMonths(1)), cli.Failed, "lies behind today"},
		{"deposit bob 1 EUR --date yesterday", cli.Misused, "not of the form"},
		{"interest EUR --month " + string(last.Month()) + " --rate 200", cli.OK, "accounts       3\n  paid         1\n  passed over  0\nsum            20 EUR\n"},
		{"interest EUR --month " + string(last.Month()) + " --rate 200 -o json", cli.OK, `"sum":20}`},
		{"interest EUR --month " + string(last.Month()) + " --rate 201", cli.Conflict, "id reused"},
		{"interest EUR --month " + string(today.Month()), cli.Failed, "is not over"},
		{"interest EUR --month 11/2026", cli.Misused, "not of the form 2006-01"},
		{"interest EUR", cli.Misused, "month"},
		{"interest EUR --month 2020-01 --rate 10001", cli.Failed, "invalid rate"},
		{"balances -o csv", cli.OK, "bob,EUR,12020\n"},
		{"trace " + string(last.Month()) + "/EUR", cli.OK, "accrual post on account/EUR/bob: done"},
		{"audit", cli.OK, "interest payments    1\n"},
	})
}

func TestPayCommand(t *testing.T) {
	t.Parallel()
	log := customersOf(t)
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/good":
			_, _ = w.Write([]byte("thanks for " + r.Header.Get(bank.IdempotencyKey)))
		case "/bad":
			http.Error(w, "no such account", http.StatusUnprocessableEntity)
		default:
			http.Error(w, "come back later", http.StatusServiceUnavailable)
		}
	}))
	defer other.Close()
	runAll(t, log, []try{
		{"pay ada " + other.URL + "/good 'DE02 1203' 100 EUR --id p1", cli.OK, "payment p1 of 100 EUR from ada to DE02 1203 is completed: thanks for payment/p1/2\n"},
		{"pay ada " + other.URL + "/good 'DE02 1203' 100 EUR --id p1", cli.OK, "is completed"},
		{"pay ada " + other.URL + "/good 'DE02 1203' 101 EUR --id p1", cli.Conflict, "id reused"},
		{"pay ada " + other.URL + "/bad x 100 EUR --id p2", cli.Failed, "payment p2 of 100 EUR from ada to x was refused: the other bank refuses the payment: no such account"},
		{"pay ada " + other.URL + "/busy x 50 EUR --id p3 --wait 3s", cli.OK, "payment p3 of 50 EUR from ada to x is under way\n"},
		{"pay ada mailto:x x 50 EUR", cli.Failed, "invalid address"},
		{"pay ada " + other.URL + "/good x 351 EUR", cli.Failed, "insufficient funds"},
		{"balances -o csv", cli.OK, "Bank:Other banks,EUR,100\nBank:Suspense,EUR,50\n"},
		{"trace p3", cli.OK, "payment send"},
	})
}

func TestTraceCommand(t *testing.T) {
	t.Parallel()
	log := customersOf(t)
	runAll(t, log, []try{
		{"transfer ada bob 100 EUR --id t1", cli.OK, "completed"},
		{"trace t1", cli.OK, "└ transfer debit on account/EUR/ada: done"},
		{"trace t9", cli.Failed, "t9: no such saga instance"},
	})
	var roots []branch
	if err := json.Unmarshal([]byte(must(t, at(log, "trace", "t1", "-o", "json")...)), &roots); err != nil {
		t.Fatal(err)
	}
	var steps []string
	for len(roots) == 1 {
		steps = append(steps, roots[0].Step)
		if roots[0].Over.IsZero() || roots[0].Time.IsZero() || roots[0].Target == "" {
			t.Errorf("%+v", roots[0])
		}
		roots = roots[0].Steps
	}
	want := []string{"$saga/transfer/debit/do", "$saga/transfer/reply", "$saga/transfer/credit/do", "$saga/transfer/reply"}
	if diff := cmp.Diff(want, steps); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
