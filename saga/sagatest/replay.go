package sagatest

import (
	"context"
	"testing"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/saga"
)

// Replay holds the recorded instances of a log against definitions: whatever one of
// them would decide otherwise than it was decided then is an error of the test. See
// saga.Replay. A log of the past may be an export that the test imports.
func Replay(t testing.TB, l *eventlog.Log, definitions ...saga.Definition) {
	t.Helper()
	for _, d := range definitions {
		for diff, err := range saga.Replay(context.Background(), l, d) {
			if err != nil {
				t.Fatal("sagatest: ", err)
			}
			t.Error(diff)
		}
	}
}
