package sagarunner

import (
	"context"

	"github.com/rollforward/rollforward/eventlog/sequencer"
)

// sequencerReasons returns what keeps relaxed appends from being folded.
func sequencerReasons(ctx context.Context, seq *sequencer.Runner) []error {
	if err := seq.Health(ctx); err != nil {
		return []error{err}
	}
	return nil
}
