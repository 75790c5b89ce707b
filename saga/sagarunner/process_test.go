package sagarunner

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/lease"
	"github.com/rollforward/rollforward/outbox"
)

const modeVariable = "SAGARUNNER_TEST"

// TestMain is the command itself where a test starts it as a process.
func TestMain(m *testing.M) {
	if mode := os.Getenv(modeVariable); mode != "" {
		Main(Options{Name: "worker", Handlers: []outbox.Handler{working(mode)}})
	}
	os.Exit(m.Run())
}

// work is a step of the processes.
type work struct {
	To string
	N  int
}

func (work) StepType() string { return "test.work" }
func (w work) Target() string { return w.To }

type worked struct{ N int }

func (worked) EventType() string { return "test.worked" }

// working does work, after it has said so on standard output.
func working(mode string) outbox.Handler {
	return outbox.On(func(tx *eventlog.Tx, w work) error {
		fmt.Println("begun", w.N)
		wait := time.Millisecond
		switch mode {
		case "slow":
			wait = 500 * time.Millisecond
		case "patient": // until it is told to stop
			<-tx.Context().Done()
		case "stuck":
			select {}
		}
		select {
		case <-time.After(wait):
			return tx.Append(w.To, worked{w.N})
		case <-tx.Context().Done():
			return tx.Context().Err()
		}
	}, nil)
}

// works enqueues n steps for so many targets.
func works(n, targets int) func(tx *eventlog.Tx) error {
	return func(tx *eventlog.Tx) error {
		for i := range n {
			if err := outbox.Enqueue(tx, work{fmt.Sprintf("w/%d", i%targets), i}); err != nil {
				return err
			}
		}
		return nil
	}
}

// A process is a runner in a process of its own.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	begun  chan string // lines of its output
	stderr listener
}

// startProcess starts one. What lasts longer than the context is killed, and the
// test fails.
func startProcess(t *testing.T, ctx context.Context, mode string, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.CommandContext(ctx, os.Args[0], args...), begun: make(chan string)}
	p.stderr.text, p.stderr.heard = ": stopping", make(chan struct{})
	p.cmd.Env, p.cmd.Stderr = append(os.Environ(), modeVariable+"="+mode), &p.stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.begun)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			p.begun <- lines.Text()
		}
		_, _ = io.Copy(io.Discard, out)
	}()
	return p
}

// waitFor returns when n steps have begun.
func (p *process) waitFor(n int) {
	p.t.Helper()
	for range n {
		if _, ok := <-p.begun; !ok {
			p.t.Fatalf("it ended: %v: %s", p.cmd.Wait(), &p.stderr)
		}
	}
}

func (p *process) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// wait waits for the end and returns the exit status, with what was said.
func (p *process) wait() (status int, stderr string) {
	for range p.begun {
	}
	err := p.cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		p.t.Fatal(err)
	}
	return p.cmd.ProcessState.ExitCode(), p.stderr.String()
}

// A listener keeps what is written, and says when it heard a text.
type listener struct {
	text  string
	mu    sync.Mutex
	buf   bytes.Buffer
	heard chan struct{}
	once  sync.Once
}

func (l *listener) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, err := l.buf.Write(p)
	if bytes.Contains(l.buf.Bytes(), []byte(l.text)) {
		l.once.Do(func() { close(l.heard) })
	}
	return n, err
}

func (l *listener) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// within is how long a test lets processes take that take moments: less than the
// leases that would keep them waiting.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// longLease is what nobody waits for in a test.
var longLease = []string{"--sweep", "100ms", "--lease", "10m"}

// free expects that nobody holds a lease: also where a log's store has room for
// many processes, the next one need not wait.
func free(t *testing.T, dir string) {
	t.Helper()
	look(t, dir, func(l *eventlog.Log) {
		list, err := lease.Leases(t.Context(), l, "$steps", l.Shards())
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range list {
			if s.Epoch == 0 || s.Runner != "" {
				t.Errorf("lease %+v", s)
			}
		}
	})
}

func count(t *testing.T, dir string) (done, pending int) {
	t.Helper()
	look(t, dir, func(l *eventlog.Log) {
		seen := make(map[int]bool)
		for r, err := range l.Read(t.Context(), eventlog.Query{Category: "w"}) {
			var w worked
			if err == nil {
				err = r.Decode(&w)
			}
			if err != nil {
				t.Fatal(err)
			}
			if seen[w.N] {
				t.Errorf("step %d had its effect twice", w.N)
			}
			seen[w.N] = true
		}
		done = len(seen)
		for i, err := range outbox.Pending(t.Context(), l) {
			if err != nil {
				t.Fatal(err)
			}
			if pending++; i.Attempts > 0 {
				t.Errorf("an attempt was counted: %+v", i)
			}
		}
	})
	return done, pending
}
