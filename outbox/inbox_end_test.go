package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
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

// TestInboxSubscribesAgain when a subscription fails.
func TestInboxSubscribesAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, b := eventlogtest.New(t), newMailbox()
		b.fails = 5
		i := receiving(l, b)
		startRun(t, i)
		b.post(letter("1", "a/1", 1))
		time.Sleep(100 * time.Millisecond)
		if err := i.Health(t.Context()); !errors.Is(err, errBroker) {
			t.Errorf("health: %v", err)
		}
		time.Sleep(time.Minute)
		if err := i.Health(t.Context()); err != nil || len(steps(t, l)) != 1 {
			t.Errorf("health: %v, %d steps", err, len(steps(t, l)))
		}
		deafened := receiving(l, b)
		deafened.Subscriber = deaf{}
		stop := startRun(t, deafened)
		time.Sleep(time.Hour)
		stop()
	})
}

// TestInboxEnds: Run finishes what is in hand within Grace, and what pauses is
// nacked at once; a Step that hangs is left behind. A closed log ends it.
func TestInboxEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, err := eventlog.Open(t.Context(), memlog.Open(), nil)
		if err != nil {
			t.Fatal(err)
		}
		b, gate := newMailbox(), make(chan struct{})
		i := receiving(l, b)
		i.Grace, i.Backoff = 3*time.Second, time.Minute
		i.Step = func(m *message.Message) (outbox.Step, error) {
			switch m.UUID {
			case "slow":
				time.Sleep(2 * time.Second)
			case "hangs":
				<-gate
			case "gives up":
				<-m.Context().Done()
				return nil, outbox.Abort(m.Context().Err())
			case "fails":
				return nil, errFail
			}
			return addStep(m)
		}
		b.post(letter("slow", "a/1", 1), letter("fails", "a/1", 2))
		stop := startRun(t, i)
		time.Sleep(time.Second)
		begin := time.Now()
		stop()
		time.Sleep(time.Millisecond)
		if acked, nacked := b.counts(); acked != 1 || nacked != 1 || time.Since(begin) > 1100*time.Millisecond {
			t.Errorf("%d acked, %d nacked, after %v", acked, nacked, time.Since(begin))
		}
		b.takeAll()
		b.post(letter("hangs", "a/1", 3), letter("gives up", "a/1", 4))
		stop = startRun(t, i)
		time.Sleep(time.Second)
		begin = time.Now()
		stop()
		if d := time.Since(begin); d != 3*time.Second {
			t.Errorf("Run ended after %v", d)
		}
		close(gate)
		synctest.Wait()
		if list := refusedMessages(t, i); len(list) != 0 {
			t.Errorf("refused %+v", list)
		}
		if got := steps(t, l); !slices.Equal(got, []int{1}) {
			t.Errorf("steps %v", got)
		}
		done := make(chan error, 1)
		go func() { done <- i.Run(context.Background()) }()
		time.Sleep(time.Second)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		b.post(letter("5", "a/1", 5))
		if err := <-done; !errors.Is(err, eventlog.ErrClosed) {
			t.Errorf("the log is closed: %v", err)
		}
	})
}

// TestInboxStoreDown: messages are nacked, none is lost, none doubled.
func TestInboxStoreDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := drivertest.NewFaulty(memlog.Open(), nil)
		l, err := eventlog.Open(t.Context(), f, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		b := newMailbox()
		i := receiving(l, b)
		i.Step = func(m *message.Message) (outbox.Step, error) {
			if m.UUID == "m3" {
				return nil, outbox.Abort(errFail)
			}
			return addStep(m)
		}
		stop := startRun(t, i)
		defer stop()
		f.Inject(func(c drivertest.Call) drivertest.Fault { return drivertest.Fault{Kind: drivertest.Fail} })
		for n := range 10 {
			b.post(letter(fmt.Sprint("m", n), "a/1", n))
		}
		time.Sleep(time.Minute)
		if acked, nacked := b.counts(); acked != 0 || nacked == 0 {
			t.Errorf("%d acked, %d nacked", acked, nacked)
		}
		if err := i.Health(t.Context()); !errors.Is(err, drivertest.ErrInjected) {
			t.Errorf("health: %v", err)
		}
		f.Inject(nil)
		time.Sleep(2 * time.Minute)
		if acked, _ := b.counts(); acked != 10 || len(steps(t, l)) != 9 || len(refusedMessages(t, i)) != 1 {
			t.Errorf("%d acked, steps %v, %d refused", acked, steps(t, l), len(refusedMessages(t, i)))
		}
	})
}
