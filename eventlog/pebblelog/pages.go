package pebblelog

import (
	"context"
	"fmt"
)

// pages yields what next reads, page by page, until it says that there is no
// more. Between pages nothing of the engine is held, so an iteration may stand
// still for long, or be dropped. A page that comes with an error is yielded first.
func pages[T any](ctx context.Context, l *Log, yield func(T, error) bool, next func() (page []T, more bool, err error)) {
	for more := true; more; {
		var page []T
		err := ctx.Err()
		if err == nil {
			err = l.enter()
		}
		if err == nil {
			page, more, err = next()
			l.leave()
		}
		for i := range page {
			if ctx.Err() != nil {
				break
			}
			if !yield(page[i], nil) {
				return
			}
		}
		if e := ctx.Err(); e != nil && (more || err != nil || len(page) > 0) {
			err = e
		}
		if err != nil {
			var none T
			yield(none, fmt.Errorf("pebblelog: %w", err))
			return
		}
	}
}
