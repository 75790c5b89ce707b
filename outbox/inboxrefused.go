package outbox

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/sys"
)

const inboxTypeRefused = "$inbox.refused" // in $refused-NAME/N

// inboxRefused is a message that was refused, as it is stored.
type inboxRefused struct {
	UUID      string            `json:"uuid"`
	ID        string            `json:"id"`
	Source    string            `json:"source,omitempty"`
	Topic     string            `json:"topic"`
	Error     string            `json:"error"`
	Size      int               `json:"size"` // of the payload
	Payload   []byte            `json:"payload,omitempty"`
	Metadata  map[string]string `json:"metadata,omitempty"`
	Truncated bool              `json:"truncated,omitempty"` // payload or metadata
}

// What of a refused message is kept: with all its escaping it must fit into an
// event.
const (
	inboxMaxPayload  = 400_000
	inboxMaxMetadata = 24_000
)

// refuse records that a message will never become a step, and which. It does not
// burn the message's id: who mends the fault may send it again.
func (h *inbox) refuse(ctx context.Context, m *message.Message, id inboxID, cause error) error {
	data, err := json.Marshal(h.refused(m, id, cause))
	if err != nil {
		return err
	}
	shard := h.Log.ShardOf(h.stream(id))
	tag := "$inbox/" + id.key.String()
	e := sys.Event{Type: inboxTypeRefused, Data: data, Tags: []string{tag}}
	stream := systemStream("$refused-"+h.name, shard)
	_, err = h.Log.Update(ctx, func(tx *eventlog.Tx) error {
		*tx.Meta() = inboxMeta(m, id)
		for r, err := range tx.Read(eventlog.Query{Tag: tag, Shards: []int{shard}}) {
			if err != nil {
				return err
			}
			if r.Stream == stream && id.id != "" {
				return nil // its ack was lost
			}
		}
		return tx.Append(stream, e)
	})
	if err != nil {
		return fmt.Errorf("%w; it was refused: %w", err, cause)
	}
	h.logger.Error("a message is refused", "topic", h.topic, "message", id.String(), "err", cause)
	if f := h.hooks.Refused; f != nil {
		f(m, cause)
	}
	return nil
}

func (h *inbox) refused(m *message.Message, id inboxID, cause error) inboxRefused {
	r := inboxRefused{UUID: clip(m.UUID), ID: clip(id.id), Source: clip(id.source), Topic: h.topic, Error: text(cause),
		Size: len(m.Payload), Payload: m.Payload, Metadata: make(map[string]string)}
	if len(r.Payload) > inboxMaxPayload {
		r.Payload, r.Truncated = r.Payload[:inboxMaxPayload], true
	}
	size := 0
	for k, v := range m.Metadata {
		if size += len(k) + len(v); size > inboxMaxMetadata {
			r.Truncated = true
			break
		}
		r.Metadata[k] = v
	}
	return r
}

// clip bounds a text that others wrote.
func clip(s string) string { return s[:min(len(s), 1000)] }

// A RefusedMessage is one that an Inbox refused for good.
type RefusedMessage struct {
	ID, Source string // of the CloudEvent; without a source ID is the UUID
	UUID       string
	Topic      string
	Err        string
	Payload    []byte
	Metadata   message.Metadata
	Size       int  // of the payload
	Truncated  bool // Payload or Metadata are not whole: they were too large
	Time       time.Time
}

// Message returns a message to send again, once the fault is mended: refusing did
// not use its id up.
func (r *RefusedMessage) Message() *message.Message {
	m := message.NewMessage(r.UUID, r.Payload)
	for k, v := range r.Metadata {
		m.Metadata[k] = v
	}
	return m
}

// Refused yields the messages that inboxes of this Name refused, each once, by
// shard, oldest first. Log and Name are enough.
func (i *Inbox) Refused(ctx context.Context) iter.Seq2[RefusedMessage, error] {
	return func(yield func(RefusedMessage, error) bool) {
		if err := checkReaderName(i.Name); err != nil {
			yield(RefusedMessage{}, fmt.Errorf("outbox: inbox: %w", err))
			return
		}
		for shard := range i.Log.Shards() {
			for rec, err := range i.Log.Read(ctx, eventlog.Query{Stream: systemStream("$refused-"+i.Name, shard)}) {
				var r inboxRefused
				if err == nil {
					err = rec.Decode(&r)
				}
				if err != nil {
					yield(RefusedMessage{}, fmt.Errorf("outbox: inbox %s: refused messages: %w", i.Name, err))
					return
				}
				out := RefusedMessage{r.ID, r.Source, r.UUID, r.Topic, r.Error, r.Payload, r.Metadata, r.Size, r.Truncated, rec.Time}
				if !yield(out, nil) {
					return
				}
			}
		}
	}
}
