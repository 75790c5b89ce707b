package projector

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/cli"
	"github.com/rollforward/rollforward/projection"
	"github.com/rollforward/rollforward/projection/sqlsink"
)

// refusing is a projection that stops at the first event that is not 0.
var refusing = sqlsink.Projection{Name: "refusing", Version: 1, Reset: sqlsink.Schema(),
	Handlers: sqlsink.Handlers{projection.On(func(_ *sql.Tx, _ eventlog.Record, e Posted) error {
		if e.Amount != 0 {
			return errors.New("not zero")
		}
		return nil
	})},
}

// A serving is a projector that runs and listens.
type serving struct {
	stderr *listener
	addr   string
	stop   func() (status int)
}

// serve runs a projector until it has said text.
func serve(t *testing.T, text string, list []sqlsink.Projection, args ...string) *serving {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	s := &serving{stderr: listenFor(text)}
	done := make(chan int, 1)
	go func() {
		status, _ := commandOf(ctx, list, s.stderr, append([]string{"--listen", "127.0.0.1:0", "--log-format", "json"}, args...)...)
		done <- status
	}()
	s.stop = func() int {
		cancel()
		return <-done
	}
	select {
	case <-s.stderr.heard:
	case status := <-done:
		t.Fatalf("%v: status %d: %s", args, status, s.stderr)
	}
	for _, l := range strings.Split(s.stderr.String(), "\n") {
		var line struct{ Msg, Address string }
		if json.Unmarshal([]byte(l), &line) == nil && line.Msg == "projector: listening" {
			s.addr = line.Address
		}
	}
	return s
}

func (s *serving) get(t *testing.T, path string) (int, string) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get("http://" + s.addr + path)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

// A projector that keeps up is ready and measured.
func TestListen(t *testing.T) {
	t.Parallel()
	dir := newDir(t, 50)
	s := serve(t, "up to date", []sqlsink.Projection{postings(func() {}), count}, "--log", dir)
	if status, body := s.get(t, "/health/ready"); status != 200 {
		t.Errorf("ready: %d %s", status, body)
	}
	if status, _ := s.get(t, "/health/live"); status != 200 {
		t.Errorf("live: %d", status)
	}
	_, metrics := s.get(t, "/metrics")
	for _, want := range []string{
		`rollforward_projection_healthy{projection="postings"} 1`,
		`rollforward_projection_lag_events{projection="count",shard="3"} 0`,
		"go_goroutines ",
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("metrics: %s is not there", want)
		}
	}
	if status := s.stop(); status != cli.OK {
		t.Errorf("status %d: %s", status, s.stderr)
	}
	for _, l := range strings.Split(strings.TrimSpace(s.stderr.String()), "\n") {
		if !json.Valid([]byte(l)) {
			t.Errorf("not a line of JSON: %s", l)
		}
	}
}

// A projection that stops is seen from everywhere: the probe, the metrics, the
// log, and the status of another process, also later. The others go on.
func TestOneStops(t *testing.T) {
	t.Parallel()
	dir := newDir(t, 50)
	s := serve(t, "projection: stopped", []sqlsink.Projection{postings(func() {}), refusing}, "--log", dir)
	const reason = "refusing stopped: bank.posted at account/"
	if status, body := s.get(t, "/health/ready"); status != 503 || !strings.Contains(body, reason) || !strings.Contains(body, "not zero") {
		t.Errorf("ready: %d %s", status, body)
	}
	if status, _ := s.get(t, "/health/live"); status != 200 {
		t.Errorf("live: %d", status)
	}
	if _, metrics := s.get(t, "/metrics"); !strings.Contains(metrics, `rollforward_projection_healthy{projection="refusing"} 0`) {
		t.Error("the metrics do not say it")
	}
	list := []sqlsink.Projection{postings(func() {}), refusing}
	status := func(when string) {
		t.Helper()
		stderr := listenFor("\x00")
		if code, table := commandOf(t.Context(), list, stderr, "status", "--log", dir); code != cli.OK || !strings.Contains(table, reason) || !strings.Contains(table, " ok\n") {
			t.Errorf("%s: status %d: %s%s", when, code, table, stderr)
		}
		var out []report
		_, text := commandOf(t.Context(), list, stderr, "status", "--log", dir, "-o", "json")
		if err := json.Unmarshal([]byte(text), &out); err != nil {
			t.Fatal(err)
		}
		if stop := out[1].Stopped; out[0].Stopped != nil || stop == nil || stop.Revision == 0 || stop.Time.IsZero() || !strings.HasPrefix(stop.Reason, reason) {
			t.Errorf("%s: %s", when, text)
		}
	}
	status("while another process has the log")
	if code := s.stop(); code != cli.Failed || !strings.Contains(s.stderr.String(), "err\":\"projection: "+reason) {
		t.Errorf("status %d: %s", code, s.stderr)
	}
	status("later")
}

// When all have stopped there is nothing left to run.
func TestAllStop(t *testing.T) {
	t.Parallel()
	dir := newDir(t, 50)
	stderr := listenFor("\x00")
	if code, _ := commandOf(t.Context(), []sqlsink.Projection{refusing}, stderr, "--log", dir); code != cli.Failed || !strings.Contains(stderr.String(), "not zero") {
		t.Errorf("status %d: %s", code, stderr)
	}
}

// The read model is where the flag, the variable or the log says, in this order.
func TestWhereTheReadModelIs(t *testing.T) {
	dir, other, third := newDir(t, 1), filepath.Join(t.TempDir(), "a.db"), filepath.Join(t.TempDir(), "b.db")
	t.Setenv(dbVariable, other)
	must(t, "rebuild", "count", "--log", dir)
	must(t, "rebuild", "postings", "--log", dir, "--db", third)
	if got := rows(t, third); strings.Count(got, "\n") != 1 {
		t.Errorf("--db has %q", got)
	}
	for file, want := range map[string]int{other: 2, third: 0, filepath.Join(dir, name): 0} {
		s, err := sqlsink.OpenSQLite(t.Context(), file)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if state, err := s.State(t.Context(), "count"); err != nil || state.Version != want {
			t.Errorf("%s holds version %d of count, want %d; %v", file, state.Version, want, err)
		}
	}
}
