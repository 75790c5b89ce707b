// Package drivertest says what a driver of the event log must do, as tests, and
// makes drivers fail on purpose.
package drivertest
