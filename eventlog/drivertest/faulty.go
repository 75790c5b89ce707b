package drivertest

import (
	"context"
	"errors"
	"iter"
	"sync"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// A Faulty is a log over another one that does wrong, by a plan, what a store
// and the way to it can do wrong: calls fail, answers get lost, writes arrive
// after everybody took them for dead, iterations break in the middle. What it
// answers stays within the contract of [driver.Log] (but for the kind Ahead),
// so whatever stands on a Log must survive any plan.
//
// Several may stand over one log, as processes with connections of their own.
type Faulty struct {
	log driver.Log

	mu       sync.Mutex
	plan     Plan
	total    int
	calls    map[string]int
	injected [kinds]int
	late     []lateWrite
}

// NewFaulty returns a log over log that has the faults of plan. Closing it closes
// log.
func NewFaulty(log driver.Log, plan Plan) *Faulty {
	return &Faulty{log: log, plan: plan, calls: make(map[string]int)}
}

// Inject makes plan the plan of all later calls; nil ends the faults. The
// counts of calls go on.
func (f *Faulty) Inject(plan Plan) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.plan = plan
}

// Calls returns how often a method was called, faults included.
func (f *Faulty) Calls(method string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[method]
}

// Injected returns how many calls had a fault of this kind. A test that rests
// on a fault checks that there was one.
func (f *Faulty) Injected(k Kind) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.injected[k]
}

// begin counts a call, delivers what is due before it, asks the plan, and waits
// where the plan says so.
func (f *Faulty) begin(ctx context.Context, c Call) (Fault, error) {
	f.mu.Lock()
	f.total++
	f.calls[c.Method]++
	c.N, c.Total = f.calls[c.Method], f.total
	due := f.due()
	var fault Fault
	if f.plan != nil {
		fault = f.plan(c)
	}
	if !suits(fault.Kind, c.Method) {
		fault.Kind = None
	}
	f.injected[fault.Kind]++
	f.mu.Unlock()

	f.deliver(context.WithoutCancel(ctx), due)
	return fault, wait(ctx, fault.Before)
}

func suits(k Kind, method string) bool {
	switch k {
	case Lose, Drop:
		return method == "Write" || method == "Move"
	case Late:
		return method == "Write"
	case Hide, Ahead:
		return method == "Watch"
	}
	return true
}

func wait(ctx context.Context, gate <-chan struct{}) error {
	if gate == nil {
		return nil
	}
	select {
	case <-gate:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (f *Faulty) Write(ctx context.Context, w driver.Write) error {
	return f.send(ctx, "Write", w, func(ctx context.Context) error { return f.log.Write(ctx, w) })
}

// send brings w to the store, with the faults of a method.
func (f *Faulty) send(ctx context.Context, method string, w driver.Write, do func(context.Context) error) error {
	fault, err := f.begin(ctx, Call{Method: method, Write: &w})
	if err != nil {
		return err
	}
	switch fault.Kind {
	case Fail:
		return fault.err()
	case Drop:
		err = unknown(Drop)
	case Late:
		f.postpone(w, fault.N)
		err = unknown(Late)
	case Lose:
		_ = do(context.WithoutCancel(ctx)) // what is lost is just this answer
		err = unknown(Lose)
	default:
		err = do(ctx)
	}
	if wait(ctx, fault.After) != nil {
		return unknown(Lose)
	}
	return err
}

// Mover is f as a log that moves Writes, over one that does. Its calls are "Move" for the
// plan.
func (f *Faulty) Mover() driver.Mover { return faultyMover{f} }

type faultyMover struct{ *Faulty }

func (f faultyMover) Move(ctx context.Context, w driver.Write) (moved []driver.Moved, err error) {
	m, ok := f.log.(driver.Mover)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	err = f.send(ctx, "Move", w, func(ctx context.Context) (err error) {
		moved, err = m.Move(ctx, w)
		return err
	})
	if err != nil {
		return nil, err
	}
	return moved, nil
}

func (f *Faulty) Tail(ctx context.Context, shard int) (driver.Revision, error) {
	fault, err := f.begin(ctx, Call{Method: "Tail", Shard: shard})
	if err != nil {
		return 0, err
	}
	if fault.Kind == Fail {
		return 0, fault.err()
	}
	rev, err := f.log.Tail(ctx, shard)
	if ended := wait(ctx, fault.After); ended != nil {
		return 0, ended
	}
	return rev, err
}

// Exclusive reports what the log below reports.
func (f *Faulty) Exclusive() bool { return f.log.Exclusive() }

// Wide is that of the log behind it.
func (f *Faulty) Wide() bool { return driver.Wide(f.log) }

// Close closes the log below. It has no faults. Writes that are still under way
// never arrive; Deliver them first where they shall.
func (f *Faulty) Close() error {
	f.mu.Lock()
	f.late = nil
	f.mu.Unlock()
	return f.log.Close()
}

func (f *Faulty) Read(ctx context.Context, shard int, r driver.Range) iter.Seq2[driver.Commit, error] {
	return cut(ctx, f, Call{Method: "Read", Shard: shard}, f.log.Read(ctx, shard, r))
}

func (f *Faulty) Find(ctx context.Context, shard int, key string, r driver.Range) iter.Seq2[driver.Commit, error] {
	return cut(ctx, f, Call{Method: "Find", Shard: shard, Key: key}, f.log.Find(ctx, shard, key, r))
}

func (f *Faulty) Keys(ctx context.Context, shard int, prefix, after string) iter.Seq2[driver.Key, error] {
	return cut(ctx, f, Call{Method: "Keys", Shard: shard, Key: prefix}, f.log.Keys(ctx, shard, prefix, after))
}

func (f *Faulty) Cells(ctx context.Context, from, to string, limit int) iter.Seq2[driver.Cell, error] {
	return cut(ctx, f, Call{Method: "Cells", Key: from}, f.log.Cells(ctx, from, to, limit))
}

// cut is an iteration that fails where the plan says so.
func cut[T any](ctx context.Context, f *Faulty, c Call, items iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		fault, err := f.begin(ctx, c)
		switch {
		case err != nil:
			var zero T
			yield(zero, err)
		case fault.Kind == Fail:
			failAfter(items, fault, yield)
		default:
			items(yield)
		}
	}
}

// failAfter yields the first fault.N items, fewer where there are not so many,
// and then the error.
func failAfter[T any](items iter.Seq2[T, error], fault Fault, yield func(T, error) bool) {
	if n := fault.N; n > 0 {
		for item, err := range items {
			if !yield(item, err) || err != nil {
				return
			}
			if n--; n == 0 {
				break
			}
		}
	}
	var zero T
	yield(zero, fault.err())
}

func (f *Faulty) Watch(ctx context.Context) iter.Seq2[driver.Head, error] {
	return func(yield func(driver.Head, error) bool) {
		fault, err := f.begin(ctx, Call{Method: "Watch"})
		if err != nil {
			yield(driver.Head{}, err)
			return
		}
		heads := f.log.Watch(ctx)
		switch fault.Kind {
		case Fail:
			failAfter(heads, fault, yield)
		case Hide:
			for _, err := range heads {
				if err != nil {
					yield(driver.Head{}, err)
					return
				}
			}
		case Ahead:
			for h, err := range heads {
				if !yield(h, err) || err != nil {
					return
				}
				h.Revision += driver.Revision(max(fault.N, 1))
				if !yield(h, nil) {
					return
				}
			}
		default:
			heads(yield)
		}
	}
}
