package datastoresink

import (
	"context"
	"fmt"

	"github.com/rollforward/rollforward/projection"
)

// State returns what the database holds of a projection.
func (s *Sink) State(ctx context.Context, name string) (projection.State, error) {
	ctx, cancel := context.WithTimeout(ctx, s.o.Timeout)
	defer cancel()
	state, err := s.state(ctx, name)
	if err == nil {
		state.Stop, err = s.stop(ctx, name)
	}
	if err != nil {
		return projection.State{}, fmt.Errorf("datastoresink: state of %s: %w", name, err)
	}
	return state, nil
}

// state reads the projection and then its checkpoints, until they belong together:
// a Reset may come between.
func (s *Sink) state(ctx context.Context, name string) (projection.State, error) {
	for {
		p, err := s.projection(ctx, s.client.GetMulti, name)
		if err != nil || p.Version == 0 {
			return projection.State{}, err
		}
		list, err := s.checkpoints(ctx, s.client.GetMulti, name, upTo(p.Shards))
		if err != nil {
			return projection.State{}, err
		}
		out := projection.State{Version: p.Version}
		for shard := range list {
			if list[shard].Rows != p.Rows {
				break
			}
			c, err := list[shard].of(shard)
			if err != nil {
				return projection.State{}, err
			}
			out.Checkpoints = append(out.Checkpoints, c)
		}
		if len(out.Checkpoints) == p.Shards {
			return out, nil
		}
		if err := pause(ctx, 1); err != nil {
			return projection.State{}, fmt.Errorf("a checkpoint is not that of the rows in %s: %w", p.Rows, err)
		}
	}
}

// upTo returns the shards 0 to n-1.
func upTo(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}
