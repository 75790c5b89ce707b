package drivertest_test

import (
	"context"
	"errors"

	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/internal/seal"
)

// onMove is a log with another Move.
type onMove struct {
	driver.Mover
	move func(ctx context.Context, log driver.Mover, w driver.Write) ([]driver.Moved, error)
}

func (b onMove) Move(ctx context.Context, w driver.Write) ([]driver.Moved, error) {
	return b.move(ctx, b.Mover, w)
}

func movers(f func(ctx context.Context, log driver.Mover, w driver.Write) ([]driver.Moved, error)) func(driver.Mover) driver.Mover {
	return func(log driver.Mover) driver.Mover { return onMove{log, f} }
}

var brokenMovers = map[string]mutant{
	"moves without revisions of keys": {promises: []string{"MoveInPlace"},
		moves: movers(func(ctx context.Context, log driver.Mover, w driver.Write) ([]driver.Moved, error) {
			for _, b := range w.Batches {
				for _, c := range b.Commits {
					for i := range c.Keys {
						c.Keys[i].Pos = max(c.Keys[i].Pos, 1)
					}
				}
			}
			return log.Move(ctx, w)
		})},
	"tells nothing of moves": {promises: []string{"MovePasses", "MoveTimes", "MoveChecks", "MoveRace"},
		moves: movers(func(ctx context.Context, log driver.Mover, w driver.Write) ([]driver.Moved, error) {
			_, err := log.Move(ctx, w)
			return nil, err
		})},
	"passes everything": {promises: []string{"MoveExcluded", "MoveChecks"},
		moves: movers(func(ctx context.Context, log driver.Mover, w driver.Write) ([]driver.Moved, error) {
			for i := range w.Batches {
				w.Batches[i].Unless = nil
			}
			return log.Move(ctx, w)
		})},
	"passes what is too late": {promises: []string{"MoveLatest"},
		moves: movers(func(ctx context.Context, log driver.Mover, w driver.Write) ([]driver.Moved, error) {
			w.Latest = 0
			return log.Move(ctx, w)
		})},
	"moves back": {promises: []string{"MoveGap"},
		moves: movers(func(ctx context.Context, log driver.Mover, w driver.Write) ([]driver.Moved, error) {
			moved, err := log.Move(ctx, w)
			if late := (*driver.TailError)(nil); errors.As(err, &late) {
				return log.Move(ctx, resealed(w, late.Tail+1))
			}
			return moved, err
		})},
	"passes what it does not know": {promises: []string{"MoveUntimed"},
		moves: movers(func(ctx context.Context, log driver.Mover, w driver.Write) ([]driver.Moved, error) {
			moved, err := log.Move(ctx, w)
			if late := (*driver.TailError)(nil); errors.As(err, &late) && late.Tail == 1 {
				return log.Move(ctx, resealed(w, 2))
			}
			return moved, err
		})},
	"seals whatever comes": {promises: []string{"MoveMalformed"},
		moves: movers(func(ctx context.Context, log driver.Mover, w driver.Write) ([]driver.Moved, error) {
			if len(w.Batches[0].Commits) > 0 && len(w.Batches[0].Commits[0].Data) > seal.Least {
				w = resealed(w, w.Batches[0].First)
			}
			return log.Move(ctx, w)
		})},
	"moves for nobody": {promises: []string{"MoveCancelled"},
		moves: movers(func(ctx context.Context, log driver.Mover, w driver.Write) ([]driver.Moved, error) {
			return log.Move(context.WithoutCancel(ctx), w)
		})},
}

// resealed is w with its first batch at another place.
func resealed(w driver.Write, first driver.Revision) driver.Write {
	b := &w.Batches[0]
	b.First = first
	for i := range b.Commits {
		c := &b.Commits[i]
		if c.Revision = first + driver.Revision(i); len(c.Data) >= seal.Least {
			seal.Set(c.Data, b.Shard, uint64(c.Revision), c.Time)
		}
	}
	return w
}
