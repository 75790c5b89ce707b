package outbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
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

// A mailbox is a subscriber that delivers each message again until it is acked,
// and more often if told so.
type mailbox struct {
	twice bool // each message is delivered by two goroutines

	mu        sync.Mutex
	waiting   []*message.Message
	delivered int
	acked     map[string]int
	nacked    map[string]int
	fails     int // subscriptions to fail
}

func newMailbox() *mailbox {
	return &mailbox{acked: make(map[string]int), nacked: make(map[string]int)}
}

func (b *mailbox) post(list ...*message.Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range list {
		b.waiting = append(b.waiting, m)
		if b.twice {
			b.waiting = append(b.waiting, m)
		}
	}
}

func (b *mailbox) Subscribe(ctx context.Context, _ string) (<-chan *message.Message, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fails > 0 {
		b.fails--
		return nil, errBroker
	}
	out := make(chan *message.Message)
	go b.deliver(ctx, out)
	return out, nil
}

func (b *mailbox) Close() error { return nil }

func (b *mailbox) deliver(ctx context.Context, out chan *message.Message) {
	var work sync.WaitGroup
	defer close(out)
	defer work.Wait()
	for ctx.Err() == nil {
		m := b.next()
		if m == nil {
			select {
			case <-time.After(10 * time.Millisecond):
			case <-ctx.Done():
			}
			continue
		}
		again := m.Copy()
		again.SetContext(ctx)
		select {
		case out <- again:
			work.Go(func() { b.await(ctx, m, again) })
		case <-ctx.Done():
			b.back(m)
		}
	}
}

func (b *mailbox) next() *message.Message {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) == 0 {
		return nil
	}
	m := b.waiting[0]
	b.waiting = b.waiting[1:]
	b.delivered++
	return m
}

func (b *mailbox) back(m *message.Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting = append(b.waiting, m)
}

func (b *mailbox) await(ctx context.Context, m, delivered *message.Message) {
	select {
	case <-delivered.Acked():
		b.mu.Lock()
		defer b.mu.Unlock()
		b.acked[m.UUID]++
		return
	case <-delivered.Nacked():
		b.mu.Lock()
		b.nacked[m.UUID]++
		b.mu.Unlock()
	case <-ctx.Done():
	}
	b.back(m)
}

// counts returns how many deliveries were acked and nacked.
func (b *mailbox) counts() (acked, nacked int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, n := range b.acked {
		acked += n
	}
	for _, n := range b.nacked {
		nacked += n
	}
	return acked, nacked
}

// letter is a message that asks for Add.
func letter(uuid, to string, n int) *message.Message {
	data, err := json.Marshal(Add{to, n})
	if err != nil {
		panic(err)
	}
	return message.NewMessage(uuid, data)
}

func addStep(m *message.Message) (outbox.Step, error) {
	var a Add
	if err := json.Unmarshal(m.Payload, &a); err != nil {
		return nil, outbox.Abort(err)
	}
	return a, nil
}

func receiving(l *eventlog.Log, b *mailbox) *outbox.Inbox {
	return &outbox.Inbox{Log: l, Name: "adds", Subscriber: b, Topic: "adds", Step: addStep}
}

// steps returns the numbers of the pending steps.
func steps(t testing.TB, l *eventlog.Log) (list []int) {
	t.Helper()
	for _, i := range pending(t, l) {
		var a Add
		if err := json.Unmarshal(i.Data, &a); err != nil {
			t.Fatal(err)
		}
		list = append(list, a.N)
	}
	slices.Sort(list)
	return list
}

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

