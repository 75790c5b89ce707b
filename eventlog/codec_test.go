package eventlog_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"strings"
	"testing"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/memlog"
)

// gobCodec is another codec than the default.
var gobCodec = eventlog.Codec{
	Name: "gob",
	Marshal: func(v any) ([]byte, error) {
		var b bytes.Buffer
		err := gob.NewEncoder(&b).Encode(v)
		return b.Bytes(), err
	},
	Unmarshal: func(data []byte, v any) error { return gob.NewDecoder(bytes.NewReader(data)).Decode(v) },
}

// TestCodecs: each type has its codec, whose name is stored with each event, so
// a log may change its mind.
func TestCodecs(t *testing.T) {
	t.Parallel()
	store := memlog.NewStore()
	add(t, over(t, store.Open(), nil), "s", "json")
	both := over(t, store.Open(), &eventlog.Options{Codecs: map[string]eventlog.Codec{"test.entry": gobCodec}})
	add(t, both, "s", "gob")
	_, err := both.Append(t.Context(), "s", nil, eventlog.Raw{Type: "test.entry", Data: []byte(`{"Text":"raw"}`)}, Opened{"ada"})
	is(t, err, nil)
	list := collect(t, both.Read(t.Context(), eventlog.Query{Stream: "s"}))
	for i, want := range []string{"", "gob", "", ""} {
		if list[i].Codec != want {
			t.Errorf("version %d has codec %q, expected %q", i+1, list[i].Codec, want)
		}
	}
	for i, want := range []string{"json", "gob", "raw"} {
		if got := text(t, list[i]); got != want {
			t.Errorf("version %d decodes to %q, expected %q", i+1, got, want)
		}
	}
	if !json.Valid(list[0].Data) || json.Valid(list[1].Data) {
		t.Errorf("stored as %q and %q", list[0].Data, list[1].Data)
	}
	// Who lacks the codec gets the bytes and an error that says what is missing.
	without := collect(t, over(t, store.Open(), nil).Read(t.Context(), eventlog.Query{Stream: "s"}))
	err = without[1].Decode(new(entry))
	is(t, err, eventlog.ErrUnknownType)
	if err != nil && !strings.Contains(err.Error(), `decode test.entry at s version 2`) {
		t.Errorf("error %q does not name the event", err)
	}
}

// TestEncodeErrors: an event that cannot be encoded is refused, at the Append.
func TestEncodeErrors(t *testing.T) {
	t.Parallel()
	l := fresh(t)
	update(t, l, func(tx *eventlog.Tx) error {
		if err := tx.Append("s", unencodable{}); err == nil || !strings.Contains(err.Error(), "encode test.unencodable") {
			t.Errorf("error %v", err)
		}
		return tx.Append("s", entry{"1"})
	})
	want(t, l, "s", "1")
	r := collect(t, l.Read(t.Context(), eventlog.Query{Stream: "s"}))[0]
	if err := r.Decode(new(int)); err == nil || !strings.Contains(err.Error(), "decode test.entry at s version 1") {
		t.Errorf("decoded into another type: %v", err)
	}
}

type unencodable struct{ F func() }

func (unencodable) EventType() string { return "test.unencodable" }

// TestTagged: tags add up, in order, and the event stays what it is.
func TestTagged(t *testing.T) {
	t.Parallel()
	l := fresh(t)
	inner := eventlog.Tagged(entry{"1"}, "a", "b")
	one, two := eventlog.Tagged(inner, "c"), eventlog.Tagged(inner, "d")
	_, err := l.Append(t.Context(), "s", &eventlog.AppendOptions{Tags: []string{"z"}}, one, two, entry{"2"})
	is(t, err, nil)
	want(t, l, "s", "1 1 2")
	list := collect(t, l.Read(t.Context(), eventlog.Query{Stream: "s"}))
	for i, want := range []string{"a b c z", "a b d z", "z"} {
		if got := strings.Join(list[i].Tags, " "); got != want {
			t.Errorf("event %d has tags %q, expected %q", i, got, want)
		}
	}
	if inner.EventType() != "test.entry" {
		t.Errorf("type %s", inner.EventType())
	}
}
