package eventlog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// An Event is a fact that a user's program appends. Its type is the stored
// name, written by hand: `func (Opened) EventType() string { return "bank.opened" }`.
// The method must work on the zero value.
type Event interface{ EventType() string }

// Tagged returns e with tags: names by which a Query and a condition find the
// event in all streams of a shard or of the log.
func Tagged(e Event, tags ...string) Event {
	if t, ok := e.(tagged); ok {
		return tagged{t.Event, append(t.tags[:len(t.tags):len(t.tags)], tags...)}
	}
	return tagged{e, tags}
}

type tagged struct {
	Event
	tags []string
}

// Raw is an event that is encoded already.
type Raw struct {
	Type  string
	Data  []byte
	Codec string // the name of Data's codec; empty: JSON
}

// EventType returns r.Type.
func (r Raw) EventType() string { return r.Type }

// A Codec turns events into bytes and back. Its name is stored with each event.
type Codec struct {
	Name      string
	Marshal   func(v any) ([]byte, error)
	Unmarshal func(data []byte, v any) error
}

// JSON is the default codec. Its stored name is the empty one.
var JSON = Codec{Marshal: json.Marshal, Unmarshal: json.Unmarshal}

// codecs knows which codec an event type is written with, and finds the one
// that an event was written with.
type codecs struct {
	byType map[string]Codec
	byName map[string]Codec
}

func newCodecs(byType map[string]Codec) (*codecs, error) {
	c := &codecs{byType: byType, byName: map[string]Codec{"": JSON}}
	for typ, codec := range byType {
		if codec.Marshal == nil || codec.Unmarshal == nil {
			return nil, fmt.Errorf("codec %q for type %q lacks a function", codec.Name, typ)
		}
		if codec.Name == "" {
			return nil, fmt.Errorf("codec for type %q has no name", typ)
		}
		if err := checkText("codec", codec.Name); err != nil {
			return nil, err
		}
		c.byName[codec.Name] = codec
	}
	return c, nil
}

// encode returns the event with its payload encoded; stream, version and index
// are the caller's to fill.
func (c *codecs) encode(e Event) (event, error) {
	var out event
	if t, ok := e.(tagged); ok {
		e, out.tags = t.Event, slices.Clone(t.tags)
	}
	if e == nil {
		return out, errors.New("nil event")
	}
	out.typ = e.EventType()
	if raw, ok := e.(Raw); ok {
		out.data, out.codec = bytes.Clone(raw.Data), raw.Codec
		return out, nil
	}
	codec, ok := c.byType[out.typ]
	if !ok {
		codec = JSON
	}
	data, err := codec.Marshal(e)
	if err != nil {
		return out, fmt.Errorf("encode %s: %w", out.typ, err)
	}
	out.data, out.codec = data, codec.Name
	return out, nil
}

func (c *codecs) decode(r *Record, v any) error {
	codec, ok := c.byName[r.Codec]
	if !ok {
		return fmt.Errorf("%w: %s is written with codec %q, which Options.Codecs lacks", ErrUnknownType, r.Type, r.Codec)
	}
	return codec.Unmarshal(r.Data, v)
}