// TestInboxIDs: what a message is known by.
func TestInboxIDs(t *testing.T) {
	t.Parallel()
	with := func(uuid string, meta ...string) *message.Message {
		m := letter(uuid, "a/1", 1)
		for i := 0; i < len(meta); i += 2 {
			m.Metadata[meta[i]] = meta[i+1]
		}
		return m
	}
	structured := func(uuid, payload string) *message.Message {
		m := message.NewMessage(uuid, []byte(payload))
		m.Metadata["content-type"] = "application/cloudevents+json; charset=utf-8"
		return m
	}
	for name, c := range map[string]struct {
		messages []*message.Message
		want     int
	}{
		"UUID":                       {[]*message.Message{with("1"), with("1"), with("2")}, 2},
		"CloudEvent, other UUID":     {[]*message.Message{with("1", "ce-id", "x", "ce-source", "/s"), with("2", "ce-id", "x", "ce-source", "/s")}, 1},
		"other source":               {[]*message.Message{with("1", "ce-id", "x", "ce-source", "/s"), with("1", "ce-id", "x", "ce-source", "/t")}, 2},
		"no source":                  {[]*message.Message{with("1", "ce-id", "x"), with("2", "ce-id", "x")}, 2},
		"nothing runs together":      {[]*message.Message{with("1", "ce-id", "xy", "ce-source", "z"), with("2", "ce-id", "x", "ce-source", "yz")}, 2},
		"Kafka's and HTTP's names":   {[]*message.Message{with("1", "ce_id", "x", "ce_source", "/s"), with("2", "Ce-Id", "x", "CE-SOURCE", "/s")}, 1},
		"of several the same":        {[]*message.Message{with("1", "Ce-Id", "x", "CE-ID", "y", "ce-source", "/"), with("2", "CE-ID", "y", "Ce-Id", "x", "ce-source", "/")}, 1},
		"structured":                 {[]*message.Message{structured("1", `{"id":"x","source":"/s"}`), structured("2", `{"source":"/s","id":"x"}`), structured("3", `[]`)}, 2},
		"long and strange":           {[]*message.Message{with("1", "ce-id", strings.Repeat("\xff\x00/", 5000), "ce-source", "\n"), with("2", "ce-id", strings.Repeat("\xff\x00/", 5000), "ce-source", "\n")}, 1},
		"partition key, same id":     {[]*message.Message{with("1", "ce-partitionkey", "k"), with("1", "ce-partitionkey", "k")}, 1},
		"a UUID is no CloudEvent id": {[]*message.Message{with("x"), with("1", "ce-id", "x", "ce-source", "uuid")}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l, b := eventlogtest.New(t), newMailbox()
				i := receiving(l, b)
				i.Step = func(*message.Message) (outbox.Step, error) { return Add{"a/1", 1}, nil }
				startRun(t, i)
				b.post(c.messages...)
				time.Sleep(time.Minute)
				if n := len(steps(t, l)); n != c.want {
					t.Errorf("%d steps, want %d", n, c.want)
				}
				if acked, _ := b.counts(); acked != len(c.messages) {
					t.Errorf("%d acked", acked)
				}
			})
		})
	}
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

// TestInboxChains: the step belongs to the chain that its message says.
func TestInboxChains(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, b := eventlogtest.New(t), newMailbox()
		startRun(t, receiving(l, b))
		const chain, cause = "0198c3f0-7b1e-7c4a-9d3e-000000000000", "0198c3f0-7b1e-7c4a-9d3e-000000000001"
		m := letter("1", "a/1", 1)
		m.Metadata[outbox.MetadataCorrelation], m.Metadata[outbox.MetadataID], m.Metadata[outbox.MetadataSource] = chain, cause, "/s"
		m.Metadata[outbox.MetadataTraceparent] = "00-1-2-01"
		b.post(m, letter("2", "a/1", 2))
		time.Sleep(time.Minute)
		for _, i := range pending(t, l) {
			if (string(i.Data) == `{"To":"a/1","N":1}`) != (i.Chain.String() == chain) || i.Chain.IsZero() {
				t.Errorf("%s: chain %v", i.Data, i.Chain)
			}
		}
		found := false
		for r, err := range l.Read(t.Context(), eventlog.Query{System: true, Category: "$steps"}) {
			if err != nil {
				t.Fatal(err)
			}
			if r.Meta.Causation.String() == cause && r.Meta.Traceparent == "00-1-2-01" && r.Meta.Extra["source"] == "/s" {
				found = true
			}
		}
		if !found {
			t.Error("the commit does not say where it comes from")
		}
	})
}

func TestInboxRefuses(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	for name, change := range map[string]func(*outbox.Inbox){
		"no log":               func(i *outbox.Inbox) { i.Log = nil },
		"no step":              func(i *outbox.Inbox) { i.Step = nil },
		"no subscriber":        func(i *outbox.Inbox) { i.Subscriber = nil },
		"no topic":             func(i *outbox.Inbox) { i.Topic = "" },
		"no name":              func(i *outbox.Inbox) { i.Name = "" },
		"slash":                func(i *outbox.Inbox) { i.Name = "a/b" },
		"negative concurrency": func(i *outbox.Inbox) { i.Concurrency = -1 },
		"absurd concurrency":   func(i *outbox.Inbox) { i.Concurrency = 1e9 },
		"negative grace":       func(i *outbox.Inbox) { i.Grace = -1 },
		"absurd grace":         func(i *outbox.Inbox) { i.Grace = 1e18 },
		"negative backoff":     func(i *outbox.Inbox) { i.Backoff = -1 },
	} {
		i := receiving(l, newMailbox())
		change(i)
		if i.Check() == nil || i.Run(t.Context()) == nil {
			t.Errorf("%s: runs", name)
		}
	}
	if err := receiving(l, newMailbox()).Check(); err != nil {
		t.Error(err)
	}
	for _, err := range (&outbox.Inbox{Log: l}).Refused(t.Context()) {
		if err == nil {
			t.Error("refused messages of nobody")
		}
	}
	if err := receiving(l, newMailbox()).Health(t.Context()); err == nil || errors.Is(err, errBroker) {
		t.Errorf("healthy without a run: %v", err)
	}
}
