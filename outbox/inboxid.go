package outbox

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/rollforward/rollforward/eventlog"
)

// An inboxID is what a message is known by.
type inboxID struct {
	id, source string // source is "" where id is the message's UUID
	group      string // partition key, or id: what shares a shard
	key        inboxKey
}

// An inboxKey is a digest of id and source, which others choose: they may be of
// any length and hold anything.
type inboxKey [sha256.Size]byte

func (k inboxKey) String() string { return hex.EncodeToString(k[:]) }

func (i inboxID) String() string {
	if i.source == "" {
		return i.id
	}
	return i.source + " " + i.id
}

var errNoID = errors.New("the message has neither a CloudEvent's id and source nor a UUID: it cannot be told from others")

// identify finds out what a message is known by.
func identify(m *message.Message) (inboxID, error) {
	out := inboxID{id: attribute(m, "id"), source: attribute(m, "source")}
	if strings.HasPrefix(strings.ToLower(metadata(m, "content-type")), "application/cloudevents") {
		var e struct{ ID, Source, PartitionKey string }
		if json.Unmarshal(m.Payload, &e) == nil {
			out.id, out.source, out.group = e.ID, e.Source, e.PartitionKey
		}
	}
	kind := "ce"
	if out.id == "" || out.source == "" {
		kind, out.id, out.source = "uuid", m.UUID, ""
	}
	if out.group == "" {
		out.group = attribute(m, "partitionkey")
	}
	if out.group == "" {
		out.group = kind + "\x00" + out.source + "\x00" + out.id
	}
	out.key = sha256.Sum256([]byte(kind + "\x00" + out.source + "\x00" + out.id))
	if out.id == "" {
		return out, errNoID
	}
	return out, nil
}

// attribute is a CloudEvents attribute in binary mode: HTTP and Pub/Sub put ce-
// before the names, Kafka ce_.
func attribute(m *message.Message, name string) string {
	if v := metadata(m, "ce-"+name); v != "" {
		return v
	}
	return metadata(m, "ce_"+name)
}

// metadata looks a name up, in whatever case it was sent. Of several the first one
// counts, in bytewise order: a message must have the same id each time.
func metadata(m *message.Message, name string) string {
	if v, ok := m.Metadata[name]; ok {
		return v
	}
	first := ""
	for k := range m.Metadata {
		if strings.EqualFold(k, name) && (first == "" || k < first) {
			first = k
		}
	}
	return m.Metadata[first]
}

// stream is the name under which ids of a group are recorded. There are no events
// in it.
func (h *inbox) stream(id inboxID) string {
	group := sha256.Sum256([]byte(id.group))
	return "inbox/" + h.name + "/" + hex.EncodeToString(group[:8])
}

const inboxText = 256 // bytes of a foreign text in a commit's metadata

// inboxMeta makes the step part of the chain that its message belongs to.
func inboxMeta(m *message.Message, id inboxID) eventlog.Meta {
	var meta eventlog.Meta
	if c, err := eventlog.ParseID(attribute(m, "correlationid")); err == nil {
		meta.Correlation = c
	}
	if c, err := eventlog.ParseID(id.id); err == nil {
		meta.Causation = c
	}
	meta.Traceparent = foreign(attribute(m, "traceparent"))
	if meta.Traceparent == "" {
		meta.Traceparent = foreign(metadata(m, "traceparent"))
	}
	meta.Extra = make(map[string]string)
	for key, s := range map[string]string{"message": foreign(id.id), "source": foreign(id.source)} {
		if s != "" {
			meta.Extra[key] = s
		}
	}
	return meta
}

// foreign is a text that others wrote, if it is one and not too long.
func foreign(s string) string {
	if len(s) > inboxText || !utf8.ValidString(s) {
		return ""
	}
	return s
}
