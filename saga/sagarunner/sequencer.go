package sagarunner

import (
	"context"
	"log/slog"
	"sync"

	"github.com/rollforward/rollforward/eventlog/sequencer"
)

// keepFolding folds relaxed appends until ctx ends or stop is called, which waits for
// it. When it fails the sagas go on all the same: the probes and the log say so.
func keepFolding(ctx context.Context, logger *slog.Logger, seq *sequencer.Runner) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var done sync.WaitGroup
	done.Go(func() {
		if err := seq.Run(ctx); err != nil {
			logger.Error("relaxed appends are not folded any more", "err", err)
		}
	})
	return func() {
		cancel()
		done.Wait()
	}
}

// sequencerReasons returns what keeps relaxed appends from being folded.
func sequencerReasons(ctx context.Context, seq *sequencer.Runner) []error {
	if err := seq.Health(ctx); err != nil {
		return []error{err}
	}
	return nil
}
