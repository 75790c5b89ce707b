package sagarunner

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/pebblelog"
	"github.com/rollforward/rollforward/internal/cli"
	"github.com/rollforward/rollforward/outbox"
	"github.com/rollforward/rollforward/saga"
)

type greeting struct{ To string }

type greeted struct{}

func (greeted) EventType() string { return "test.greeted" }

var greet = saga.Saga[greeting]{Name: "greet", Version: 1, Steps: saga.Steps[greeting]{{
	Name: "greet",
	On:   func(g *greeting) string { return "person/" + g.To },
	Do:   func(tx *eventlog.Tx, g *greeting) error { return tx.Append("person/"+g.To, greeted{}) },
}}}

// TestMain is the command itself where a test starts it as a process.
func TestMain(m *testing.M) {
	if os.Getenv("SAGARUNNER_TEST") == "1" {
		Main(Options{Name: "greeter", Handlers: greet.Handlers()})
	}
	os.Exit(m.Run())
}

// newLog makes a log in which a saga waits to be run.
func newLog(t *testing.T) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "log")
	l := open(t, dir)
	_, err := l.Update(t.Context(), func(tx *eventlog.Tx) error { return greet.Start(tx, "1", greeting{"ann"}) })
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func open(t *testing.T, dir string) *eventlog.Log {
	t.Helper()
	d, err := pebblelog.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	l, err := eventlog.Open(t.Context(), d, nil)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func state(t *testing.T, dir string) saga.State {
	t.Helper()
	l := open(t, dir)
	defer l.Close()
	if err := eventlog.Check(t.Context(), l); err != nil {
		t.Error(err)
	}
	st, err := greet.Status(t.Context(), l, "1")
	if err != nil {
		t.Fatal(err)
	}
	return st.State
}

// run runs the command in this process.
func run(t *testing.T, ctx context.Context, o Options, args ...string) (status int, stderr string) {
	t.Helper()
	var out bytes.Buffer
	cmd := newCommand(o)
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	return cli.Run(ctx, cmd, args), out.String()
}

func TestDrain(t *testing.T) {
	dir := newLog(t)
	t.Setenv("EVENTLOG_LOG", dir)
	if status, stderr := run(t, t.Context(), Options{Handlers: greet.Handlers()}, "--drain"); status != 0 {
		t.Errorf("status %d: %s", status, stderr)
	}
	if s := state(t, dir); s != saga.Completed {
		t.Errorf("the saga is %s", s)
	}
}

func TestExitStatus(t *testing.T) {
	t.Parallel()
	dir := newLog(t)
	tests := map[string]struct {
		options Options
		args    []string
		status  int
		says    string
	}{
		"no log named":     {Options{}, nil, 2, "--log"},
		"an unknown flag":  {Options{}, []string{"--log", dir, "--no"}, 2, "--no"},
		"an argument":      {Options{}, []string{"--log", dir, "x"}, 2, "x"},
		"no such log":      {Options{}, []string{"--log", dir + "x"}, 1, dir + "x"},
		"invalid handlers": {Options{Handlers: []outbox.Handler{{}}}, []string{"--log", dir}, 1, "handler 0"},
		"help":             {Options{}, []string{"--help"}, 0, "forward"},
	}
	for name, test := range tests {
		status, stderr := run(t, t.Context(), test.options, test.args...)
		if status != test.status || !strings.Contains(stderr, test.says) {
			t.Errorf("%s: status %d, want %d: %s", name, status, test.status, stderr)
		}
	}
}

// TestSIGTERM ends the process after the work in hand, with status 0.
func TestSIGTERM(t *testing.T) {
	t.Parallel()
	dir := newLog(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, "--log", dir)
	cmd.Env = append(os.Environ(), "SAGARUNNER_TEST=1")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stderr)
	if !lines.Scan() || !strings.Contains(lines.Text(), "greeter: running") {
		t.Errorf("says %q", lines.Text())
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	last := ""
	for lines.Scan() {
		last = lines.Text()
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v: %s", err, last)
	}
	if !strings.Contains(last, "greeter: stopped") {
		t.Errorf("says %q at last", last)
	}
	if status, stderr := run(t, t.Context(), Options{Handlers: greet.Handlers()}, "--log", dir, "--drain"); status != 0 {
		t.Errorf("status %d: %s", status, stderr) // the log was given back
	}
	if s := state(t, dir); s != saga.Completed {
		t.Errorf("the saga is %s", s)
	}
}
