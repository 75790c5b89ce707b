package remotelog

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain fails when a test leaves a goroutine behind. When a test starts this
// binary as a process of its own, it is that process.
func TestMain(m *testing.M) {
	if work, ok := processes[os.Getenv(processVariable)]; ok {
		if err := work(os.Args[1:]); err != nil {
			os.Stderr.WriteString(err.Error() + "\n")
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}
