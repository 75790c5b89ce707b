package outbox_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/go-cmp/cmp"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/outbox"
)

// TestRelayMessage: the message is a CloudEvent.
func TestRelayMessage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		codec := eventlog.Codec{Name: "proto", Marshal: func(any) ([]byte, error) { return []byte{0, 1}, nil }, Unmarshal: func([]byte, any) error { return nil }}
		l := eventlogtest.Open(t, &eventlog.Options{Codecs: map[string]eventlog.Codec{"test.seen": codec}})
		var chain eventlog.ID
		_, err := l.Update(t.Context(), func(tx *eventlog.Tx) error {
			chain = tx.ID()
			return tx.Append("a/ü|1", Added{1})
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = l.Update(t.Context(), func(tx *eventlog.Tx) error {
			*tx.Meta() = eventlog.Meta{Correlation: chain, Causation: chain, Actor: "ann", Traceparent: "00-1-2-01"}
			return tx.Append("a/ü|1", Seen{})
		})
		if err != nil {
			t.Fatal(err)
		}
		b := &broker{}
		r := publishing(l, b)
		r.Types, r.Source, r.ContentTypes = nil, "/bank", map[string]string{"proto": "application/protobuf"}
		stop := startRun(t, r)
		synctest.Wait()
		stop()
		if len(b.messages) != 2 {
			t.Fatalf("%d messages", len(b.messages))
		}
		records := []eventlog.Record{}
		for rec, err := range l.Read(t.Context(), eventlog.Query{}) {
			if err != nil {
				t.Fatal(err)
			}
			records = append(records, rec)
		}
		want := []message.Metadata{{
			"ce-specversion": "1.0", "ce-id": records[0].ID.String(), "ce-source": "/bank", "ce-type": "test.added", "ce-subject": "a/ü|1",
			"ce-time": records[0].Time.Format(time.RFC3339Nano), "Content-Type": "application/json", "ce-partitionkey": "a/ü|1", "ce-streamversion": "1",
			"ce-correlationid": chain.String(),
		}, {
			"ce-specversion": "1.0", "ce-id": records[1].ID.String(), "ce-source": "/bank", "ce-type": "test.seen", "ce-subject": "a/ü|1",
			"ce-time": records[1].Time.Format(time.RFC3339Nano), "Content-Type": "application/protobuf", "ce-partitionkey": "a/ü|1", "ce-streamversion": "2",
			"ce-correlationid": chain.String(), "ce-causationid": chain.String(), "ce-traceparent": "00-1-2-01",
		}}
		for i, m := range b.all() {
			if diff := cmp.Diff(want[i], m.Metadata); diff != "" {
				t.Errorf("message %d (-want +got):\n%s", i, diff)
			}
			if m.UUID != records[i].ID.String() || string(m.Payload) != string(records[i].Data) {
				t.Errorf("message %d: %s %q", i, m.UUID, m.Payload)
			}
		}
	})
}

// TestRelaySelects: types, categories, where it begins, and topics; "" is none.
func TestRelaySelects(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := eventlogtest.New(t)
		add(t, l, "a/1", 1)
		add(t, l, "b/1", 1)
		if _, err := l.Append(t.Context(), "a/1", nil, Seen{}); err != nil {
			t.Fatal(err)
		}
		enqueue(t, l, Add{"a/1", 3})
		half, err := l.Position(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		add(t, l, "a/1", 1, 2, 3)
		even := func(r eventlog.Record) string {
			if r.Version%2 == 0 {
				return "even"
			}
			return ""
		}
		for i, c := range []struct {
			relay *outbox.Relay
			want  []string
		}{
			{&outbox.Relay{Topic: "x"}, []string{"a/1 1", "a/1 2", "a/1 3", "a/1 4", "a/1 5", "b/1 1"}},
			{&outbox.Relay{Topic: "x", Types: []string{"test.seen"}}, []string{"a/1 2"}},
			{&outbox.Relay{Topic: "x", Category: "b"}, []string{"b/1 1"}},
			{&outbox.Relay{Topic: "x", After: half}, []string{"a/1 3", "a/1 4", "a/1 5"}},
			{&outbox.Relay{TopicOf: even}, []string{"a/1 2", "a/1 4"}},
		} {
			b := &broker{}
			c.relay.Log, c.relay.Publisher, c.relay.Name = l, b, fmt.Sprint("relay ", i)
			for range 2 { // what was published is not published again
				stop := startRun(t, c.relay)
				time.Sleep(time.Second)
				stop()
			}
			got := b.list()
			slices.Sort(got)
			if !slices.Equal(got, c.want) {
				t.Errorf("%d: %q, want %q", i, got, c.want)
			}
		}
	})
}

func TestRelayRefuses(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	for name, change := range map[string]func(*outbox.Relay){
		"no log":            func(r *outbox.Relay) { r.Log = nil },
		"no publisher":      func(r *outbox.Relay) { r.Publisher = nil },
		"no topic":          func(r *outbox.Relay) { r.Topic = "" },
		"two topics":        func(r *outbox.Relay) { r.TopicOf = func(eventlog.Record) string { return "" } },
		"no name":           func(r *outbox.Relay) { r.Name = "" },
		"slash":             func(r *outbox.Relay) { r.Name = "a/b" },
		"no source":         func(r *outbox.Relay) { r.Source = "%zz" },
		"negative pipeline": func(r *outbox.Relay) { r.Pipeline = -1 },
		"absurd pipeline":   func(r *outbox.Relay) { r.Pipeline = 1e9 },
		"negative batch":    func(r *outbox.Relay) { r.Batch = -1 },
		"absurd batch":      func(r *outbox.Relay) { r.Batch = 1e9 },
		"negative window":   func(r *outbox.Relay) { r.Window = -1 },
		"absurd window":     func(r *outbox.Relay) { r.Window = 1e9 },
		"negative timeout":  func(r *outbox.Relay) { r.Timeout = -1 },
		"absurd timeout":    func(r *outbox.Relay) { r.Timeout = 1e18 },
		"negative grace":    func(r *outbox.Relay) { r.Grace = -1 },
		"absurd grace":      func(r *outbox.Relay) { r.Grace = 1e18 },
		"negative lease":    func(r *outbox.Relay) { r.Lease = -1 },
		"absurd lease":      func(r *outbox.Relay) { r.Lease = 1e18 },
		"negative backoff":  func(r *outbox.Relay) { r.Backoff = -1 },
	} {
		r := publishing(l, &broker{})
		change(r)
		if err := r.Run(t.Context()); err == nil {
			t.Errorf("%s: runs", name)
		}
	}
	r := &outbox.Relay{Log: l}
	if _, err := r.Status(t.Context()); err == nil {
		t.Error("status without a name")
	}
	if err := r.Health(context.Background()); err == nil {
		t.Error("healthy without a run")
	}
}
