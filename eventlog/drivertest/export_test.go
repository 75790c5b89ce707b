package drivertest

import "time"

// SetPatience shortens the wait for drivers that hang for certain.
func SetPatience(d time.Duration) { patience = d }

// Promises returns the names of all tests of the suite.
func Promises() []string {
	names := []string{"Model"}
	for _, p := range promises() {
		names = append(names, p.name)
	}
	for _, p := range movePromises {
		names = append(names, p.name)
	}
	for _, p := range handlePromises {
		names = append(names, p.name)
	}
	return names
}
