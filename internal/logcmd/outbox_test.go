package logcmd

import (
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/pebblelog"
	"github.com/rollforward/rollforward/outbox"
)

// credit is a step of the scripts. It fails with Fail for good; with a Code it
// is done.
type credit struct {
	To   string
	Fail string `json:",omitempty"`
	Code string `json:",omitempty"`
}

func (credit) StepType() string { return "t.credit" }
func (c credit) Target() string { return c.To }

// hostile is what a name may have that comes from anywhere, and more so a text.
const (
	hostileName = "proj3/ü=cmd|' /C calc'!A0<b>\u202e\u2028"
	hostileText = "no such account\x1b[31m\nsecond line\x00"
)

var creditHandlers = []outbox.Handler{
	outbox.On(func(tx *eventlog.Tx, c credit) error {
		if c.Fail != "" && c.Code == "" {
			return outbox.Abort(errors.New(c.Fail))
		}
		return tx.Append(c.To, eventlog.Raw{Type: "t.credited", Data: json.RawMessage(`{"code":"` + c.Code + `"}`)})
	}, nil),
	{Type: "t.ordered", Policy: outbox.Policy{Ordered: true, Attempts: -1, Backoff: time.Hour, MaxBackoff: time.Hour},
		Do: func(*eventlog.Tx, outbox.Raw) error { return errors.New("out of order") }},
}

// fill makes a log with steps of all kinds: three dead letters, two timers, a
// step that is tried again in an hour and one that waits behind it, one of a type
// that nobody knows, and two that could run.
func fill(ts *testscript.TestScript, _ bool, args []string) {
	l := openScriptLog(ts, args[0])
	enqueue := func(list ...outbox.Step) {
		for _, s := range list {
			_, err := l.Update(context.Background(), func(tx *eventlog.Tx) error { return outbox.Enqueue(tx, s) })
			ts.Check(err)
		}
	}
	enqueue(credit{To: "proj1/a", Fail: "connection refused"}, credit{To: "proj1/b", Fail: hostileText}, credit{To: hostileName, Fail: "connection refused"},
		outbox.Raw{Type: "t.ordered", Stream: "proj1/o", Data: []byte("{}")}, outbox.Raw{Type: "t.unknown", Stream: "proj2/x", Data: []byte(`{"a": 1}`)})
	roll(ts, false, args)
	enqueue(credit{To: "proj1/o"})
	_, err := l.Update(context.Background(), func(tx *eventlog.Tx) error {
		_, err := outbox.At(tx, time.Now().Add(48*time.Hour), credit{To: "proj2/b"})
		return errors.Join(err, outbox.Timer{Target: "proj1/a", Name: "alarm"}.Set(tx, time.Now().Add(24*time.Hour), credit{To: "proj1/a"}))
	})
	ts.Check(err)
	roll(ts, false, args)
	enqueue(credit{To: "proj10/a"}, credit{To: hostileName})
}

// roll rolls steps forward until nothing is due.
func roll(ts *testscript.TestScript, _ bool, args []string) {
	r := &outbox.Runner{Log: openScriptLog(ts, args[0]), Handlers: append(loans.Handlers(), creditHandlers...), AtOnce: -1}
	ts.Check(r.Drain(context.Background()))
}

// release closes the logs that fill, lend and roll have opened.
func release(ts *testscript.TestScript, _ bool, _ []string) {
	logs := ts.Value(scriptLogs{}).(map[string]*eventlog.Log)
	for dir, l := range logs {
		ts.Check(l.Close())
		delete(logs, dir)
	}
}

type scriptLogs struct{}

func openScriptLog(ts *testscript.TestScript, dir string) *eventlog.Log {
	logs := ts.Value(scriptLogs{}).(map[string]*eventlog.Log)
	if logs[dir] == nil {
		d, err := pebblelog.Open(ts.MkAbs(dir), nil)
		ts.Check(err)
		logs[dir], err = eventlog.Open(context.Background(), d, nil)
		ts.Check(err)
	}
	return logs[dir]
}

// capture sets a variable to what a group of a pattern matched in the last output.
func capture(ts *testscript.TestScript, _ bool, args []string) {
	m := regexp.MustCompile(args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
	if m == nil {
		ts.Fatalf("no %s in the output", args[1])
	}
	ts.Setenv(args[0], m[1])
}
