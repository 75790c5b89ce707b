package sagarunner

import (
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
