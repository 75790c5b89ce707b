package projector

import (
	"context"
	"log/slog"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/projection"
	"github.com/rollforward/rollforward/prommetrics"
)

// A runner is a projection.Runner, whatever its sink's transaction is.
type runner interface {
	Run(ctx context.Context) error
	Rebuild(ctx context.Context, name string) error
	Status(ctx context.Context, names ...string) ([]projection.Status, error)
	WaitFor(ctx context.Context, p eventlog.Position, names ...string) error
	Health() []error
}

// A model is an opened read model, with the log that it follows.
type model struct {
	runner
	log    *eventlog.Log
	logger *slog.Logger
	// state is the sink's.
	state func(ctx context.Context, name string) (projection.State, error)
	// measure registers metrics.
	measure func(reg prometheus.Registerer) error
	// tidy deletes what rebuilds have left, and returns how many rows that were.
	tidy  func(ctx context.Context) (rows int, err error)
	close func() error
	// hear makes sub, if not nil, bring news of what other processes commit.
	hear func(sub message.Subscriber, topic string)
}

func newModel[T any](r *projection.Runner[T], tidy func(context.Context) (int, error), closing func() error) *model {
	return &model{runner: r, log: r.Log, logger: r.Logger, state: r.Sink.State, tidy: tidy, close: closing,
		hear:    func(sub message.Subscriber, topic string) { r.Wake, r.Topic = sub, topic },
		measure: func(reg prometheus.Registerer) error { return prommetrics.Projections(reg, r) }}
}

// clear deletes what rebuilds have left. What fails is done the next time.
func (m *model) clear(ctx context.Context) {
	switch rows, err := m.tidy(ctx); {
	case err != nil && ctx.Err() == nil:
		m.logger.Warn("projector: rows of earlier builds are left behind", "error", err)
	case rows > 0:
		m.logger.Info("projector: rows of earlier builds deleted", "rows", rows)
	}
}
