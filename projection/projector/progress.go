package projector

import (
	"context"
	"sync"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/cli"
)

const lookEvery = 200 * time.Millisecond

// watch shows how far the named projections are on their way to target, until
// it is stopped.
func watch(ctx context.Context, m *model, p *cli.Progress, target eventlog.Position, names ...string) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(lookEvery)
		defer tick.Stop()
		for {
			if done, err := applied(ctx, m, target, names); err == nil {
				p.Set(done, int64(len(names))*commits(m, target))
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	})
	return func() {
		cancel()
		wg.Wait()
	}
}

// applied returns how many commits up to target have taken effect, over all
// the projections.
func applied(ctx context.Context, m *model, target eventlog.Position, names []string) (int64, error) {
	sum := int64(0)
	for _, name := range names {
		state, err := m.state(ctx, name)
		if err != nil {
			return 0, err
		}
		for _, c := range state.Checkpoints {
			sum += int64(min(c.Revision, target.Revision(c.Shard)))
		}
	}
	return sum, nil
}

// commits returns how many commits lie up to p.
func commits(m *model, p eventlog.Position) int64 {
	sum := int64(0)
	for s := range m.log.Shards() {
		sum += int64(p.Revision(s))
	}
	return sum
}
