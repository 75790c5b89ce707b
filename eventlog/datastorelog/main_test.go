package datastorelog

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain looks for goroutines that were left behind, those of the servers not
// counted, and keeps random searches short: each of their steps is many calls to
// a server.
func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", "8"); err != nil {
		panic(err)
	}
	flag.Parse()
	status := m.Run()
	http.DefaultClient.CloseIdleConnections()
	if status == 0 {
		if err := goleak.Find(goleak.IgnoreAnyFunction("github.com/rollforward/rollforward/internal/emulator.(*Server).exec.func1")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			status = 1
		}
	}
	os.Exit(status)
}
