package eventlog_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/memlog"
)

// wordsV3 is what "test.words" became: first renamed, then split into a list.
type wordsV3 struct{ Words []string }

func (wordsV3) EventType() string { return "test.words.v3" }

var wordsCasts = []eventlog.Upcast{
	{From: "words", To: "test.words"},
	{From: "test.words.v2", To: "test.words.v3", Func: func(data json.RawMessage) (json.RawMessage, error) {
		var v2 struct{ Text string }
		if err := json.Unmarshal(data, &v2); err != nil {
			return nil, err
		}
		return json.Marshal(wordsV3{strings.Fields(v2.Text)})
	}},
	{From: "test.words", To: "test.words.v2", Func: func(data json.RawMessage) (json.RawMessage, error) {
		return json.Marshal(map[string]json.RawMessage{"Text": data})
	}},
}

type words struct{ List string }

var wordsModel = eventlog.Model[words]{Name: "words", Folds: eventlog.Folds[words]{
	eventlog.On(func(w *words, e wordsV3) { w.List += strings.Join(e.Words, "+") + ";" }),
}}

// TestUpcasts follow one another wherever events are read, and nowhere else.
func TestUpcasts(t *testing.T) {
	t.Parallel()
	store := memlog.NewStore()
	old := over(t, store.Open(), &eventlog.Options{Index: eventlog.Index{Types: true}})
	for _, e := range []eventlog.Raw{
		{Type: "words", Data: []byte(`"a b"`)}, {Type: "test.words", Data: []byte(`"c d"`)},
		{Type: "test.words.v2", Data: []byte(`{"Text":"e f"}`)}, {Type: "test.words.v3", Data: []byte(`{"Words":["g","h"]}`)},
	} {
		_, err := old.Append(t.Context(), "s", &eventlog.AppendOptions{Tags: []string{"tag"}}, e)
		is(t, err, nil)
	}
	l := over(t, store.Open(), &eventlog.Options{Upcasts: wordsCasts})
	const want = "a+b;c+d;e+f;g+h;"
	newest := func(q eventlog.Query) {
		t.Helper()
		var w words
		is(t, wordsModel.Fold(&w, l.Read(t.Context(), q)), nil)
		if w.List != want {
			t.Errorf("%+v yields %q, expected %q", q, w.List, want)
		}
	}
	newest(eventlog.Query{Stream: "s"})
	newest(eventlog.Query{Tag: "tag"})
	newest(eventlog.Query{Types: []string{"test.words.v3"}})
	newest(eventlog.Query{})
	for i, typ := range []string{"words", "test.words", "test.words.v2", "test.words.v3"} {
		list := collect(t, l.Read(t.Context(), eventlog.Query{Types: []string{typ}, Stored: true}))
		if len(list) != 1 || list[0].Version != uint64(i+1) || list[0].Type != typ {
			t.Errorf("stored as %s: %v", typ, list)
		}
		if list := collect(t, l.Read(t.Context(), eventlog.Query{Types: []string{typ}})); len(list) != 0 && i < 3 {
			t.Errorf("%d records have the old type %s", len(list), typ)
		}
	}
	at, err := wordsModel.At(t.Context(), l, eventlog.Query{Stream: "s"})
	if err != nil || at.List != want {
		t.Errorf("At has %+v, %v", at, err)
	}
	update(t, l, func(tx *eventlog.Tx) error {
		err := tx.Append("s", eventlog.Raw{Type: "words", Data: []byte(`"i j"`)}) // its own, too
		w, errLoad := wordsModel.Load(tx, "s")
		if errLoad == nil && w.List != want+"i+j;" {
			t.Errorf("loaded %q", w.List)
		}
		return join(err, errLoad)
	})
}

// TestUpcastsThatFail name the event, and only its readers see the error.
func TestUpcastsThatFail(t *testing.T) {
	t.Parallel()
	l := over(t, memlog.Open(), &eventlog.Options{Upcasts: []eventlog.Upcast{
		{From: "bad", To: "good", Func: func(json.RawMessage) (json.RawMessage, error) { return nil, errNo }},
	}})
	add(t, l, "s", "1")
	_, err := l.Append(t.Context(), "s", nil, eventlog.Raw{Type: "bad", Data: []byte("1")})
	is(t, err, nil)
	err = last(l.Read(t.Context(), eventlog.Query{Stream: "s"}))
	is(t, err, errNo)
	if err != nil && !strings.Contains(err.Error(), "upcast bad to good at s version 2") {
		t.Errorf("error %q does not name the event", err)
	}
	_, err = diaries.At(t.Context(), l, eventlog.Query{Stream: "s"})
	is(t, err, errNo)
	if list := collect(t, l.Read(t.Context(), eventlog.Query{Stream: "s", Stored: true})); len(list) != 2 {
		t.Errorf("%d records as stored, expected 2", len(list))
	}
}

func TestUpcastsRefused(t *testing.T) {
	t.Parallel()
	for says, casts := range map[string][]eventlog.Upcast{
		"empty type":              {{From: "", To: "a"}},
		"empty type ":             {{From: "a"}},
		"two upcasts from \"a\"":  {{From: "a", To: "b"}, {From: "a", To: "c"}},
		"lead back to it":         {{From: "a", To: "a"}},
		"upcasts from \"a\" lead": {{From: "a", To: "b"}, {From: "b", To: "a"}},
		"upcasts from \"b\" lead": {{From: "b", To: "c"}, {From: "c", To: "d"}, {From: "d", To: "b"}},
	} {
		_, err := eventlog.Open(t.Context(), memlog.Open(), &eventlog.Options{Upcasts: casts})
		if err == nil || !strings.Contains(err.Error(), strings.TrimSpace(says)) {
			t.Errorf("%v: error %v, expected %q", casts, err, says)
		}
	}
}
