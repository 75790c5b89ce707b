package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
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

func refusedMessages(t testing.TB, i *outbox.Inbox) (list []outbox.RefusedMessage) {
	t.Helper()
	for r, err := range i.Refused(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, r)
	}
	return list
}

// TestInboxRecordsWhatItRefuses: what is refused for good is in the log, once,
// and acked; sent again once the fault is mended, it becomes a step.
func TestInboxRecordsWhatItRefuses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, b := eventlogtest.New(t), newMailbox()
		b.twice = true
		var out strings.Builder
		var mended atomic.Bool
		var hooked atomic.Int64
		i := receiving(l, b)
		i.Logger = slog.New(slog.NewTextHandler(&out, nil))
		i.Hooks.Refused = func(m *message.Message, err error) { hooked.Add(1) }
		i.Step = func(m *message.Message) (outbox.Step, error) {
			if mended.Load() {
				return addStep(m)
			}
			switch m.UUID {
			case "abort":
				return nil, fmt.Errorf("never: %w", outbox.Abort(errFail))
			case "no target":
				return Add{}, nil
			case "nil":
				return (*Add)(nil), nil
			case "large":
				return named{"test.large", "a/1", strings.Repeat("x", eventlog.MaxEvent)}, nil
			}
			return addStep(m)
		}
		stop := startRun(t, i)
		names := []string{"abort", "large", "nil", "no target"}
		for n, name := range names {
			m := letter(name, "a/1", n)
			m.Metadata["key"] = name
			b.post(m)
		}
		b.post(letter("good", "a/1", 10))
		b.post(message.NewMessage("undecodable", []byte("}")))
		time.Sleep(time.Minute)
		stop()
		var got []string
		refused := refusedMessages(t, &outbox.Inbox{Log: l, Name: "adds"})
		for _, r := range refused {
			got = append(got, r.UUID)
			if r.Topic != "adds" || r.Err == "" || r.ID != r.UUID || r.Truncated || r.Size != len(r.Payload) || r.Time.IsZero() {
				t.Errorf("%+v", r)
			}
		}
		slices.Sort(got)
		if want := []string{"abort", "large", "nil", "no target", "undecodable"}; !slices.Equal(got, want) {
			t.Errorf("refused %q, want %q", got, want)
		}
		if acked, nacked := b.counts(); acked != 12 || nacked != 0 || hooked.Load() != 10 || !strings.Contains(out.String(), "out of order") {
			t.Errorf("%d acked, %d nacked, %d hooked", acked, nacked, hooked.Load())
		}
		if got := steps(t, l); !slices.Equal(got, []int{10}) {
			t.Errorf("steps %v", got)
		}
		mended.Store(true)
		for _, r := range refused {
			if r.UUID != "undecodable" {
				b.post(r.Message())
			}
		}
		startRun(t, i)
		time.Sleep(time.Minute)
		if got := steps(t, l); !slices.Equal(got, []int{0, 1, 2, 3, 10}) {
			t.Errorf("mended: steps %v", got)
		}
	})
}

// TestInboxHostileMessages: whatever a message holds, it is acked, and what can be
// kept of it is.
func TestInboxHostileMessages(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, b := eventlogtest.New(t), newMailbox()
		i := receiving(l, b)
		i.Step = func(*message.Message) (outbox.Step, error) {
			return nil, outbox.Abort(errors.New(strings.Repeat("\xff", 1<<20)))
		}
		startRun(t, i)
		large := message.NewMessage("large", make([]byte, 2<<20))
		wild := message.NewMessage(strings.Repeat("\x00\xff", 1<<16), []byte{0xff})
		for n := range 2000 {
			wild.Metadata[fmt.Sprint(n)] = strings.Repeat("\x00", 100)
		}
		wild.Metadata[outbox.MetadataCorrelation], wild.Metadata[outbox.MetadataTraceparent] = "\xff", strings.Repeat("\xff", 1000)
		b.post(large, wild, message.NewMessage("", nil), message.NewMessage("", nil))
		time.Sleep(time.Minute)
		list := refusedMessages(t, i)
		if len(list) != 4 {
			t.Fatalf("%d refused", len(list))
		}
		for _, r := range list {
			switch {
			case r.UUID == "large":
				if r.Size != 2<<20 || len(r.Payload) != 400_000 || !r.Truncated {
					t.Errorf("large: %d of %d bytes", len(r.Payload), r.Size)
				}
			case r.UUID != "":
				if !r.Truncated || len(r.Metadata) == 0 || len(r.Metadata) > 300 {
					t.Errorf("wild: %d names", len(r.Metadata))
				}
			case !strings.Contains(r.Err, "UUID"):
				t.Errorf("without an id: %s", r.Err)
			}
		}
		if acked, nacked := b.counts(); acked != 4 || nacked != 0 {
			t.Errorf("%d acked, %d nacked", acked, nacked)
		}
	})
}

