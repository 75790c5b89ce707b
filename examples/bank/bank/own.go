package bank

import "slices"

// The bank's own accounts. They are books, opened on first use, and no customer's;
// nobody freezes or closes them.

// Cash returns the counter account of deposits and withdrawals in a currency.
// Because every posting has its counterpart, a currency's accounts sum to zero.
func Cash(currency string) AccountID { return AccountID{"Equity:Cash", currency} }

// FeeIncome returns the account that fees are credited to.
func FeeIncome(currency string) AccountID { return AccountID{"Bank:Fees", currency} }

// InterestPaid returns the counter account of interest.
func InterestPaid(currency string) AccountID { return AccountID{"Bank:Interest", currency} }

// Suspense returns the account that holds the money of payments under way.
func Suspense(currency string) AccountID { return AccountID{"Bank:Suspense", currency} }

// OtherBanks returns the account of what other banks got from this one.
func OtherBanks(currency string) AccountID { return AccountID{"Bank:Other banks", currency} }

// Own reports whether an account is one of them.
func Own(id AccountID) bool {
	c := id.Currency
	return slices.Contains([]AccountID{Cash(c), FeeIncome(c), InterestPaid(c), Suspense(c), OtherBanks(c)}, id)
}
