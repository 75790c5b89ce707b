package logcmd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/internal/cli"
	"github.com/rollforward/rollforward/outbox"
	"github.com/rollforward/rollforward/saga"
)

// loan is the data of the scripts' saga.
type loan struct {
	Customer string
	Cents    int    `json:",omitempty"`
	By       string `json:",omitempty"`
	Fail     string `json:",omitempty"`
}

func (l *loan) account() string { return "account/" + l.Customer }

// loans books, waits for an approval, and pays. What was booked for "locked" cannot
// be undone until the account has an event t.unlocked.
var loans = &saga.Saga[loan]{Name: "loan", Version: 1, Steps: saga.Steps[loan]{{
	Name: "book",
	On:   (*loan).account,
	Do:   func(tx *eventlog.Tx, l *loan) error { return appendTo(tx, l.account(), "t.booked") },
	Undo: func(tx *eventlog.Tx, l *loan) error {
		if l.Customer == "locked" && !unlocked(tx, l.account()) {
			return outbox.Abort(errors.New("the account is locked"))
		}
		return appendTo(tx, l.account(), "t.unbooked")
	},
}, {
	Name:   "approval",
	Signal: saga.On("approved", func(l *loan, by string) error { l.By = by; return nil }),
}, {
	Name: "pay",
	On:   (*loan).account,
	Do: func(tx *eventlog.Tx, l *loan) error {
		if l.Fail != "" {
			return outbox.Abort(errors.New(l.Fail))
		}
		return appendTo(tx, l.account(), "t.paid")
	},
}}}

func appendTo(tx *eventlog.Tx, stream, typ string) error {
	return tx.Append(stream, eventlog.Raw{Type: typ, Data: json.RawMessage(`{}`)})
}

func unlocked(tx *eventlog.Tx, stream string) bool {
	for _, err := range tx.Read(eventlog.Query{Stream: stream, Types: []string{"t.unlocked"}}) {
		return err == nil
	}
	return false
}

// lend makes a log with loans in all states, of which "wait" waits for its approval
// and "stuck" is parked, and another saga with one instance, and keeps it open.
func lend(ts *testscript.TestScript, _ bool, args []string) {
	l := openScriptLog(ts, args[0])
	update := func(fn func(tx *eventlog.Tx) error) {
		_, err := l.Update(context.Background(), fn)
		ts.Check(err)
	}
	begin := func(id string, in loan) {
		update(func(tx *eventlog.Tx) error { return loans.Start(tx, id, in) })
	}
	send := func(s outbox.Step) { update(func(tx *eventlog.Tx) error { return outbox.Enqueue(tx, s) }) }
	approve := func(id string) { send(saga.Signal{Saga: "loan", ID: id, Name: "approved", Data: "eve"}) }
	begin("wait", loan{Customer: "ada", Cents: 5})
	begin("paid", loan{Customer: "bob", Cents: 7})
	begin("back", loan{Customer: "cyd", Fail: hostileText})
	begin("stuck", loan{Customer: "locked", Fail: "no money"})
	begin("off/1", loan{Customer: hostileName})
	for _, id := range []string{"paid", "back", "stuck", "early"} {
		approve(id)
	}
	roll(ts, false, args)
	send(saga.Cancel{Saga: "loan", ID: "off/1", By: "ann", Reason: "changed his mind"})
	roll(ts, false, args)
	other := *loans
	other.Name = "loan2"
	update(func(tx *eventlog.Tx) error { return other.Start(tx, "1", loan{Customer: "dan"}) })
}

// TestSagaListStreams: what is found is written before all is read, and is not kept.
func TestSagaListStreams(t *testing.T) {
	t.Parallel()
	for _, format := range []cli.Format{cli.Table, cli.JSON, cli.JSONL} {
		l := eventlogtest.New(t)
		const each = 100
		for n := range 20 {
			_, err := l.Update(t.Context(), func(tx *eventlog.Tx) error {
				for k := range each {
					if err := loans.Start(tx, fmt.Sprintf("%0200d", n*each+k), loan{Customer: "ada"}); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		cmd := &cobra.Command{}
		cmd.SetContext(ctx)
		out := &stopping{stop: cancel}
		cmd.SetOut(out)
		i := &instanceList{format: format}
		if err := i.print(cmd, l); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: the first write came when all was read: %v", format, err)
		}
		if n := bytes.Count(out.Bytes(), []byte("\n")); n < each || n > 6*each {
			t.Errorf("%s: %d lines were written", format, n)
		}
	}
}

// stopping calls stop with the first write.
type stopping struct {
	bytes.Buffer
	stop func()
}

func (s *stopping) Write(p []byte) (int, error) {
	s.stop()
	return s.Buffer.Write(p)
}

// TestInstanceWithChildren: what is shown of a fan-out, and of a child, whose chain is
// its parent's.
func TestInstanceWithChildren(t *testing.T) {
	t.Parallel()
	fleet := &saga.Saga[loan]{Name: "fleet", Version: 2, Steps: saga.Steps[loan]{{
		Name:    "lend",
		Keys:    saga.Numbers(func(*loan) int { return 1200 }),
		Child:   saga.Run(quick, func(l *loan, key string) loan { return loan{Customer: key, Fail: l.Customer} }, nil),
		Timeout: time.Hour,
	}}}
	l := eventlogtest.New(t)
	if _, err := l.Update(t.Context(), func(tx *eventlog.Tx) error { return fleet.Start(tx, "f", loan{Customer: "7"}) }); err != nil {
		t.Fatal(err)
	}
	r := &outbox.Runner{Log: l, Handlers: append(fleet.Handlers(), quick.Handlers()...)}
	if err := r.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	show := func(name, id string) map[string]string {
		s, err := readInstance(t.Context(), l, name, id, false)
		if err != nil {
			t.Fatal(err)
		}
		fields := make(map[string]string)
		for _, f := range s.fields() {
			fields[f.Name] = f.Value
		}
		return fields
	}
	parent := show("fleet", "f")
	if got := parent["children"]; got != "1,200 started, 1,199 ended" || parent["due"] == "" || parent["version"] != "2" {
		t.Errorf("children %q of %v", got, parent)
	}
	for i, err := range saga.List(t.Context(), l, "quick") {
		if err != nil {
			t.Fatal(err)
		}
		if child := show("quick", i.ID); child["parent"] != "$saga-fleet/f" || child["chain"] != parent["chain"] {
			t.Fatalf("child %v of %v", child, parent)
		}
	}
}

// quick ends at once, but for the customer in Fail, for whose approval it waits.
var quick = &saga.Saga[loan]{Name: "quick", Version: 1, Steps: saga.Steps[loan]{{
	Name:   "look",
	Next:   func(l *loan) string { return map[bool]string{true: "approval", false: saga.End}[l.Fail == l.Customer] },
	Routes: []string{"approval", saga.End},
}, {
	Name:   "approval",
	Signal: saga.On("approved", func(*loan, string) error { return nil }),
}}}
