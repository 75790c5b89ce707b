package gcppubsub

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"

	"cloud.google.com/go/pubsub/v2"
	"github.com/ThreeDotsLabs/watermill/message"
	"go.opentelemetry.io/otel/trace"
)

func withMetadata(pairs ...string) *message.Message {
	m := message.NewMessage("1", []byte("x"))
	for i := 0; i < len(pairs); i += 2 {
		m.Metadata[pairs[i]] = pairs[i+1]
	}
	return m
}

// What goes in comes out.
func TestMessagesComeBack(t *testing.T) {
	t.Parallel()
	m := withMetadata("ce-id", "7", "empty", "", "ce-partitionkey", "a/1", "ü", "¶")
	out, err := encode(m, "a/1")
	if err != nil {
		t.Fatal(err)
	}
	attempt := 3
	out.ID, out.DeliveryAttempt = "m1", &attempt
	back := decode(t.Context(), out)
	if back.UUID != "1" || string(back.Payload) != "x" || !maps.Equal(back.Metadata, m.Metadata) {
		t.Errorf("it came back as %s %q %v", back.UUID, back.Payload, back.Metadata)
	}
	if d, ok := DeliveryOf(back); !ok || d != (Delivery{ID: "m1", Key: "a/1", Attempt: 3}) {
		t.Errorf("%+v, %v", d, ok)
	}
	if _, ok := DeliveryOf(m); ok {
		t.Error("a message that was not delivered has a delivery")
	}
}

// One that another program wrote is known by Pub/Sub's id, and ordered by its key.
func TestForeignMessage(t *testing.T) {
	t.Parallel()
	m := decode(t.Context(), &pubsub.Message{ID: "m7", Data: []byte("x"), OrderingKey: "k", Attributes: map[string]string{"googclient_schemaencoding": "JSON", "a": "b"}})
	if want := (message.Metadata{"a": "b", "ce-partitionkey": "k"}); m.UUID != "m7" || !maps.Equal(m.Metadata, want) {
		t.Errorf("%s %v", m.UUID, m.Metadata)
	}
	if _, err := encode(m, "k"); err != nil {
		t.Errorf("it cannot be sent on: %v", err)
	}
}

// The trace context of the metadata, else of the span, else of the event travels.
func TestTraceContext(t *testing.T) {
	t.Parallel()
	const own, event, span = "00-11111111111111111111111111111111-2222222222222222-01", "00-33333333333333333333333333333333-4444444444444444-01", "00-55555555555555555555555555555555-6666666666666666-01"
	spanned := func(m *message.Message) *message.Message {
		c := trace.SpanContextConfig{TraceID: trace.TraceID([]byte(strings.Repeat("\x55", 16))), SpanID: trace.SpanID([]byte(strings.Repeat("\x66", 8))), TraceFlags: trace.FlagsSampled}
		m.SetContext(trace.ContextWithSpanContext(context.Background(), trace.NewSpanContext(c)))
		return m
	}
	for want, m := range map[string]*message.Message{
		own:   spanned(withMetadata("traceparent", own, "ce-traceparent", event)),
		span:  spanned(withMetadata("ce-traceparent", event)),
		event: withMetadata("ce-traceparent", event),
		"":    withMetadata(),
	} {
		out, err := encode(m, "")
		if err != nil {
			t.Fatal(err)
		}
		back := decode(t.Context(), out)
		if got := back.Metadata["traceparent"]; got != want {
			t.Errorf("the trace context is %q, want %q", got, want)
		}
		if sc := trace.SpanContextFromContext(back.Context()); sc.IsValid() != (want != "") || sc.IsValid() && (!sc.IsRemote() || !strings.Contains(want, sc.TraceID().String())) {
			t.Errorf("the context has %v, want %q", sc, want)
		}
	}
}

func TestUnfitMessages(t *testing.T) {
	t.Parallel()
	many := withMetadata()
	for i := range maxAttributes {
		many.Metadata[strings.Repeat("a", i+1)] = ""
	}
	for name, c := range map[string]struct {
		m    *message.Message
		key  string
		says string
	}{
		"no name":       {withMetadata("", "x"), "", `called ""`},
		"reserved":      {withMetadata("google", "x"), "", `called "google"`},
		"long name":     {withMetadata(strings.Repeat("n", 257), "x"), "", "name has 257 bytes, at most 256"},
		"long value":    {withMetadata("ce-subject", strings.Repeat("n", 1025)), "", "ce-subject has 1025 bytes, at most 1024"},
		"long key":      {withMetadata(), strings.Repeat("n", 1025), "ordering key has 1025 bytes"},
		"not UTF-8":     {withMetadata("a", "\xff"), "", "not UTF-8"},
		"key not UTF-8": {withMetadata(), "\xff", "not UTF-8"},
		"too many":      {many, "", "101 attributes, at most 100"},
	} {
		if _, err := encode(c.m, c.key); !errors.Is(err, ErrMessage) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
	if _, err := encode(withMetadata("a", strings.Repeat("n", 1024), strings.Repeat("n", 256), ""), strings.Repeat("n", 1024)); err != nil {
		t.Errorf("at the limits: %v", err)
	}
}