// TestInboxNacks what fails, with pauses, and holds nobody else up; panics are
// failures. nil without an error leaves no trace.
func TestInboxNacks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, b := eventlogtest.New(t), newMailbox()
		var attempts atomic.Int64
		var mended atomic.Bool
		i := receiving(l, b)
		i.Concurrency = 2
		i.Hooks.Failed = func(_ *message.Message, attempt int, _ error) {
			for a := attempts.Load(); int64(attempt) > a && !attempts.CompareAndSwap(a, int64(attempt)); a = attempts.Load() {
			}
		}
		i.Step = func(m *message.Message) (outbox.Step, error) {
			switch {
			case mended.Load():
			case m.UUID == "none":
				return nil, nil
			case strings.HasPrefix(m.UUID, "fail"):
				return nil, errFail
			case strings.HasPrefix(m.UUID, "panic"):
				panic("no")
			}
			return addStep(m)
		}
		startRun(t, i)
		for n := range 10 {
			b.post(letter(fmt.Sprint("fail", n), "a/1", n), letter(fmt.Sprint("panic", n), "a/1", 10+n))
		}
		b.post(letter("none", "a/1", 99))
		time.Sleep(10 * time.Second)
		for n := range 10 {
			b.post(letter(fmt.Sprint("good", n), "a/1", 20+n))
		}
		begin := time.Now()
		for len(steps(t, l)) < 10 {
			time.Sleep(10 * time.Millisecond)
			if time.Since(begin) > time.Second {
				t.Fatalf("steps %v", steps(t, l))
			}
		}
		time.Sleep(10 * time.Minute)
		if _, nacked := b.counts(); nacked < 20*10 || nacked > 20*40 || attempts.Load() < 10 {
			t.Errorf("%d nacked, %d attempts", nacked, attempts.Load())
		}
		if err := i.Health(t.Context()); !errors.Is(err, errFail) && !strings.Contains(fmt.Sprint(err), "panic") || !strings.Contains(fmt.Sprint(err), "20 messages") {
			t.Errorf("health: %v", err)
		}
		mended.Store(true)
		time.Sleep(2 * time.Minute)
		if got := len(steps(t, l)); got != 30 {
			t.Errorf("mended: %d steps", got)
		}
		if err := i.Health(t.Context()); err != nil {
			t.Errorf("mended: %v", err)
		}
	})
}

// TestInboxForgetsFailures of messages that do not come again.
func TestInboxForgetsFailures(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, b := eventlogtest.New(t), newMailbox()
		i := receiving(l, b)
		i.Step = func(*message.Message) (outbox.Step, error) { return nil, errFail }
		i.MaxBackoff = time.Second
		startRun(t, i)
		b.post(letter("1", "a/1", 1))
		time.Sleep(30 * time.Second)
		if err := i.Health(t.Context()); !errors.Is(err, errFail) {
			t.Errorf("health: %v", err)
		}
		b.mu.Lock()
		b.waiting = nil
		b.mu.Unlock()
		for b.takeAll() == 0 {
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(11 * time.Minute)
		if err := i.Health(t.Context()); err != nil {
			t.Errorf("health: %v", err)
		}
	})
}

// takeAll takes away what waits, as another subscriber does.
func (b *mailbox) takeAll() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := len(b.waiting)
	b.waiting = nil
	return n
}

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
