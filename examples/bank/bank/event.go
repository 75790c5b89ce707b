package bank

// The events of an account. Their stored names are written by hand: a Go type
// may be renamed, what is in the log may not.

// AccountOpened begins an account.
type AccountOpened struct {
	Kind Kind `json:"kind"`
}

// Posted adds an amount to an account's balance, or takes it away. It says what
// it belongs to: postings of one transaction, of one saga, or (when they name
// neither) of one commit sum to zero in every currency.
type Posted struct {
	Amount      int64  `json:"amount"`                // minor units
	Transaction string `json:"transaction,omitempty"` // id in imported books
	Saga        string `json:"saga,omitempty"`        // transfer/ID, fee/TRANSFER, payment/ID, interest/MONTH/CURRENCY/ACCOUNT
	Date        Date   `json:"date,omitempty"`        // from which on it counts; empty: the day of the commit
	Description string `json:"description,omitempty"`
}

// TermsAgreed replaces what was agreed with the owner of an account before.
type TermsAgreed struct {
	Terms
}

// AccountFrozen stops an account, AccountThawed lets it go on.
type (
	AccountFrozen struct{}
	AccountThawed struct{}
)

// AccountClosed ends an account.
type AccountClosed struct{}

// TransactionRecorded is the only event of a stream transaction/ID. It stands in
// the same commit as the postings of that transaction, so whoever finds it
// knows that they happened, and what they were.
type TransactionRecorded struct {
	Hash     string `json:"hash"` // of the content, see Transaction.Hash
	Postings int    `json:"postings"`
}

func (AccountOpened) EventType() string       { return "bank.account_opened" }
func (Posted) EventType() string              { return "bank.posted" }
func (TermsAgreed) EventType() string         { return "bank.terms_agreed" }
func (AccountFrozen) EventType() string       { return "bank.account_frozen" }
func (AccountThawed) EventType() string       { return "bank.account_thawed" }
func (AccountClosed) EventType() string       { return "bank.account_closed" }
func (TransactionRecorded) EventType() string { return "bank.transaction_recorded" }
