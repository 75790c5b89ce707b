package sagarunner

import (
	"context"
	"log/slog"

	"github.com/rollforward/rollforward/internal/cli"
	"github.com/rollforward/rollforward/internal/daemon"
	"github.com/rollforward/rollforward/outbox"
	"github.com/rollforward/rollforward/prommetrics"
	"github.com/rollforward/rollforward/saga"
)

// census makes what counts the sagas for the metrics; nil: nobody asks.
func (s *site) census(d *daemon.Daemon, r *outbox.Runner) (*saga.Census, error) {
	if d.Addr == "" {
		return nil, nil
	}
	c := &saga.Census{Log: r.Log, Sweep: r.Sweep, Lease: r.Lease, Runner: s.Name, Logger: d.Logger}
	if err := c.Check(); err != nil {
		return nil, cli.Usage("%w", err)
	}
	return c, prommetrics.Sagas(d.Metrics, c)
}

// keepCount counts until ctx ends or stop is called, which waits for it. When it fails the
// sagas go on all the same: the probes, the metrics and the log say so.
func keepCount(ctx context.Context, logger *slog.Logger, c *saga.Census) (stop func()) {
	if c == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := c.Run(ctx); err != nil {
			logger.Error("the sagas are not counted any more", "err", err)
		}
	}()
	return func() {
		cancel()
		<-done
	}
}
