package sagarunner

import (
	"context"
	"log/slog"
	"sync"
)

// keep runs what the sagas can do without until ctx ends or stop is called, which waits
// for it. When it fails the sagas go on all the same: the log says so, with text, and the
// probes do.
func keep(ctx context.Context, logger *slog.Logger, run func(context.Context) error, text string) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var done sync.WaitGroup
	done.Go(func() {
		if err := run(ctx); err != nil {
			logger.Error(text, "err", err)
		}
	})
	return func() {
		cancel()
		done.Wait()
	}
}
