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
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
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
