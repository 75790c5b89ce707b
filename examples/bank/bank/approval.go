package bank

import (
	"fmt"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/outbox"
	"github.com/rollforward/rollforward/saga"
)

// ApprovalTime is how long a transfer above the payer's limit waits for a person.
// Then it goes back.
const ApprovalTime = 24 * time.Hour

// A Decision is what a person says to a transfer that waits for approval.
type Decision struct {
	Approved bool   `json:"approved"`
	By       string `json:"by"`
	Reason   string `json:"reason,omitempty"`
}

// Decide tells a transfer what a person decided. The first decision counts, also
// one that comes before the transfer waits for it. To a transfer that does not
// ask it makes no difference, nor to one that has ended.
func Decide(tx *eventlog.Tx, transfer string, d Decision) error {
	if err := checkText("name of who decides", d.By); err != nil {
		return err
	}
	return outbox.Enqueue(tx, saga.Signal{Saga: Transfers.Name, ID: transfer, Name: "decision", Dedup: "decision", Data: d})
}

// decide takes a decision in. One that says no refuses the step.
func (t *Transfer) decide(d Decision) error {
	t.Decision = &d
	if d.Approved {
		return nil
	}
	err := fmt.Errorf("%w: refused by %s", ErrNotApproved, d.By)
	if d.Reason != "" {
		err = fmt.Errorf("%w: %s", err, d.Reason)
	}
	return err
}

// Waiting reports whether a transfer waits for a decision.
func Waiting(st saga.Status[Transfer]) bool { return st.State == saga.Running && st.Signal != "" }
