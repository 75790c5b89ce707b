package projector

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rollforward/rollforward/internal/cli"
	"github.com/rollforward/rollforward/projection/sqlsink"
)

const childVariable = "PROJECTOR_TEST_CHILD"

// TestMain lets the test binary be the projector that is killed: it writes a
// line for each event that it handles.
func TestMain(m *testing.M) {
	if os.Getenv(childVariable) == "" {
		os.Exit(m.Run())
	}
	cli.Main(newCommand(Options{Projections: []sqlsink.Projection{postings(func() { fmt.Println("handled") })}}))
}

// A projector that is killed at any moment, again and again, applies each event
// once.
func TestKilled(t *testing.T) {
	t.Parallel()
	kills := 6
	if os.Getenv("ROLLFORWARD_SOAK") != "" {
		kills = 200
	}
	const events = 1500
	dir := newDir(t, events)
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	for range kills {
		killAfter(t, dir, random.IntN(events/4))
	}
	must(t, "rebuild", "count", "--log", dir) // leaves postings alone
	runUntil(t, "up to date", func() {}, "--log", dir)
	fresh := filepath.Join(t.TempDir(), "fresh.db")
	must(t, "rebuild", "postings", "--log", dir, "--db", fresh)
	want, got := rows(t, fresh), rows(t, filepath.Join(dir, name))
	if got != want || strings.Count(want, "\n") != events {
		t.Errorf("seed %d: the read model has %d rows, rebuilt %d, want %d", seed, strings.Count(got, "\n"), strings.Count(want, "\n"), events)
	}
}

// killAfter starts a projector and kills it when it has handled n events, or is
// up to date.
func killAfter(t *testing.T, dir string, n int) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "--log", dir)
	cmd.Env = append(os.Environ(), childVariable+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr := listenFor("up to date")
	cmd.Stderr = stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	handled := make(chan struct{})
	go func() {
		defer close(handled)
		lines := bufio.NewScanner(out)
		for range n + 1 {
			if !lines.Scan() {
				return
			}
		}
	}()
	select {
	case <-handled:
	case <-stderr.heard:
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-handled
	if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Fatalf("the projector ended by itself: %v: %s", err, stderr)
	}
}
