package outbox

import (
	"strconv"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/rollforward/rollforward/eventlog"
)

// The metadata of the messages that a [Relay] publishes: CloudEvents 1.0 in
// binary mode, so the payload is the event's data as it is. The message's UUID is
// the event's id, too.
const (
	MetadataSpecVersion = "ce-specversion" // 1.0
	MetadataID          = "ce-id"          // of the event
	MetadataSource      = "ce-source"      // Relay.Source
	MetadataType        = "ce-type"        // of the event
	MetadataSubject     = "ce-subject"     // the stream
	MetadataTime        = "ce-time"        // of the commit, RFC 3339 with nanoseconds
	MetadataContentType = "Content-Type"   // datacontenttype, of the payload

	// Extensions. The partition key is the stream: give it to your broker as the
	// ordering key. The version in the stream tells a late duplicate, and what is
	// missing. Causation and traceparent are there when the event has them; the
	// correlation always is, the first transaction of a chain correlates with itself.
	MetadataOrderingKey   = "ce-partitionkey"
	MetadataStreamVersion = "ce-streamversion"
	MetadataCorrelation   = "ce-correlationid"
	MetadataCausation     = "ce-causationid"
	MetadataTraceparent   = "ce-traceparent"
)

func (o *relayOptions) message(r *eventlog.Record) *message.Message {
	id := r.ID.String()
	m := message.NewMessage(id, r.Data)
	correlation := r.Meta.Correlation
	if correlation.IsZero() {
		correlation = r.Commit()
	}
	m.Metadata = message.Metadata{
		MetadataSpecVersion: "1.0", MetadataID: id, MetadataSource: o.source, MetadataType: r.Type, MetadataSubject: r.Stream,
		MetadataTime: r.Time.UTC().Format(time.RFC3339Nano), MetadataContentType: o.contentType(r.Codec),
		MetadataOrderingKey: r.Stream, MetadataStreamVersion: strconv.FormatUint(r.Version, 10), MetadataCorrelation: correlation.String(),
	}
	if !r.Meta.Causation.IsZero() {
		m.Metadata[MetadataCausation] = r.Meta.Causation.String()
	}
	if r.Meta.Traceparent != "" {
		m.Metadata[MetadataTraceparent] = r.Meta.Traceparent
	}
	return m
}

func (o *relayOptions) contentType(codec string) string {
	if t, ok := o.contentTypes[codec]; ok {
		return t
	}
	if codec == "" {
		return "application/json"
	}
	return "application/octet-stream"
}
