package logcmd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"cloud.google.com/go/pubsub/v2/pstest"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/pebblelog"
	"github.com/rollforward/rollforward/eventlog/remotelog"
	"github.com/rollforward/rollforward/internal/bench"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"eventlog": Main})
}

var scripts, _ = filepath.Glob("testdata/*.txtar")

// TestScripts runs the scripts in testdata, each in a directory of its own.
// Beside testscript's own they have the commands
//
//	exits STATUS eventlog …   the exit status must be that
//	hold DIR                  this process opens the log until the script ends
//	share DIR                 the same, and lets others in
//	interrupt eventlog …      sends SIGINT after the first line of output
//	damage DIR                changes a byte in the middle of the largest table
//	edit FILE OLD NEW         replaces the only occurrence of a text
//	cut FILE BYTES            keeps the first bytes of a file
//	fill DIR                  makes a log with steps of all kinds, and keeps it open
//	lend DIR                  makes a log with sagas in all states, and keeps it open
//	roll DIR                  rolls steps forward, and keeps the log open
//	release                   closes what fill, lend and roll have opened
//	bells                     starts a Pub/Sub server that --notify reaches
//	cloud                     starts a Datastore and names a log in it
//	rung N [M]                so many messages were published to it, or up to M
//	capture NAME PATTERN      sets a variable to what a group matches in the output
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Files:               scripts,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("EVENTLOG_LOG", "")
			e.Setenv("EVENTLOG_NOTIFY", "")
			e.Values[scriptLogs{}] = make(map[string]*eventlog.Log)
			e.Values[scriptBells{}] = make([]*pstest.Server, 1)
			return nil
		},
		Condition: func(name string) (bool, error) {
			switch name {
			case "disk":
				return !strings.Contains(benchError(t.TempDir()), "memory"), nil
			case "shm":
				_, err := os.Stat("/dev/shm")
				return err == nil && runtime.GOOS == "linux", nil
			}
			return false, fmt.Errorf("unknown condition %s", name)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits": exits, "hold": hold, "share": share, "interrupt": interrupt, "damage": damage, "edit": edit, "cut": cut,
			"fill": fill, "lend": lend, "roll": roll, "release": release, "capture": capture,
			"bells": bells, "rung": rung,
			"cloud": cloud,
		},
	})
}

// benchError is why a run of a moment in dir fails, if it does.
func benchError(dir string) string {
	c := bench.Config{Dir: dir, Appenders: 1, Batch: 1, Size: 1, Streams: 1, Duration: 1, Rounds: 1}
	if _, err := bench.Run(context.Background(), c); err != nil {
		return err.Error()
	}
	return ""
}

func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	switch err := ts.Exec(args[1], args[2:]...); {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	default:
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

func hold(ts *testscript.TestScript, _ bool, args []string) {
	l, err := pebblelog.Open(ts.MkAbs(args[0]), nil)
	ts.Check(err)
	ts.Defer(func() { ts.Check(l.Close()) })
}

func share(ts *testscript.TestScript, _ bool, args []string) {
	l, err := remotelog.Open(context.Background(), ts.MkAbs(args[0]), nil)
	ts.Check(err)
	ts.Defer(func() { ts.Check(l.Close()) })
}

func interrupt(ts *testscript.TestScript, _ bool, args []string) {
	bin, _, _ := strings.Cut(ts.Getenv("PATH"), string(filepath.ListSeparator))
	cmd := exec.Command(filepath.Join(bin, args[0]), args[1:]...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	ts.Logf("[first line]\n%s", line)
	ts.Check(errors.Join(err, cmd.Process.Signal(os.Interrupt), cmd.Wait()))
}

func damage(ts *testscript.TestScript, _ bool, args []string) {
	tables, err := filepath.Glob(filepath.Join(ts.MkAbs(args[0]), "*.sst"))
	ts.Check(err)
	size := func(name string) int64 {
		info, err := os.Stat(name)
		ts.Check(err)
		return info.Size()
	}
	if len(tables) == 0 {
		ts.Fatalf("no tables in %s", args[0])
	}
	name := slices.MaxFunc(tables, func(a, b string) int { return int(size(a) - size(b)) })
	data, err := os.ReadFile(name)
	ts.Check(err)
	data[len(data)/4] ^= 0x40
	ts.Check(os.WriteFile(name, data, 0o644))
}

func edit(ts *testscript.TestScript, _ bool, args []string) {
	text := ts.ReadFile(args[0])
	if n := strings.Count(text, args[1]); n != 1 {
		ts.Fatalf("%q is %d times in %s", args[1], n, args[0])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Replace(text, args[1], args[2], 1)), 0o644))
}

func cut(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	ts.Check(os.Truncate(ts.MkAbs(args[0]), n))
}
