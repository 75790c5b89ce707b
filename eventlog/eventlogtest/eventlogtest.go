// Package eventlogtest helps to test programs that use an event log.
package eventlogtest

import (
	"context"
	"errors"
	"testing"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/memlog"
)

// New returns an empty log in memory. At the end of the test the log is checked
// (see [eventlog.Check]) and closed, unless the test closed it.
func New(t testing.TB) *eventlog.Log { return Open(t, nil) }

// Open is New with options.
func Open(t testing.TB, o *eventlog.Options) *eventlog.Log {
	t.Helper()
	l, err := eventlog.Open(context.Background(), memlog.Open(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := eventlog.Check(context.Background(), l); err != nil && !errors.Is(err, eventlog.ErrClosed) {
			t.Errorf("the log is damaged: %v", err)
		}
		if err := l.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return l
}
