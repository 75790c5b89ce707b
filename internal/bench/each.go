package bench

import (
	"context"
	"math/rand/v2"
	"sync"
)

// each runs work in n workers side by side, which end when one of them fails, and
// returns the first error.
func each(ctx context.Context, n int, seed uint64, work func(ctx context.Context, w *worker) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for i := range n {
		w := &worker{n: i, rng: rand.New(rand.NewPCG(seed, uint64(i)))}
		wg.Go(func() {
			if err := work(ctx, w); err != nil {
				cancel(err) // the first one counts
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}
