package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rollforward/rollforward/internal/cli"
)

func TestLoad(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	log, acks := filepath.Join(dir, "log"), filepath.Join(dir, "acks")
	var total int
	for range 2 {
		var r result
		out := must(t, at(log, "load", "--clients", "8", "--accounts", "30", "--duration", "200ms", "--acks", acks, "-o", "json")...)
		if err := json.Unmarshal([]byte(out), &r); err != nil {
			t.Fatal(err)
		}
		if r.Started == 0 || r.Completed == 0 || r.Started != r.Completed+r.Refunded+r.Refused || r.PerSecond <= 0 || r.P50 > r.P99 {
			t.Errorf("load: %+v", r)
		}
		total += r.Started
	}
	if n := strings.Count(read(t, acks), "\n"); n != total {
		t.Errorf("%d ids are in the file, %d transfers were made", n, total)
	}
	var a struct{ Transfers, Acknowledged int }
	if err := json.Unmarshal([]byte(must(t, at(log, "audit", "--acks", acks, "-o", "json")...)), &a); err != nil {
		t.Fatal(err)
	}
	if a.Transfers != total || a.Acknowledged != total {
		t.Errorf("audit: %+v, want %d", a, total)
	}
	writeFile(t, acks, read(t, acks)+"LOST\ntorn")
	o := runBank(at(log, "audit", "--acks", acks)...)
	if o.status != cli.Failed || !strings.Contains(o.out, "transfer LOST was acknowledged and is lost") ||
		strings.Contains(o.out, "torn") || !strings.Contains(o.errOut, "problems were found: 1") {
		t.Errorf("%+v", o)
	}
}

// rounds is how often a process is killed.
func rounds() int {
	if os.Getenv("ROLLFORWARD_SOAK") != "" {
		return 50
	}
	return 3
}

// process is this binary as one of the bank's commands.
func process(command string, args ...string) (*exec.Cmd, *bytes.Buffer) {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), "BANK_TEST_COMMAND="+command)
	errOut := new(bytes.Buffer)
	cmd.Stderr = errOut
	return cmd, errOut
}

// awaitAcks returns when a running load has so many acknowledgements in its file,
// with what will say how it ended.
func awaitAcks(t *testing.T, cmd *exec.Cmd, stderr *bytes.Buffer, acks string, n int) (over chan error) {
	t.Helper()
	over = make(chan error, 1)
	go func() { over <- cmd.Wait() }()
	for tick := time.Tick(time.Millisecond); ; {
		if text, err := os.ReadFile(acks); err == nil && bytes.Count(text, []byte("\n")) >= n {
			return over
		}
		select {
		case <-tick:
		case err := <-over:
			t.Fatalf("load ended by itself: %v\n%s", err, stderr)
		}
	}
}

// TestKilledLoad kills load at random moments, again and again on one log. Every
// transfer that it acknowledged is there, every transfer that it started comes to
// its end, and no money is lost.
func TestKilledLoad(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	log, acks := filepath.Join(dir, "log"), filepath.Join(dir, "acks")
	must(t, at(log, "load", "--clients", "1", "--duration", "0s", "--acks", acks)...)
	for round := range rounds() {
		before := strings.Count(read(t, acks), "\n")
		more := rand.IntN(200)
		cmd, stderr := process("bank", at(log, "load", "--clients", "16", "--duration", "5m", "--acks", acks)...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		over := awaitAcks(t, cmd, stderr, acks, before+more)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		<-over
		o := runBank(at(log, "audit", "--acks", acks)...)
		if o.status != cli.OK {
			t.Fatalf("round %d, killed after %d acknowledgements: exit status %d\n%s%s", round, more, o.status, o.out, o.errOut)
		}
	}
	// What the kills left waiting for approval, the next load decides on.
	must(t, at(log, "load", "--clients", "1", "--duration", "0s")...)
	var a struct{ Transfers, Completed, Refunded, Waiting, Fees, Executions int }
	if err := json.Unmarshal([]byte(must(t, at(log, "audit", "--acks", acks, "-o", "json")...)), &a); err != nil {
		t.Fatal(err)
	}
	if a.Waiting > 0 || a.Transfers != a.Completed+a.Refunded || rounds() > 10 && (a.Fees == 0 || a.Executions == 0) {
		t.Errorf("audit: %+v", a)
	}
}

// TestKilledImport kills an import while it waits for the rest of its file. The
// import of the whole file goes on, and the result is the same as at once.
func TestKilledImport(t *testing.T) {
	t.Parallel()
	var books strings.Builder
	books.WriteString(header)
	for i := range 1000 {
		fmt.Fprintf(&books, "t%d,2024-01-01,coffee,Expenses:%d,%d,EUR\nt%d,2024-01-01,coffee,Assets:%d,-%d,EUR\n", i, i%7, i, i, i%5, i)
	}
	dir, text := t.TempDir(), books.String()
	log, once, file := filepath.Join(dir, "log"), filepath.Join(dir, "once"), filepath.Join(dir, "books.csv")
	writeFile(t, file, text)
	for range rounds() {
		cmd, stderr := process("bank", at(log, "import", "-")...)
		stdin, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// The pipe holds little: when this returns, the import is in the middle.
		if _, err := io.WriteString(stdin, text[:rand.IntN(len(text))]); err != nil {
			t.Fatalf("%v\n%s", err, stderr)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err == nil {
			t.Fatal("the import ended by itself")
		}
	}
	must(t, at(log, "import", file)...)
	must(t, at(once, "import", file)...)
	if diff := cmp.Diff(must(t, at(once, "balances", "-o", "csv")...), must(t, at(log, "balances", "-o", "csv")...)); diff != "" {
		t.Errorf("balances (-want +got)\n%s", diff)
	}
	must(t, at(log, "audit")...)
}

// TestTerminatedLoad: SIGTERM ends the starting of transfers, not the transfers.
func TestTerminatedLoad(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	log, acks := filepath.Join(dir, "log"), filepath.Join(dir, "acks")
	cmd, stderr := process("bank", at(log, "load", "--clients", "8", "--duration", "5m", "--acks", acks)...)
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	over := awaitAcks(t, cmd, stderr, acks, 20)
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := <-over; err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	n := strings.Count(read(t, acks), "\n")
	if words := strings.Fields(out.String()); len(words) < 2 || words[0] != "transfers" || words[1] != cli.Count(int64(n)) {
		t.Errorf("load says %q, want %d transfers", &out, n)
	}
	must(t, at(log, "audit", "--acks", acks)...)
}
