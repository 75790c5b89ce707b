package gcppubsub

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"
	"unicode/utf8"

	"cloud.google.com/go/pubsub/v2"
	"github.com/ThreeDotsLabs/watermill/message"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/rollforward/rollforward/outbox"
)

// ErrMessage is what Pub/Sub would refuse for ever: too many or too long
// attributes (the message's metadata), names that it keeps for itself, or text
// that is not UTF-8.
var ErrMessage = errors.New("not a message for Pub/Sub")

// The limits of Pub/Sub, which no emulator enforces.
const (
	maxAttributes = 100
	maxName       = 256  // bytes of an attribute's name
	maxValue      = 1024 // bytes of an attribute's value, and of an ordering key
)

// uuidAttribute holds the UUID, as in watermill-googlecloud.
const uuidAttribute = "_watermill_message_uuid"

const traceparent = "traceparent" // W3C

// encode makes a message of Pub/Sub. The metadata are the attributes.
func encode(m *message.Message, key string) (*pubsub.Message, error) {
	attributes := make(map[string]string, len(m.Metadata)+2)
	maps.Copy(attributes, m.Metadata)
	attributes[uuidAttribute] = m.UUID
	traced(m, attributes)
	if len(attributes) > maxAttributes {
		return nil, fmt.Errorf("%w: %d attributes, at most %d", ErrMessage, len(attributes), maxAttributes)
	}
	for name, value := range attributes {
		if err := checkAttribute(name, value); err != nil {
			return nil, err
		}
	}
	if err := checkText("the ordering key", key, maxValue); err != nil {
		return nil, err
	}
	return &pubsub.Message{Data: m.Payload, Attributes: attributes, OrderingKey: key}, nil
}

func checkAttribute(name, value string) error {
	if name == "" || strings.HasPrefix(name, "goog") {
		return fmt.Errorf("%w: an attribute called %q", ErrMessage, name)
	}
	if err := checkText("an attribute's name", name, maxName); err != nil {
		return err
	}
	return checkText("the attribute "+name, value, maxValue)
}

func checkText(what, text string, most int) error {
	switch {
	case len(text) > most:
		return fmt.Errorf("%w: %s has %d bytes, at most %d", ErrMessage, what, len(text), most)
	case !utf8.ValidString(text):
		return fmt.Errorf("%w: %s is not UTF-8: %.60q", ErrMessage, what, text)
	}
	return nil
}

// traced adds the trace context: that of the metadata, of the span in the
// message's context, or of the event that it carries.
func traced(m *message.Message, attributes map[string]string) {
	if attributes[traceparent] != "" {
		return
	}
	if trace.SpanContextFromContext(m.Context()).IsValid() {
		propagation.TraceContext{}.Inject(m.Context(), propagation.MapCarrier(attributes))
		return
	}
	if of := attributes[outbox.MetadataTraceparent]; of != "" {
		attributes[traceparent] = of
	}
}

// A Delivery is what Pub/Sub says of a message beside its metadata.
type Delivery struct {
	ID        string // that Pub/Sub gave it, unique in its topic
	Published time.Time
	Key       string // ordering key
	// Attempt counts the deliveries, from 1; 0 without a dead-letter policy, when
	// nobody counts.
	Attempt int
}

type deliveryKey struct{}

// DeliveryOf returns what Pub/Sub says of a message that a Subscriber brought.
func DeliveryOf(m *message.Message) (d Delivery, ok bool) {
	d, ok = m.Context().Value(deliveryKey{}).(Delivery)
	return d, ok
}

// decode makes a message for Watermill. One without a UUID, by another program,
// gets the id that Pub/Sub gave it, so that it is the same at each delivery.
func decode(ctx context.Context, from *pubsub.Message) *message.Message {
	uuid := from.Attributes[uuidAttribute]
	if uuid == "" {
		uuid = from.ID
	}
	m := message.NewMessage(uuid, from.Data)
	for name, value := range from.Attributes {
		if name != uuidAttribute && !strings.HasPrefix(name, "goog") { // the libraries' own
			m.Metadata[name] = value
		}
	}
	if key := from.OrderingKey; key != "" && m.Metadata[outbox.MetadataOrderingKey] == "" {
		m.Metadata[outbox.MetadataOrderingKey] = key
	}
	d := Delivery{ID: from.ID, Published: from.PublishTime, Key: from.OrderingKey}
	if from.DeliveryAttempt != nil {
		d.Attempt = *from.DeliveryAttempt
	}
	carrier := propagation.MapCarrier(from.Attributes)
	m.SetContext(context.WithValue(propagation.TraceContext{}.Extract(ctx, carrier), deliveryKey{}, d))
	return m
}
