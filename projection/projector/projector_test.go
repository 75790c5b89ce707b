package projector

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/pebblelog"
	"github.com/rollforward/rollforward/internal/cli"
	"github.com/rollforward/rollforward/projection"
	"github.com/rollforward/rollforward/projection/sqlsink"
)

type Posted struct{ Amount int64 }

func (Posted) EventType() string { return "bank.posted" }

// postings has a row for each event and no key: an event that took effect twice
// shows.
func postings(seen func()) sqlsink.Projection {
	return sqlsink.Projection{Name: "postings", Version: 1,
		Reset: sqlsink.Schema(`drop table if exists posting`, `create table posting (stream text, version integer, amount integer)`),
		Handlers: sqlsink.Handlers{projection.On(func(tx *sql.Tx, r eventlog.Record, e Posted) error {
			seen()
			_, err := tx.Exec(`insert into posting values ($1, $2, $3)`, r.Stream, r.Version, e.Amount)
			return err
		})},
	}
}

var count = sqlsink.Projection{Name: "count", Version: 2,
	Reset: sqlsink.Schema(`drop table if exists count`, `create table count (n integer)`, `insert into count values (0)`),
	Else: func(tx *sql.Tx, _ eventlog.Record) error {
		_, err := tx.Exec(`update count set n = n + 1`)
		return err
	},
}

// newDir makes a log with n postings and as many other events.
func newDir(t *testing.T, n int) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "log")
	d, err := pebblelog.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	l, err := eventlog.Open(t.Context(), d, &eventlog.Options{Shards: 4})
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		_, err := l.Append(t.Context(), fmt.Sprintf("account/%d", i%10), nil,
			Posted{int64(i)}, eventlog.Raw{Type: "bank.note", Data: []byte("{}")})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// listener is a command's error stream; it closes heard when it gets a text.
type listener struct {
	mu    sync.Mutex
	buf   bytes.Buffer
	text  string
	heard chan struct{}
}

func listenFor(text string) *listener { return &listener{text: text, heard: make(chan struct{})} }

func (l *listener) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := strings.Contains(l.buf.String(), l.text)
	l.buf.Write(p)
	if !before && strings.Contains(l.buf.String(), l.text) {
		close(l.heard)
	}
	return len(p), nil
}

func (l *listener) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// command runs a command line in this process.
func command(ctx context.Context, stderr *listener, args ...string) (status int, stdout string) {
	return commandOf(ctx, []sqlsink.Projection{postings(func() {}), count}, stderr, args...)
}

// commandOf is command with other projections.
func commandOf(ctx context.Context, list []sqlsink.Projection, stderr *listener, args ...string) (status int, stdout string) {
	var out bytes.Buffer
	cmd := newCommand(Options{Projections: list})
	cmd.SetOut(&out)
	cmd.SetErr(stderr)
	return cli.Run(ctx, cmd, args), out.String()
}

// must runs a command line that succeeds.
func must(t *testing.T, args ...string) string {
	t.Helper()
	stderr := listenFor("\x00")
	status, out := command(t.Context(), stderr, args...)
	if status != cli.OK {
		t.Fatalf("%v: status %d: %s", args, status, stderr)
	}
	return out
}

// runUntil runs the projector until it has said text, then stops it and returns
// what it did before that.
func runUntil(t *testing.T, text string, meanwhile func(), args ...string) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	stderr := listenFor(text)
	done := make(chan int, 1)
	go func() {
		status, _ := command(ctx, stderr, args...)
		done <- status
	}()
	select {
	case <-stderr.heard:
		meanwhile()
		stop()
		if status := <-done; status != cli.OK {
			t.Errorf("%v: status %d: %s", args, status, stderr)
		}
	case status := <-done:
		t.Fatalf("%v: status %d: %s", args, status, stderr)
	}
}

func TestRunThenStatus(t *testing.T) {
	t.Parallel()
	dir := newDir(t, 50)
	runUntil(t, "up to date", func() {
		stderr := listenFor("\x00")
		status, out := command(t.Context(), stderr, "status", "--log", dir, "postings")
		if status != cli.OK || !strings.Contains(out, "50       50       0   0s  ok") || stderr.String() != "" {
			t.Errorf("status beside a projector: %d\n%s%s", status, out, stderr)
		}
	}, "--log", dir)
	want := strings.Join([]string{
		"PROJECTION  VERSION  HANDLED  SKIPPED  BEHIND  LAG  STATE",
		"postings          1       50       50       0   0s  ok",
		"count             2      100        0       0   0s  ok",
		"",
	}, "\n")
	if got := must(t, "status", "--log", dir); got != want {
		t.Errorf("status\n%swant\n%s", got, want)
	}
	var list []report
	if err := json.Unmarshal([]byte(must(t, "status", "--log", dir, "-o", "json")), &list); err != nil {
		t.Fatal(err)
	}
	if len(list) != 2 || len(list[0].Shards) != 4 || list[0].Behind == nil || list[1].Held != 2 {
		t.Errorf("status -o json: %+v", list)
	}
	if lines := strings.Count(must(t, "status", "--log", dir, "--shards"), "\n"); lines != 1+2*4 {
		t.Errorf("status --shards has %d lines", lines)
	}
}

