//go:build race

package sagatest

const raceEnabled = true
