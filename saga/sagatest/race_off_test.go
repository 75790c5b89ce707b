//go:build !race

package sagatest

const raceEnabled = false
