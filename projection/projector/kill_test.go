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
	handled := func() { fmt.Println("handled") }
	if os.Getenv(childVariable) == hanging {
		handled = func() {
			fmt.Println("handled")
			select {}
		}
	}
	cli.Main(newCommand(Options{Projections: []sqlsink.Projection{postings(handled)}}))
}

// hanging is a child whose handlers do not return.
const hanging = "hanging"

// A projector that is killed at any moment, again and again, applies each event
// once.
func TestKilled(t *testing.T) {
	t.Parallel()
	rounds := 1
	if os.Getenv("ROLLFORWARD_SOAK") != "" {
		rounds = 50
	}
	const events, kills = 1500, 6
	dir := newDir(t, events)
	fresh := filepath.Join(t.TempDir(), "fresh.db")
	must(t, "rebuild", "postings", "--log", dir, "--db", fresh)
	want := rows(t, fresh)
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	for round := range rounds {
		db := filepath.Join(t.TempDir(), fmt.Sprint(round, ".db"))
		for range kills {
			killAfter(t, dir, db, random.IntN(events/kills))
		}
		runUntil(t, "up to date", func() {}, "--log", dir, "--db", db)
		if got := rows(t, db); got != want || strings.Count(want, "\n") != events {
			t.Fatalf("seed %d, round %d: the read model has %d rows, rebuilt %d, want %d",
				seed, round, strings.Count(got, "\n"), strings.Count(want, "\n"), events)
		}
	}
}

// SIGTERM ends a projector after the transactions in hand, with status 0, when
// it waits for more and in the middle of its work.
func TestTerminated(t *testing.T) {
	t.Parallel()
	dir, db := newDir(t, 400), filepath.Join(t.TempDir(), "read.db")
	for _, n := range []int{100, 1000} {
		p := startChild(t, dir, db, n)
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := p.wait(); err != nil {
			t.Errorf("after %d events: %v: %s", n, err, p.stderr)
		}
	}
	if got := rows(t, db); strings.Count(got, "\n") != 400 {
		t.Errorf("the read model has %d rows, want 400", strings.Count(got, "\n"))
	}
}

// A second signal ends a projector at once, whatever it does.
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	dir, db := newDir(t, 10), filepath.Join(t.TempDir(), "read.db")
	p := startChildAs(t, hanging, dir, db, 0)
	begin := time.Now()
	for { // the first one may not have been taken yet
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			break // it has ended
		}
		select {
		case <-p.read:
		case <-time.After(10 * time.Millisecond):
			continue
		}
		break
	}
	if err := p.wait(); err == nil || !strings.Contains(err.Error(), "terminated") {
		t.Errorf("it ended with %v: %s", err, p.stderr)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}

// killAfter starts a projector and kills it when it has handled n events, or is
// up to date.
func killAfter(t *testing.T, dir, db string, n int) {
	t.Helper()
	p := startChild(t, dir, db, n)
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
func startChild(t *testing.T, dir, db string, n int) *child {
	t.Helper()
	return startChildAs(t, "plain", dir, db, n)
}

func startChildAs(t *testing.T, kind, dir, db string, n int) *child {
	t.Helper()
	p := &child{cmd: exec.Command(os.Args[0], "--log", dir, "--db", db), stderr: listenFor("up to date"), read: make(chan struct{})}
	p.cmd.Env, p.cmd.Stderr = append(os.Environ(), childVariable+"="+kind), p.stderr
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
