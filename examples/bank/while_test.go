package main

import (
	"context"
	"errors"
	"testing"
)

// TestWhile: a runner that fails ends those who wait for what it does.
func TestWhile(t *testing.T) {
	t.Parallel()
	wait := func(ctx context.Context) error { <-ctx.Done(); return nil }
	broken := errors.New("broken")
	err := while(context.Background(), func(context.Context) error { return broken }, func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	})
	if !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	err = while(context.Background(), wait, func(context.Context) error { return broken })
	if !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	if err := while(context.Background(), wait, func(context.Context) error { return nil }); err != nil {
		t.Errorf("error %v", err)
	}
}
