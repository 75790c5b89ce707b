package main

import (
	"strings"
	"testing"

	"cloud.google.com/go/pubsub/v2/pstest"

	"github.com/rollforward/rollforward/internal/cli"
)

// What the bank commits wakes other processes where a topic is named; a topic
// that is wrong is wrong usage, and one that is away costs a warning.
func TestNotify(t *testing.T) {
	s := pstest.NewServer()
	defer s.Close()
	t.Setenv("PUBSUB_EMULATOR_HOST", s.Addr)
	t.Setenv("EVENTLOG_NOTIFY", "pubsub://p/bells")
	log := customersOf(t)
	if n := len(s.Messages()); n < 3 {
		t.Errorf("three commits rang %d times", n)
	}
	if out := must(t, at(log, "transfer", "ada", "bob", "100", "EUR")...); !strings.Contains(out, "is completed") {
		t.Errorf("with a doorbell: %s", out)
	}
	before := len(s.Messages())
	must(t, at(log, "balances")...)
	if n := len(s.Messages()); n != before || before < 4 {
		t.Errorf("%d messages, and after reading %d", before, n)
	}
	if o := runBank(at(log, "deposit", "ada", "1", "EUR", "--notify", "bells")...); o.status != cli.Misused || !strings.Contains(o.errOut, "want pubsub://PROJECT/TOPIC") {
		t.Errorf("status %d: %s", o.status, o.errOut)
	}
	t.Setenv("PUBSUB_EMULATOR_HOST", "127.0.0.1:1")
	if o := runBank(at(log, "deposit", "ada", "1", "EUR")...); o.status != cli.OK || !strings.Contains(o.errOut, "a notification was not published") {
		t.Errorf("status %d: %s", o.status, o.errOut)
	}
}
