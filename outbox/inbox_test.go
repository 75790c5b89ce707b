package outbox_test

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/outbox"
)

// TestInboxTakesEachMessageOnce: messages that are delivered twice at the same
// time, and again later, become one step each.
func TestInboxTakesEachMessageOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, b := eventlogtest.New(t), newMailbox()
		b.twice = true
		var first, again atomic.Int64
		i := receiving(l, b)
		i.Hooks.Taken = func(_ *message.Message, before bool) {
			if before {
				again.Add(1)
			} else {
				first.Add(1)
			}
		}
		startRun(t, i)
		for range 2 {
			for n := range 100 {
				b.post(letter(fmt.Sprint("m", n), fmt.Sprintf("a/%d", n%7), n))
			}
			time.Sleep(time.Minute)
		}
		got := steps(t, l)
		for n := range 100 {
			if n >= len(got) || got[n] != n {
				t.Fatalf("steps %v", got)
			}
		}
		if acked, nacked := b.counts(); len(got) != 100 || acked != 400 || nacked != 0 || first.Load() != 100 || again.Load() != 300 {
			t.Errorf("%d steps, %d acked, %d nacked, %d taken, %d had been", len(got), acked, nacked, first.Load(), again.Load())
		}
		if err := i.Health(t.Context()); err != nil {
			t.Errorf("health: %v", err)
		}
	})
}

// TestInboxAcksWhatIsDurable, and not before; messages side by side share writes.
func TestInboxAcksWhatIsDurable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := drivertest.NewFaulty(memlog.Open(), nil)
		l, err := eventlog.Open(t.Context(), f, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		gate := make(chan struct{})
		f.Inject(func(c drivertest.Call) drivertest.Fault {
			if c.Method == "Write" {
				return drivertest.Fault{Before: gate}
			}
			return drivertest.Fault{}
		})
		b := newMailbox()
		for n := range 64 {
			b.post(letter(fmt.Sprint("m", n), "a/1", n))
		}
		stop := startRun(t, receiving(l, b))
		defer stop()
		before := f.Calls("Write")
		time.Sleep(time.Second)
		if acked, nacked := b.counts(); acked != 0 || nacked != 0 {
			t.Errorf("%d acked, %d nacked, and nothing is durable", acked, nacked)
		}
		close(gate)
		time.Sleep(time.Second)
		if acked, _ := b.counts(); acked != 64 || len(steps(t, l)) != 64 {
			t.Errorf("%d acked, %d steps", acked, len(steps(t, l)))
		}
		if n := f.Calls("Write") - before; n > 4 {
			t.Errorf("%d writes for 64 messages", n)
		}
	})
}

// TestInboxKeepsTheOrderOfAPartition.
func TestInboxKeepsTheOrderOfAPartition(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, b := eventlogtest.New(t), newMailbox()
		startRun(t, receiving(l, b))
		var want []int
		for n := range 50 {
			m := letter(fmt.Sprint("m", n), "a/1", n)
			m.Metadata[outbox.MetadataOrderingKey] = "a/1"
			b.post(m)
			time.Sleep(time.Second) // a broker that keeps an order waits for the ack
			want = append(want, n)
		}
		drain(t, runner(l, adding))
		if got := added(t, l, "a/1"); !slices.Equal(got, want) {
			t.Errorf("ran as %v", got)
		}
	})
}
