package main

import "context"

// while runs a runner for as long as fn takes. When the runner fails, fn's ctx
// ends.
func while(ctx context.Context, runner, fn func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var failed error
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer cancel()
		failed = runner(ctx)
	}()
	err := fn(ctx)
	cancel()
	<-done
	if failed != nil {
		return failed
	}
	return err
}
