package eventlog

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// MarshalJSON returns r as one line of JSON with the members id, stream,
// version, shard, revision, time, type, codec (when not JSON), data, tags and
// meta, and relaxed for a relaxed append. A payload that is JSON stands under data, byte for byte as it is stored;
// any other one stands under data_base64. It is the form of [Export] and of the
// command line.
//
// Texts of Meta that are not UTF-8 cannot be written as JSON: an error.
func (r Record) MarshalJSON() ([]byte, error) { return r.appendJSON(nil) }

func (r *Record) appendJSON(b []byte) ([]byte, error) {
	b = appendMember(b, '{', "id", r.ID.String())
	b = appendMember(b, ',', "stream", r.Stream)
	b = append(b, `,"version":`...)
	b = strconv.AppendUint(b, r.Version, 10)
	b = appendPlace(b, r.Shard, r.Revision, r.Time)
	b = appendMember(b, ',', "type", r.Type)
	if r.Codec != "" {
		b = appendMember(b, ',', "codec", r.Codec)
	}
	b = appendValue(append(b, ','), "data", r.Data, r.Codec == "")
	b = append(b, `,"tags":[`...)
	for i, t := range r.Tags {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendText(b, t)
	}
	b = r.Meta.appendJSON(append(b, `],"meta":`...))
	if r.Relaxed != nil {
		b = r.appendRelaxed(append(b, `,"relaxed":`...))
	}
	if !utf8.Valid(b) {
		return nil, fmt.Errorf("eventlog: %s version %d: metadata or codec is not UTF-8", r.Stream, r.Version)
	}
	return append(b, '}'), nil
}

// appendPlace writes the members shard, revision and time.
func appendPlace(b []byte, shard int, rev driver.Revision, t time.Time) []byte {
	b = append(b, `,"shard":`...)
	b = strconv.AppendInt(b, int64(shard), 10)
	b = append(b, `,"revision":`...)
	b = strconv.AppendUint(b, uint64(rev), 10)
	b = append(b, `,"time":"`...)
	b = t.UTC().AppendFormat(b, time.RFC3339Nano)
	return append(b, '"')
}

// appendValue writes bytes under name when they are JSON that can stand there as
// it is, else in base64 under name_base64.
func appendValue(b []byte, name string, value []byte, isJSON bool) []byte {
	b = append(append(b, '"'), name...)
	if isJSON && verbatim(value) {
		b = append(b, `":`...)
		return append(b, value...)
	}
	b = append(b, `_base64":"`...)
	b = base64.StdEncoding.AppendEncode(b, value)
	return append(b, '"')
}

// verbatim reports whether value comes back the same from within a line of JSON.
func verbatim(value []byte) bool {
	return json.Valid(value) && utf8.Valid(value) && !bytes.ContainsAny(value, "\r\n") &&
		len(bytes.TrimSpace(value)) == len(value)
}

func (m *Meta) appendJSON(b []byte) []byte {
	before := byte('{')
	member := func(name, value string) {
		if value != "" {
			b = appendMember(b, before, name, value)
			before = ','
		}
	}
	for _, id := range []struct {
		name string
		id   ID
	}{{"correlation", m.Correlation}, {"causation", m.Causation}} {
		if !id.id.IsZero() {
			member(id.name, id.id.String())
		}
	}
	member("actor", m.Actor)
	member("traceparent", m.Traceparent)
	if len(m.Extra) > 0 {
		b = append(append(b, before), `"extra":`...)
		before = '{'
		for _, k := range slices.Sorted(maps.Keys(m.Extra)) {
			b = append(appendText(append(b, before), k), ':')
			b = appendText(b, m.Extra[k])
			before = ','
		}
		b = append(b, '}')
	}
	if before == '{' {
		b = append(b, '{')
	}
	return append(b, '}')
}

func appendMember(b []byte, before byte, name, value string) []byte {
	b = append(append(append(b, before, '"'), name...), `":`...)
	return appendText(b, value)
}

// appendText writes a string of JSON. Bytes that are not UTF-8 are left as they
// are, for the caller to find.
func appendText(b []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			if !utf8.ValidString(s) {
				break
			}
			return append(b, quote(s)...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

// quote writes any string of UTF-8, without the escapes that HTML needs.
func quote(s string) []byte {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string always encodes
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}

// recordJSON is what MarshalJSON writes, to read it back.
type recordJSON struct {
	ID       ID              `json:"id"`
	Stream   string          `json:"stream"`
	Version  uint64          `json:"version"`
	Shard    int             `json:"shard"`
	Revision driver.Revision `json:"revision"`
	Time     time.Time       `json:"time"`
	Type     string          `json:"type"`
	Codec    string          `json:"codec"`
	Data     json.RawMessage `json:"data"`
	Base64   []byte          `json:"data_base64"`
	Tags     []string        `json:"tags"`
	Meta     metaJSON        `json:"meta"`
	Relaxed  *relaxedJSON    `json:"relaxed"`
}

type metaJSON struct {
	Correlation ID                `json:"correlation"`
	Causation   ID                `json:"causation"`
	Actor       string            `json:"actor"`
	Traceparent string            `json:"traceparent"`
	Extra       map[string]string `json:"extra"`
}

// UnmarshalJSON reads what MarshalJSON wrote. Unknown members are an error.
func (r *Record) UnmarshalJSON(line []byte) error {
	var in recordJSON
	if err := unmarshalStrict(line, &in); err != nil {
		return fmt.Errorf("eventlog: record: %w", err)
	}
	out, err := in.record()
	if err != nil {
		return fmt.Errorf("eventlog: record: %w", err)
	}
	*r = out
	return nil
}

func (in *recordJSON) record() (Record, error) {
	data, err := oneValue("data", in.Data, in.Base64)
	if err != nil {
		return Record{}, err
	}
	tx, n := in.ID.commit()
	if tx.IsZero() || n < 0 {
		return Record{}, fmt.Errorf("id %q is not that of an event", in.ID)
	}
	if len(in.Tags) == 0 {
		in.Tags = nil
	}
	r := Record{ID: in.ID, Stream: in.Stream, Version: in.Version, Shard: in.Shard, Revision: in.Revision, Index: n,
		Time: in.Time, Type: in.Type, Codec: in.Codec, Data: data, Tags: in.Tags, Meta: Meta(in.Meta)}
	return r, in.Relaxed.into(&r)
}

// oneValue returns the bytes that appendValue wrote.
func oneValue(name string, value json.RawMessage, base64 []byte) ([]byte, error) {
	switch {
	case value != nil && base64 != nil:
		return nil, fmt.Errorf("both %s and %s_base64", name, name)
	case value == nil && base64 == nil:
		return nil, fmt.Errorf("neither %s nor %s_base64", name, name)
	case value != nil:
		return value, nil
	}
	return base64, nil
}

func unmarshalStrict(line []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if d.InputOffset() < int64(len(bytes.TrimRight(line, " \t\r\n"))) {
		return errors.New("more than one value")
	}
	return nil
}
