package bank

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/outbox"
	"github.com/rollforward/rollforward/saga"
)

// Payment moves money from an account to one at another bank. It is the input of a
// saga, and what its steps share.
type Payment struct {
	ID       string `json:"id"`
	From     string `json:"from"`
	Bank     string `json:"bank"` // address where it takes payments, an http URL
	To       string `json:"to"`   // account there
	Currency string `json:"currency"`
	Amount   int64  `json:"amount"`

	Receipt string `json:"receipt,omitempty"` // what the other bank answered
}

func (p *Payment) from() AccountID { return AccountID{p.From, p.Currency} }
func (p *Payment) ref() string     { return "payment/" + p.ID }

func (p *Payment) posting(what string) Posted {
	return Posted{Amount: p.Amount, Saga: p.ref(), Description: what + " to " + p.To}
}

// Payments is the saga: the money goes to the suspense account, the other bank is
// told, and when it has accepted the money is its own. While it does not answer the
// money stays in suspense, and it is asked again, always with the same key: it may
// have accepted already. Only when it refuses for good the money goes back.
//
// Here both sides of a posting are in one commit. So money of payments is in some
// account at every moment.
var Payments = NewPayments(http.DefaultClient)

// NewPayments returns Payments that reach other banks through a client.
func NewPayments(client *http.Client) *saga.Saga[Payment] {
	client = straight(client)
	return &saga.Saga[Payment]{Name: "payment", Version: 1, Steps: saga.Steps[Payment]{{
		Name: "hold",
		On:   func(p *Payment) string { return p.from().Stream() },
		Do: func(tx *eventlog.Tx, p *Payment) error {
			return final(move(tx, p.from(), Suspense(p.Currency), p.posting("payment")))
		},
		Undo:   release,
		Policy: patient,
	}, {
		Name: "send",
		Call: func(ctx context.Context, key string, p *Payment) error {
			receipt, err := send(ctx, client, key, p)
			p.Receipt = receipt
			return final(err)
		},
		Recall: func(ctx context.Context, key string, p *Payment) error {
			return final(recall(ctx, client, key, p))
		},
		Policy: outbox.Policy{Attempts: -1, Timeout: answerTime, Backoff: time.Second, MaxBackoff: time.Minute},
	}, {
		Name: "settle", // behind it nothing is refused any more: the other bank has accepted
		On:   func(p *Payment) string { return Suspense(p.Currency).Stream() },
		Do: func(tx *eventlog.Tx, p *Payment) error {
			return move(tx, Suspense(p.Currency), OtherBanks(p.Currency), p.posting("payment"))
		},
		Policy: patient,
	}}}
}

// release takes money out of suspense and gives it back.
func release(tx *eventlog.Tx, p *Payment) error {
	out, in := p.posting("refund of the payment"), p.posting("refund of the payment")
	out.Amount = -p.Amount
	if err := post(tx, Suspense(p.Currency), out); err != nil {
		return err
	}
	return giveBack(tx, p.from(), in)
}

// Start starts the payment with the transaction. Started again with the same content
// nothing happens; with other content under the same id it is refused with
// eventlog.ErrIDReused.
func (p Payment) Start(tx *eventlog.Tx) error {
	if err := p.check(); err != nil {
		return fmt.Errorf("payment %s: %w", p.ID, err)
	}
	p.Receipt = ""
	return Payments.Start(tx, p.ID, p)
}

func (p *Payment) check() error {
	if p.Amount <= 0 {
		return fmt.Errorf("%w: %d", ErrAmount, p.Amount)
	}
	return errors.Join(checkText("id", p.ID), p.from().check(), checkText("account there", p.To), checkAddress(p.Bank))
}
