package sagarunner

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
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

// newLog makes a log and has fn write to it.
func newLog(t *testing.T, fn func(tx *eventlog.Tx) error) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "log")
	l := open(t, dir)
	if _, err := l.Update(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// start starts the saga that waits to be run.
func start(tx *eventlog.Tx) error { return greet.Start(tx, "1", greeting{"ann"}) }

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

// look looks at a log, whose integrity it checks.
func look(t *testing.T, dir string, fn func(l *eventlog.Log)) {
	t.Helper()
	l := open(t, dir)
	fn(l)
	if err := eventlog.Check(t.Context(), l); err != nil {
		t.Error(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

func state(t *testing.T, dir string) (state saga.State) {
	t.Helper()
	look(t, dir, func(l *eventlog.Log) {
		st, err := greet.Status(t.Context(), l, "1")
		if err != nil {
			t.Fatal(err)
		}
		state = st.State
	})
	return state
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
	dir := newLog(t, start)
	t.Setenv("EVENTLOG_LOG", dir)
	t.Setenv("EVENTLOG_DRAIN", "true")
	if status, stderr := run(t, t.Context(), Options{Handlers: greet.Handlers()}); status != 0 {
		t.Errorf("status %d: %s", status, stderr)
	}
	if s := state(t, dir); s != saga.Completed {
		t.Errorf("the saga is %s", s)
	}
}

func TestExitStatus(t *testing.T) {
	t.Parallel()
	dir := newLog(t, start)
	for name, test := range map[string]struct {
		options Options
		args    []string
		status  int
		says    string
	}{
		"no log named":       {Options{}, nil, 2, "--log"},
		"an unknown flag":    {Options{}, []string{"--log", dir, "--no"}, 2, "--no"},
		"an argument":        {Options{}, []string{"--log", dir, "x"}, 2, "x"},
		"no such log":        {Options{}, []string{"--log", dir + "x"}, 1, dir + "x"},
		"invalid handlers":   {Options{Handlers: []outbox.Handler{{}}}, []string{"--log", dir}, 1, "handler 0"},
		"help":               {Options{}, []string{"--help"}, 0, "forward"},
		"help of variables":  {Options{}, []string{"--help"}, 0, "[EVENTLOG_READ_AHEAD] (default 4096)"},
		"no batch":           {Options{}, []string{"--log", dir, "--batch", "0"}, 2, "--batch is 0: want more than 0"},
		"a negative sweep":   {Options{}, []string{"--log", dir, "--sweep", "-1s"}, 2, "--sweep is -1s"},
		"no grace":           {Options{}, []string{"--log", dir, "--grace", "0"}, 2, "--grace is 0s"},
		"an absurd batch":    {Options{}, []string{"--log", dir, "--batch", "1000000"}, 2, "option Batch is 1000000: 1 to 10000"},
		"a tiny read-ahead":  {Options{}, []string{"--log", dir, "--read-ahead", "1"}, 2, "option ReadAhead is 1"},
		"a short lease":      {Options{}, []string{"--log", dir, "--sweep", "10s", "--lease", "11s"}, 2, "option Lease is 11s"},
		"an absurd lease":    {Options{}, []string{"--log", dir, "--lease", "1000h"}, 2, "option Lease is 1000h"},
		"targets":            {Options{}, []string{"--log", dir, "--targets", "many"}, 2, "--targets"},
		"an absurd address":  {Options{}, []string{"--log", dir, "--listen", "9464"}, 1, "cannot listen on 9464"},
		"a strange format":   {Options{}, []string{"--log", dir, "--log-format", "xml"}, 2, "want one of text, json"},
		"a strange level":    {Options{}, []string{"--log", dir, "--log-level", "loud"}, 2, "want one of debug"},
		"errors for machine": {Options{}, []string{"--log", dir + "x", "--log-format", "json"}, 1, `"msg":"sagarunner: failed"`},
	} {
		status, stderr := run(t, t.Context(), test.options, test.args...)
		if status != test.status || !strings.Contains(stderr, test.says) {
			t.Errorf("%s: status %d, want %d: %s", name, status, test.status, stderr)
		}
	}
}

// What is wrong in a variable is named.
func TestVariables(t *testing.T) {
	dir := newLog(t, start)
	for variable, value := range map[string]string{"EVENTLOG_SWEEP": "soon", "EVENTLOG_BATCH": "1e3", "EVENTLOG_DRAIN": "perhaps", "EVENTLOG_LOG_LEVEL": "loud"} {
		t.Setenv(variable, value)
		status, stderr := run(t, t.Context(), Options{}, "--log", dir)
		if status != 2 || !strings.Contains(stderr, "the variable "+variable+` is "`+value+`": `) {
			t.Errorf("%s=%s: status %d: %s", variable, value, status, stderr)
		}
		t.Setenv(variable, "")
	}
	t.Setenv("EVENTLOG_READ_AHEAD", "7")
	if status, stderr := run(t, t.Context(), Options{}, "--log", dir); status != 2 || !strings.Contains(stderr, "option ReadAhead is 7") {
		t.Errorf("status %d: %s", status, stderr)
	}
	if status, stderr := run(t, t.Context(), Options{}, "--log", dir, "--drain", "--read-ahead", "8"); status != 0 {
		t.Errorf("status %d: %s", status, stderr)
	}
}

// TestBeside: what the process does with the log beside its steps starts when they do, and
// each ends with the other.
func TestBeside(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		beside func(ctx context.Context, stop func()) error
		status int
		want   string
	}{
		"ends":       {func(context.Context, func()) error { return nil }, 0, ""},
		"fails":      {func(context.Context, func()) error { return errors.New("port taken") }, 1, "port taken"},
		"is ended":   {func(ctx context.Context, stop func()) error { stop(); <-ctx.Done(); return ctx.Err() }, 0, ""},
		"ends badly": {func(ctx context.Context, stop func()) error { stop(); <-ctx.Done(); return errors.New("half a page") }, 1, "half a page"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := newLog(t, func(*eventlog.Tx) error { return nil })
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			status, stderr := run(t, ctx, Options{Handlers: greet.Handlers(), Beside: func(ctx context.Context, l *eventlog.Log) error {
				if _, err := l.Update(ctx, start); err != nil {
					return err
				}
				if st, err := greet.Await(ctx, l, "1"); err != nil || st.State != saga.Completed {
					return fmt.Errorf("%v, %w", st.State, err)
				}
				return c.beside(ctx, stop)
			}}, "--log", dir)
			if status != c.status || !strings.Contains(stderr, c.want) {
				t.Errorf("status %d: %s", status, stderr)
			}
		})
	}
}
