package outbox

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/rollforward/rollforward/eventlog"
)

// Steps are JSON, written and read by hand where they are as most are: without a
// time of their own, and with names that need no escapes. That costs a third of
// what encoding/json does, which does the rest and gives the same bytes. (Each hop
// of a saga writes and reads one.)

// encodeStep returns the stored form of a step, whose Data is valid JSON.
func encodeStep(e *enqueued) ([]byte, error) {
	if e.Due != nil || e.Timer != "" || !e.Step.IsZero() || len(e.Data) == 0 ||
		!plain(e.Type) || !plain(e.Target) || !plain(e.Actor) || !plain(e.Traceparent) {
		return json.Marshal(e)
	}
	b := make([]byte, 0, 160+len(e.Type)+len(e.Target)+len(e.Actor)+len(e.Traceparent)+len(e.Data))
	b = append(append(b, `{"type":"`...), e.Type...)
	b = append(append(b, `","target":"`...), e.Target...)
	b = appendID(append(b, `","chain":"`...), e.Chain)
	if !e.Cause.IsZero() {
		b = appendID(append(b, `","cause":"`...), e.Cause)
	}
	if e.Actor != "" {
		b = append(append(b, `","actor":"`...), e.Actor...)
	}
	if e.Traceparent != "" {
		b = append(append(b, `","traceparent":"`...), e.Traceparent...)
	}
	b = append(append(b, `","data":`...), e.Data...)
	return append(b, '}'), nil
}

// plain reports whether a text stands in JSON as it is.
func plain(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ', c > '~', c == '"', c == '\\', c == '<', c == '>', c == '&':
			return false
		}
	}
	return true
}

// appendID appends the text of an id, that of none is empty.
func appendID(b []byte, id eventlog.ID) []byte {
	const digits = "0123456789abcdef"
	if id.IsZero() {
		return b
	}
	for i, c := range id {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			b = append(b, '-')
		}
		b = append(b, digits[c>>4], digits[c&15])
	}
	return b
}

// decodeStep reads a step as it is stored. Data is part of raw.
func decodeStep(id eventlog.ID, raw []byte) (*enqueued, error) {
	s := new(enqueued)
	if s.decodePlain(raw) {
		return s, nil
	}
	*s = enqueued{}
	if err := json.Unmarshal(raw, s); err != nil {
		return nil, fmt.Errorf("step %s: %w", id, err)
	}
	return s, nil
}

// decodePlain reads what encodeStep writes by hand; false: it is something else.
func (e *enqueued) decodePlain(raw []byte) bool {
	p := plainReader{rest: raw, ok: true}
	e.Type = string(p.text(`{"type":"`))
	e.Target = string(p.text(`,"target":"`))
	chain, cause := p.text(`,"chain":"`), p.optional(`,"cause":"`)
	e.Actor, e.Traceparent = string(p.optional(`,"actor":"`)), string(p.optional(`,"traceparent":"`))
	if !p.ok || e.Chain.UnmarshalText(chain) != nil || e.Cause.UnmarshalText(cause) != nil {
		return false
	}
	data, ok := bytes.CutPrefix(p.rest, []byte(`,"data":`))
	if !ok || len(data) < 2 || data[len(data)-1] != '}' {
		return false
	}
	e.Data = json.RawMessage(data[:len(data)-1])
	return true
}

// A plainReader reads texts without escapes.
type plainReader struct {
	rest []byte
	ok   bool
}

// text reads what stands between before and the next quote.
func (p *plainReader) text(before string) []byte {
	if !p.ok || !bytes.HasPrefix(p.rest, []byte(before)) {
		p.ok = false
		return nil
	}
	rest := p.rest[len(before):]
	end := bytes.IndexByte(rest, '"')
	if end < 0 || bytes.IndexByte(rest[:end], '\\') >= 0 {
		p.ok = false
		return nil
	}
	p.rest = rest[end+1:]
	return rest[:end]
}

// optional is text, or nothing where before does not stand.
func (p *plainReader) optional(before string) []byte {
	if !p.ok || !bytes.HasPrefix(p.rest, []byte(before)) {
		return nil
	}
	return p.text(before)
}
