//go:build race

package bank_test

const (
	manyAccounts = 1_000
	raceEnabled  = true
)
