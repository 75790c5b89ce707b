package outbox_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/outbox"
)

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
		"nothing runs together":      {[]*message.Message{with("1", "ce-id", "bc", "ce-source", "a", "ce-partitionkey", "k"), with("2", "ce-id", "c", "ce-source", "ab", "ce-partitionkey", "k")}, 2},
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
