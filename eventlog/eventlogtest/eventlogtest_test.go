package eventlogtest_test

import (
	"context"
	"testing"

	"go.uber.org/goleak"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestNew: every test has a log of its own, which is closed at its end.
func TestNew(t *testing.T) {
	t.Parallel()
	var logs []*eventlog.Log
	t.Run("test", func(t *testing.T) {
		for range 2 {
			l := eventlogtest.New(t)
			if _, err := l.Append(t.Context(), "s", &eventlog.AppendOptions{Expect: eventlog.NoStream}, opened{"ada"}); err != nil {
				t.Error(err)
			}
			logs = append(logs, l)
		}
	})
	for _, l := range logs {
		if _, err := l.Position(context.Background()); err == nil {
			t.Error("the log is open after its test")
		}
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()
	if n := eventlogtest.Open(t, &eventlog.Options{Shards: 3}).Shards(); n != 3 {
		t.Errorf("%d shards, expected 3", n)
	}
	failed := watch(func(t testing.TB) { eventlogtest.Open(t, &eventlog.Options{Shards: -1}) })
	failed.expect(t, "option Shards is -1")
}

// TestClosedByTheTest: a test may close its log.
func TestClosedByTheTest(t *testing.T) {
	t.Parallel()
	watch(func(tb testing.TB) {
		if err := eventlogtest.New(tb).Close(); err != nil {
			t.Error(err)
		}
	}).expect(t)
}
