//go:build !race

package bank_test

const (
	manyAccounts = 10_000
	raceEnabled  = false
)
