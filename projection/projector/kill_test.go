package projector

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
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

// SIGTERM ends a projector after the transactions in hand, with status 0, when
// it waits for more and in the middle of its work.
func TestTerminated(t *testing.T) {
	t.Parallel()
	dir := newDir(t, 400)
	for _, n := range []int{100, 1000} {
		p := startChild(t, dir, n)
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := p.wait(); err != nil {
			t.Errorf("after %d events: %v: %s", n, err, p.stderr)
		}
	}
	if got := rows(t, filepath.Join(dir, name)); strings.Count(got, "\n") != 400 {
		t.Errorf("the read model has %d rows, want 400", strings.Count(got, "\n"))
	}
}

// killAfter starts a projector and kills it when it has handled n events, or is
// up to date.
func killAfter(t *testing.T, dir string, n int) {
	t.Helper()
	p := startChild(t, dir, n)
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := p.wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Fatalf("the projector ended by itself: %v: %s", err, p.stderr)
	}
}

// A child is a projector in a process of its own.
type child struct {
	cmd    *exec.Cmd
	stderr *listener
	read   chan struct{} // closed when its output was read to the end
}

// startChild starts a projector and returns when it has handled n events, or is
// up to date.
func startChild(t *testing.T, dir string, n int) *child {
	t.Helper()
	p := &child{cmd: exec.Command(os.Args[0], "--log", dir), stderr: listenFor("up to date"), read: make(chan struct{})}
	p.cmd.Env, p.cmd.Stderr = append(os.Environ(), childVariable+"=1"), p.stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	handled := make(chan struct{})
	go func() {
		defer close(p.read)
		lines := bufio.NewScanner(out)
		for i := 0; lines.Scan(); i++ {
			if i == n {
				close(handled)
			}
		}
	}()
	select {
	case <-handled:
	case <-p.stderr.heard:
	case <-p.read:
	}
	return p
}

func (p *child) wait() error {
	<-p.read
	return p.cmd.Wait()
}
