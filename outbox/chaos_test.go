package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/outbox"
)

// TestExecutedIsCommitted: of 500 concurrent transactions a third runs into its
// deadline, a third into conflicts, and a third of all notifications is not
// published. When the sweeps have passed, the steps that were executed are those
// that were committed, each once, and nothing of an aborted one.
func TestExecutedIsCommitted(t *testing.T) {
	t.Parallel()
	for seed := range seeds(20) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { (&chaos{T: t, r: rand.New(rand.NewPCG(seed, 7))}).run(500) })
		})
	}
}

type chaos struct {
	*testing.T
	mu    sync.Mutex
	r     *rand.Rand
	fates map[int]error
}

func (c *chaos) odds(n int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.r.IntN(100) < n
}

// Publish fails now and then.
func (c *chaos) Publish(string, ...*message.Message) error {
	if c.odds(30) {
		return errors.New("no broker")
	}
	return nil
}

// Close does nothing.
func (c *chaos) Close() error { return nil }

func (c *chaos) run(n int) {
	c.fates = make(map[int]error)
	store := memlog.NewStore()
	l := openWith(c.T, store, few)
	var stops []func()
	for range 2 { // dispatchers in two processes
		stops = append(stops, start(c.T, runner(openWith(c.T, store, few), relaying)))
	}
	ctx, cancel := context.WithCancel(context.Background())
	told := make(chan error, 1)
	go func() { told <- (&outbox.Notifier{Log: l, Publisher: c}).Run(ctx) }()
	var clients sync.WaitGroup
	for i := range n {
		clients.Go(func() { c.client(l, i) })
	}
	clients.Wait()
	sleep(time.Minute)
	cancel()
	for _, stop := range stops {
		stop()
	}
	if err := <-told; err != nil {
		c.Error(err)
	}
	if left := pending(c.T, l); len(left) > 0 {
		c.Errorf("%d pending: %+v", len(left), left[0])
	}
	c.judge(l)
}

var errAborted = errors.New("aborted")

// client makes one transaction.
func (c *chaos) client(l *eventlog.Log, i int) {
	ctx := context.Background()
	if c.odds(30) {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(c.pick(3))*time.Nanosecond)
		defer cancel()
	}
	runs, conflicts, abort := 0, c.odds(30), c.odds(10)
	_, err := l.Update(ctx, func(tx *eventlog.Tx) error {
		if runs++; conflicts && runs < 4 { // somebody else is quicker
			for _, err := range tx.Read(eventlog.Query{Stream: "hot/1"}) {
				if err != nil {
					return err
				}
			}
			if _, err := l.Append(context.Background(), "hot/1", nil, Added{runs}); err != nil {
				return err
			}
		}
		if err := tx.Append(fmt.Sprintf("source/%d", i%17), Added{i}); err != nil {
			return err
		}
		if err := outbox.Enqueue(tx, Relay{[]string{fmt.Sprintf("a/%d", i%13), "end/0"}, i}); err != nil {
			return err
		}
		if abort {
			return errAborted
		}
		return nil
	})
	c.mu.Lock()
	c.fates[i] = err
	c.mu.Unlock()
}

func (c *chaos) pick(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.r.IntN(n)
}

// judge compares what was executed with what was committed, by the log and by
// what the clients were told.
func (c *chaos) judge(l *eventlog.Log) {
	committed := map[int]int{}
	for i := range 17 {
		for _, n := range added(c.T, l, fmt.Sprintf("source/%d", i)) {
			committed[n]++
		}
	}
	executed := map[int]int{}
	for _, n := range added(c.T, l, "end/0") {
		executed[n]++
	}
	refused := 0
	for n, err := range c.fates {
		want := 1
		switch {
		case errors.Is(err, eventlog.ErrUnknown):
			want = committed[n]
		case err != nil:
			want = 0
			refused++
		}
		if committed[n] != want || executed[n] != want || want > 1 {
			c.Errorf("transaction %d (%v): committed %d times, executed %d times", n, err, committed[n], executed[n])
		}
	}
	if len(c.fates) != 500 || refused < 50 || refused > 400 {
		c.Errorf("%d of %d were refused: the test shows little", refused, len(c.fates))
	}
}

// TestLeasesMoveAtRandom: two and four processes' worth of runners, which come,
// go and crash at random, do every step once, in order.
func TestLeasesMoveAtRandom(t *testing.T) {
	t.Parallel()
	for _, n := range []int{2, 4} {
		for seed := range seeds(10) {
			t.Run(fmt.Sprint(n, " runners, seed ", seed), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) { moveLeases(t, n, rand.New(rand.NewPCG(seed, uint64(n)))) })
			})
		}
	}
}

func moveLeases(t *testing.T, n int, r *rand.Rand) {
	store := memlog.NewStore()
	l := openWith(t, store, few)
	stop := make(chan struct{})
	var processes sync.WaitGroup
	for range n {
		r := rand.New(rand.NewPCG(r.Uint64(), 0))
		processes.Go(func() {
			for {
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration(r.Int64N(int64(20*time.Second))))
				own, err := eventlog.Open(context.Background(), store.Open(), few)
				if err != nil {
					t.Error(err)
				}
				runner := &outbox.Runner{Log: own, Handlers: []outbox.Handler{relaying}, Batch: 4, ReadAhead: 16, Sweep: 100 * time.Millisecond}
				if r.IntN(2) == 0 { // it crashes: nothing is given back
					context.AfterFunc(ctx, func() { _ = own.Close() })
					_ = runner.Run(context.WithoutCancel(ctx))
				} else if err := runner.Run(ctx); err != nil {
					t.Error(err)
				}
				cancel()
				_ = own.Close()
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	const steps = 300
	for i := range steps {
		enqueue(t, l, Relay{[]string{fmt.Sprintf("a/%d", i%5), "b/1"}, i})
		time.Sleep(time.Duration(r.Int64N(int64(400 * time.Millisecond))))
	}
	close(stop)
	processes.Wait()
	drain(t, runner(l, relaying))
	if left := pending(t, l); len(left) > 0 {
		t.Errorf("%d pending", len(left))
	}
	times := map[int]int{}
	for _, i := range added(t, l, "b/1") {
		times[i]++
	}
	for i := range steps {
		if times[i] != 1 {
			t.Errorf("step %d had its effect %d times", i, times[i])
		}
	}
	for k := range 5 {
		last := -1
		for _, i := range added(t, l, fmt.Sprintf("a/%d", k)) {
			if i <= last {
				t.Errorf("a/%d: %d behind %d", k, i, last)
			}
			last = i
		}
	}
}