// TestHeldLog: while a program has the log that does not share it, status tells
// what the read model knows.
func TestHeldLog(t *testing.T) {
	t.Parallel()
	dir := newDir(t, 50)
	must(t, "rebuild", "postings", "--log", dir)
	d, err := pebblelog.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	stderr := listenFor("\x00")
	status, out := command(t.Context(), stderr, "status", "--log", dir, "postings")
	if status != cli.OK || !strings.Contains(out, "?") || strings.Contains(out, "count") {
		t.Errorf("status of a held log: %d\n%s%s", status, out, stderr)
	}
	if !strings.Contains(stderr.String(), fmt.Sprint("process ", os.Getpid())) {
		t.Errorf("it does not say who holds the log: %s", stderr)
	}
	if status, _ := command(t.Context(), stderr, "--log", dir); status != cli.Failed {
		t.Errorf("a projector: status %d", status)
	}
}

// TestTwoRun: two projectors share the work.
func TestTwoRun(t *testing.T) {
	t.Parallel()
	dir := newDir(t, 50)
	runUntil(t, "up to date", func() {
		runUntil(t, "up to date", func() {}, "--log", dir)
	}, "--log", dir)
}

func TestRebuild(t *testing.T) {
	t.Parallel()
	dir := newDir(t, 50)
	db := filepath.Join(t.TempDir(), "elsewhere.db")
	var first rebuilt
	for range 2 {
		var out rebuilt
		if err := json.Unmarshal([]byte(must(t, "rebuild", "postings", "--log", dir, "--db", db, "-o", "json")), &out); err != nil {
			t.Fatal(err)
		}
		if out.Handled != 50 || out.Skipped != 50 || out.Position == "" || out.EventsPerS <= 0 {
			t.Errorf("rebuild says %+v", out)
		}
		if first.Position == "" {
			first = out
		}
		if out.Position != first.Position {
			t.Errorf("position %s, then %s", first.Position, out.Position)
		}
	}
	if got := rows(t, db); strings.Count(got, "\n") != 50 {
		t.Errorf("read model\n%s", got)
	}
	want := "PROJECTION VERSION HANDLED SKIPPED BEHIND LAG STATE postings 1 50 50 0 0s ok count 2 (not built) 0 0 100 "
	got := strings.Join(strings.Fields(must(t, "status", "--log", dir, "--db", db)), " ")
	if !strings.HasPrefix(got, want) {
		t.Errorf("status\n%s\nwant\n%s", got, want)
	}
	if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
		t.Error("--db is not all that was written")
	}
}

func TestMisuse(t *testing.T) {
	t.Setenv("EVENTLOG_LOG", "")
	dir := newDir(t, 1)
	for _, c := range []struct {
		status int
		says   string
		args   []string
	}{
		{cli.Misused, "no log is named", nil},
		{cli.Misused, "no log is named", []string{"status"}},
		{cli.Misused, "unknown command", []string{"start"}},
		{cli.Misused, "accepts 1 arg", []string{"rebuild", "--log", dir}},
		{cli.Misused, `unknown projection "x"; there are: postings, count`, []string{"rebuild", "x", "--log", dir}},
		{cli.Misused, "unknown projection", []string{"status", "x", "--log", dir}},
		{cli.Misused, "want one of table", []string{"status", "-o", "xml", "--log", dir}},
		{cli.Failed, "no such directory", []string{"--log", dir + "x"}},
		{cli.Misused, "want one of text, json", []string{"--log-format", "xml", "--log", dir}},
		{cli.Misused, "--poll is -1s", []string{"--poll", "-1s", "--log", dir}},
		{cli.Misused, "unknown flag", []string{"status", "--listen", ":0", "--log", dir}},
		{cli.Failed, "cannot listen on 9464", []string{"run", "--listen", "9464", "--log", dir}},
		{cli.Failed, "no read model yet", []string{"status", "--log", dir}},
	} {
		stderr := listenFor("\x00")
		status, out := command(t.Context(), stderr, c.args...)
		if status != c.status || out != "" || !strings.Contains(stderr.String(), c.says) {
			t.Errorf("%v: status %d, want %d; %s%s", c.args, status, c.status, out, stderr)
		}
	}
	if _, err := os.Stat(dir + "x"); err == nil {
		t.Error("a log was made")
	}
}

// rows returns the read model of postings, in order.
func rows(t *testing.T, file string) string {
	t.Helper()
	s, err := sqlsink.OpenSQLite(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	list, err := s.DB().Query(`select stream, version, amount from posting order by 1, 2, 3`)
	if err != nil {
		t.Fatal(err)
	}
	defer list.Close()
	var out strings.Builder
	for list.Next() {
		var stream string
		var version, amount int
		if err := list.Scan(&stream, &version, &amount); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&out, stream, version, amount)
	}
	if err := list.Err(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}
