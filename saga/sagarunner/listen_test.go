package sagarunner

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/cli"
	"github.com/rollforward/rollforward/outbox"
	"github.com/rollforward/rollforward/saga"
)

// A runner that works is ready and measured; where the log is for machines, all
// of it is. The hooks that a program has are called.
func TestListen(t *testing.T) {
	t.Parallel()
	dir := newLog(t, func(tx *eventlog.Tx) error { return errors.Join(works(3, 3)(tx), start(tx)) })
	ctx, cancel := context.WithCancel(t.Context())
	stderr := &listener{heard: make(chan struct{}), text: `"worker: running"`}
	begun, gate := make(chan struct{}, 3), make(chan struct{})
	h := outbox.On(func(tx *eventlog.Tx, w work) error {
		begun <- struct{}{}
		select {
		case <-gate:
			return tx.Append(w.To, worked{w.N})
		case <-tx.Context().Done():
			return tx.Context().Err()
		}
	}, nil)
	var groups atomic.Int32
	o := Options{Name: "worker", Handlers: append(greet.Handlers(), h),
		Log: &eventlog.Options{Hooks: eventlog.Hooks{Group: func(eventlog.GroupInfo) { groups.Add(1) }}}}
	cmd := newCommand(o)
	cmd.SetErr(stderr)
	status := make(chan int, 1)
	go func() {
		status <- cli.Run(ctx, cmd, []string{"--log", dir, "--listen", "127.0.0.1:0", "--log-format", "json", "--sweep", "50ms"})
	}()
	select {
	case <-stderr.heard:
	case s := <-status:
		t.Fatalf("status %d: %s", s, stderr)
	}
	addr := address(t, stderr.String())
	<-begun // what it does is in hand
	patience := within(t)
	for status, body := 0, ""; status != 200; {
		if patience.Err() != nil {
			t.Fatalf("ready: %d %s", status, body)
		}
		status, body = get(t, addr, "/health/ready")
	}
	if status, _ := get(t, addr, "/health/live"); status != 200 {
		t.Errorf("live: %d", status)
	}
	_, metrics := get(t, addr, "/metrics")
	for _, want := range []string{"\nrollforward_outbox_healthy 1\n", "\nrollforward_outbox_held_shards 16\n", "\nrollforward_outbox_backlog{shard=",
		"\nrollforward_eventlog_transactions_total ", "\ngo_goroutines "} {
		if !strings.Contains(metrics, want) {
			t.Errorf("metrics: %q is not there", want)
		}
	}
	close(gate)
	for !strings.Contains(metrics, "\nrollforward_outbox_step_duration_seconds_count{type=\"test.work\"} 3\n") {
		if patience.Err() != nil {
			t.Fatalf("the metrics do not say that it is done: %s", metrics)
		}
		_, metrics = get(t, addr, "/metrics")
	}
	for !strings.Contains(metrics, "\nrollforward_saga_census_healthy 1\n") || !strings.Contains(metrics, `state="completed"} 1`) {
		if patience.Err() != nil {
			t.Fatalf("the metrics do not say that the sagas are counted: %s", metrics)
		}
		_, metrics = get(t, addr, "/metrics")
	}
	cancel()
	if s := <-status; s != cli.OK || groups.Load() == 0 {
		t.Errorf("status %d, %d groups: %s", s, groups.Load(), stderr)
	}
	for line := range strings.Lines(stderr.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("not a line of JSON: %s", line)
		}
	}
	if done, pending := count(t, dir); done != 3 || pending != 0 {
		t.Errorf("%d steps are done, %d pending", done, pending)
	}
}

// address finds where a daemon listens in what it logged.
func address(t *testing.T, log string) string {
	t.Helper()
	for line := range strings.Lines(log) {
		var l struct{ Msg, Address string }
		if json.Unmarshal([]byte(line), &l) == nil && strings.HasSuffix(l.Msg, ": listening") {
			return l.Address
		}
	}
	t.Fatalf("it does not say where it listens: %s", log)
	return ""
}

func get(t *testing.T, addr, path string) (int, string) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get("http://" + addr + path)
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

// What keeps a runner from working is what a probe is told.
func TestReasons(t *testing.T) {
	t.Parallel()
	r := &outbox.Runner{}
	if list := reasons(t.Context(), r, nil); len(list) != 1 || !errors.Is(list[0], outbox.ErrNotRunning) {
		t.Errorf("%v", list)
	}
	if list := reasons(t.Context(), r, new(saga.Census)); len(list) != 2 || !errors.Is(list[1], outbox.ErrNotRunning) {
		t.Errorf("%v", list)
	}
}
