package bank_test

import (
	"context"
	"errors"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/examples/bank/bank"
	"github.com/rollforward/rollforward/outbox"
	"github.com/rollforward/rollforward/saga"
	"github.com/rollforward/rollforward/saga/sagatest"
)

func abroad(amount int64) bank.Payment {
	return bank.Payment{ID: "abroad", From: "ada", Bank: "http://bank.example/payments", To: "DE02", Currency: "EUR", Amount: amount}
}

// over are the bank's handlers, with another way to other banks.
func over(client *http.Client) []outbox.Handler {
	rest := slices.DeleteFunc(bank.Handlers(), func(h outbox.Handler) bool { return strings.HasPrefix(h.Type, "$saga/payment/") })
	return append(rest, bank.NewPayments(client).Handlers()...)
}

// TestPayment: whatever the other bank does, the money is there once, or back once, and
// in suspense meanwhile.
func TestPayment(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		moods   []mood
		amount  int64
		state   saga.State
		refused string
		asked   int
	}{
		"fine":                   {nil, 100, saga.Completed, "", 1},
		"fails and hangs":        {[]mood{failing, hanging, failing}, 100, saga.Completed, "", 4},
		"not the bank's answer":  {[]mood{gone, elsewhere, gone}, 100, saga.Completed, "", 4},
		"the answer is lost":     {[]mood{cut}, 100, saga.Completed, "", 2},
		"no answer":              {[]mood{slow, slow}, 100, saga.Completed, "", 3},
		"answers twice":          {[]mood{twice}, 100, saga.Completed, "", 1},
		"refuses":                {[]mood{refusing}, 100, saga.Compensated, "send", 1},
		"fails, then it refuses": {[]mood{failing, hanging, refusing}, 100, saga.Compensated, "send", 3},
		"without funds":          {nil, 101, saga.Compensated, "hold", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				log, other := eventlogtest.New(t), newOtherBank(c.moods...)
				defer other.close()
				do(t, log, open(ada, 100), abroad(c.amount).Start)
				runner := &outbox.Runner{Log: log, Handlers: over(other.client())}
				for n := 0; ; n++ {
					if err := runner.Drain(t.Context()); err != nil {
						t.Fatal(err)
					}
					if n < c.asked-1 && balance(t, log, "Bank:Suspense", "EUR") != 100 {
						t.Errorf("after %d requests the money is not in suspense", n+1)
					}
					if st, err := bank.Payments.Status(t.Context(), log, "abroad"); err != nil || st.State.Ended() {
						break
					}
					time.Sleep(time.Minute)
				}
				st, err := bank.Payments.Status(t.Context(), log, "abroad")
				if err != nil || st.State != c.state || st.Refused != c.refused || other.asked() != c.asked {
					t.Errorf("%+v, %v after %d requests", st, err, other.asked())
				}
				there := int64(0)
				if c.state == saga.Completed {
					there = 100
					if st.Data.Receipt != "receipt 1 for 100 EUR to DE02" {
						t.Errorf("the receipt is %q", st.Data.Receipt)
					}
				}
				if here := balance(t, log, "ada", "EUR"); other.sum() != there || here != 100-there {
					t.Errorf("ada has %d, the other bank %d", here, other.sum())
				}
				a := examine(t, log, readModel(t, log, filepath.Join(t.TempDir(), "readmodel.db")))
				if len(a.Problems) > 0 || a.Payments != 1 || a.Unsent != 0 {
					t.Errorf("%+v", a)
				}
			})
		})
	}
}

// TestPaymentInTrouble: the same where processes die and take each other's work over: the
// other bank is asked more often, and pays once.
func TestPaymentInTrouble(t *testing.T) {
	t.Parallel()
	var other *otherBank
	client := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) { return other.client().Do(r) })}
	sagatest.Run(t, over(client), nil, func(w *sagatest.World) {
		other = newOtherBank(cut, failing, slow, twice, hanging, gone)
		defer other.close()
		w.When(open(ada, 1000))
		w.When(abroad(100).Start)
		w.When(abroad(100).Start)
		p := abroad(60)
		p.ID = "another"
		w.When(p.Start)
		sagatest.Ended(w, bank.Payments, "abroad", saga.Completed)
		sagatest.Ended(w, bank.Payments, "another", saga.Completed)
		holds(w, map[string]int64{"ada": 840, "Bank:Suspense": 0, "Bank:Other banks": 160})
		if a := clean(w); a.Sent != 2 || other.sum() != 160 {
			w.Errorf("the other bank has %d: %+v", other.sum(), a)
		}
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestCancelledPayment: somebody cancels a payment of which nobody knows whether it has
// happened. The other bank takes it back, also when it comes later; or it has spent the
// money, and then somebody has to look.
func TestCancelledPayment(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		moods []mood
		state saga.State
		there int64
	}{
		"it had not":           {[]mood{hanging}, saga.Cancelled, 0},
		"it had":               {[]mood{slow, failing, hanging}, saga.Cancelled, 0},
		"it had, and is spent": {[]mood{slow, toNoReturn}, saga.Parked, 100},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				log, other := eventlogtest.New(t), newOtherBank(c.moods...)
				defer other.close()
				do(t, log, open(ada, 100), abroad(100).Start)
				ctx, stop := context.WithCancel(t.Context())
				ended := make(chan error)
				go func() { ended <- (&outbox.Runner{Log: log, Handlers: over(other.client())}).Run(ctx) }()
				time.Sleep(5 * time.Second) // in the middle of the first request
				do(t, log, func(tx *eventlog.Tx) error {
					return outbox.Enqueue(tx, saga.Cancel{Saga: "payment", ID: "abroad", By: "ann"})
				})
				time.Sleep(10 * time.Minute)
				stop()
				if err := <-ended; err != nil {
					t.Error(err)
				}
				st, err := bank.Payments.Status(t.Context(), log, "abroad")
				if err != nil || st.State != c.state {
					t.Errorf("%+v, %v", st, err)
				}
				if here, held := balance(t, log, "ada", "EUR"), balance(t, log, "Bank:Suspense", "EUR"); other.sum() != c.there || here+c.there != 100 || held != c.there {
					t.Errorf("ada has %d, in suspense are %d, the other bank has %d", here, held, other.sum())
				}
			})
		})
	}
}

func TestPaymentRefused(t *testing.T) {
	t.Parallel()
	log := eventlogtest.New(t)
	for name, c := range map[string]struct {
		change func(*bank.Payment)
		want   error
	}{
		"no amount":    {func(p *bank.Payment) { p.Amount = 0 }, bank.ErrAmount},
		"no account":   {func(p *bank.Payment) { p.To = "" }, bank.ErrName},
		"no payer":     {func(p *bank.Payment) { p.From = "\x00" }, bank.ErrName},
		"no bank":      {func(p *bank.Payment) { p.Bank = "" }, bank.ErrAddress},
		"a file":       {func(p *bank.Payment) { p.Bank = "file:///etc/passwd" }, bank.ErrAddress},
		"a path":       {func(p *bank.Payment) { p.Bank = "http:/payments" }, bank.ErrAddress},
		"not a URL":    {func(p *bank.Payment) { p.Bank = "http://[::1" }, bank.ErrAddress},
		"other amount": {func(p *bank.Payment) { p.Amount++ }, eventlog.ErrIDReused},
	} {
		p := abroad(5)
		if c.want == eventlog.ErrIDReused {
			do(t, log, p.Start)
		}
		c.change(&p)
		if _, err := log.Update(context.Background(), p.Start); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}
