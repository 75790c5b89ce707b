// Package race tells tests whether they run with the race detector, which makes some of
// them take minutes.
package race
