//go:build !race

package remotelog

const raceEnabled = false
