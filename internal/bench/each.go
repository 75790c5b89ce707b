package bench

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
)

// each runs work in n workers side by side and returns all errors.
func each(ctx context.Context, n int, seed uint64, work func(w *worker) error) error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		w := &worker{n: i, rng: rand.New(rand.NewPCG(seed, uint64(i)))}
		wg.Go(func() { errs[i] = work(w) })
	}
	wg.Wait()
	return errors.Join(append(errs, ctx.Err())...)
}
