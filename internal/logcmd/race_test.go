//go:build race

package logcmd

// With the race detector each start of the program takes long: only the scripts
// in which goroutines work side by side.
func init() {
	scripts = []string{"testdata/follow.txtar", "testdata/transfer.txtar", "testdata/bench.txtar"}
}
