package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/internal/cli"
)

// idle is work that ends with its context.
func idle(ctx context.Context, _ *Daemon) error {
	<-ctx.Done()
	return nil
}

// never is work that must not begin.
func never(t *testing.T) func(context.Context, *Daemon) error {
	return func(context.Context, *Daemon) error {
		t.Error("the work has begun")
		return nil
	}
}

// A listener that cannot be opened is told at once, before anything is done.
func TestCannotListen(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for addr, says := range map[string]string{
		taken.Addr().String(): "address already in use",
		"9464":                "missing port",
		"127.0.0.1:x":         "unknown port",
		"256.0.0.1:0":         "cannot listen on 256.0.0.1:0",
	} {
		var stderr stream
		status := command(t.Context(), &stderr, never(t), "--listen", addr)
		if got := stderr.String(); status != cli.Failed || !strings.Contains(got, "worker: cannot listen on "+addr+" (--listen, EVENTLOG_LISTEN): ") || !strings.Contains(got, says) {
			t.Errorf("%s: status %d: %s", addr, status, got)
		}
	}
}

func TestMisuse(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--log-format", "xml"}, {"--listen"}, {"more"}} {
		var stderr stream
		if status := command(t.Context(), &stderr, never(t), args...); status != cli.Misused {
			t.Errorf("%v: status %d: %s", args, status, &stderr)
		}
	}
}

// Variables count where flags are not given, and only there.
func TestVariables(t *testing.T) {
	addr := func(args ...string) (addr, log string) {
		var stderr stream
		status := command(t.Context(), &stderr, func(_ context.Context, d *Daemon) error {
			addr = d.Addr
			d.Logger.Info("hello", "n", 1)
			return nil
		}, args...)
		if status != cli.OK {
			t.Errorf("%v: status %d: %s", args, status, &stderr)
		}
		return addr, stderr.String()
	}
	t.Setenv("EVENTLOG_LISTEN", "")
	t.Setenv("EVENTLOG_LOG_FORMAT", "")
	if a, log := addr(); a != "" || !strings.Contains(log, "level=INFO msg=hello n=1") || strings.Contains(log, "listening") {
		t.Errorf("nothing given: listens on %q: %s", a, log)
	}
	t.Setenv("EVENTLOG_LISTEN", "127.0.0.1:0")
	t.Setenv("EVENTLOG_LOG_FORMAT", "json")
	a, log := addr()
	var line struct{ Level, Msg, Address string }
	if err := json.Unmarshal([]byte(strings.Split(log, "\n")[0]), &line); err != nil || a == "" || line.Address != a || line.Msg != "worker: listening" {
		t.Errorf("variables: listens on %q: %s", a, log)
	}
	if a, log := addr("--listen", "", "--log-format", "text"); a != "" || !strings.Contains(log, "msg=hello") {
		t.Errorf("flags over variables: listens on %q: %s", a, log)
	}
	t.Setenv("EVENTLOG_LOG_FORMAT", "xml")
	var stderr stream
	if status := command(t.Context(), &stderr, never(t)); status != cli.Misused || !strings.Contains(stderr.String(), "EVENTLOG_LOG_FORMAT") {
		t.Errorf("status %d: %s", status, &stderr)
	}
}

func TestWorkFails(t *testing.T) {
	t.Parallel()
	for format, says := range map[string]string{"text": "\nworker: oh\n", "json": `"msg":"worker: failed","err":"oh"}` + "\n"} {
		var stderr stream
		status := command(t.Context(), &stderr, func(context.Context, *Daemon) error { return errors.New("oh") },
			"--listen", "127.0.0.1:0", "--log-format", format)
		if status != cli.Failed || !strings.HasSuffix(stderr.String(), says) || strings.Count(stderr.String(), "oh") != 1 {
			t.Errorf("%s: status %d: %s", format, status, &stderr)
		}
	}
}

func TestStopped(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stderr stream
	if status := command(ctx, &stderr, idle); status != cli.OK {
		t.Errorf("status %d: %s", status, &stderr)
	}
}

// Work has some seconds to finish; what takes longer is left, and told.
func TestWithin(t *testing.T) {
	t.Parallel()
	errWork := errors.New("work")
	for name, c := range map[string]struct {
		takes, after time.Duration // of the work, and how long it takes after its context's end
		says         string
	}{
		"ends by itself":   {takes: time.Hour, says: "work"},
		"finishes":         {after: workGrace - time.Second, says: "work"},
		"does not finish":  {after: workGrace + time.Second, says: "not finished after 7s"},
		"finishes at once": {says: "work"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				stopAfter := time.Minute
				if c.takes > 0 {
					stopAfter = 2 * c.takes
				}
				time.AfterFunc(stopAfter, cancel)
				begin := time.Now()
				err := within(ctx, workGrace, func() {}, func() error {
					if c.takes > 0 {
						time.Sleep(c.takes)
						return errWork
					}
					<-ctx.Done()
					time.Sleep(c.after)
					return errWork
				})
				if err == nil || !strings.Contains(err.Error(), c.says) {
					t.Errorf("it said %v, want %q", err, c.says)
				}
				if took := time.Since(begin); took > stopAfter+8*time.Second {
					t.Errorf("it took %v", took)
				}
				time.Sleep(time.Minute) // what was left ends
			})
		})
	}
}
