package outbox

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/rollforward/rollforward/eventlog"
)

func drawStep(t *rapid.T) *enqueued {
	text := rapid.OneOf(rapid.StringMatching(`[a-z/$.0-9 ]{0,12}`), rapid.String())
	id := rapid.Custom(func(t *rapid.T) (id eventlog.ID) {
		if rapid.Bool().Draw(t, "some") {
			copy(id[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
		}
		return id
	})
	e := &enqueued{Type: text.Draw(t, "type"), Target: text.Draw(t, "target"), Chain: id.Draw(t, "chain"), Cause: id.Draw(t, "cause"),
		Actor: text.Draw(t, "actor"), Traceparent: text.Draw(t, "trace")}
	if rapid.IntRange(0, 3).Draw(t, "special") == 0 {
		e.Timer, e.Step, e.Due = text.Draw(t, "timer"), id.Draw(t, "step"), dueAt(time.Unix(rapid.Int64Range(1, 1<<37).Draw(t, "due"), 0))
	}
	data, err := json.Marshal(rapid.OneOf(rapid.Just[any](map[string]any{"a": 1, "b": `"},{`}), rapid.Just[any](nil), rapid.Map(rapid.String(), func(s string) any { return s })).Draw(t, "data"))
	if err != nil {
		t.Fatal(err)
	}
	e.Data = data
	return e
}

// TestStepsByHand: what is written by hand is what encoding/json writes, and
// what is read by hand is what it reads.
func TestStepsByHand(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		e := drawStep(t)
		got, err := encodeStep(e)
		if err != nil {
			t.Fatal(err)
		}
		want, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("got  %s\nwant %s", got, want)
		}
		back, err := decodeStep(eventlog.ID{}, got)
		if err != nil {
			t.Fatal(err)
		}
		var plain enqueued
		if err := json.Unmarshal(got, &plain); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(&plain, back); diff != "" {
			t.Fatal(diff)
		}
		r := eventlog.Record{Type: typeEnqueued, Data: got}
		if it := newItem(&r); it.err != nil || it.typ != plain.Type || it.target != plain.Target || it.timer != plain.Timer ||
			(plain.Due == nil) != it.due.IsZero() {
			t.Fatalf("%+v of %s", it, got)
		}
	})
}

func FuzzDecodeStep(f *testing.F) {
	for _, seed := range []string{
		`{"type":"a","target":"b","chain":"","data":{}}`, `{"type":"a","target":"b","chain":"0198c3f0-7b1e-7c4a-9d3e-000000000001","data":1}`,
		`{"type":"a\"","target":"b"}`, `{"type":"a","target":"b","chain":"x","data":}`, `{`, ``, `{"type":"a","target":"b","due":"x"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := decodeStep(eventlog.ID{}, raw)
		r := eventlog.Record{Type: typeEnqueued, Data: raw}
		it := newItem(&r)
		if err == nil && it.err == nil && (it.typ != s.Type || it.target != s.Target) {
			t.Errorf("%q is for %q and for %q", raw, it.target, s.Target)
		}
	})
}

func BenchmarkStepJSON(b *testing.B) {
	e := &enqueued{Type: "$saga/transfer/debit/do", Target: "account/EUR/17", Chain: eventlog.ID{1}, Cause: eventlog.ID{2},
		Data: []byte(`{"id":"4711","n":3,"data":{"from":"account/17","to":"account/18","amount":100}}`)}
	raw, err := encodeStep(e)
	if err != nil {
		b.Fatal(err)
	}
	for name, fn := range map[string]func(){
		"encode/hand": func() { _, _ = encodeStep(e) },
		"encode/json": func() { _, _ = json.Marshal(e) },
		"decode/hand": func() { _, _ = decodeStep(e.Chain, raw) },
		"decode/json": func() { _ = json.Unmarshal(raw, new(enqueued)) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				fn()
			}
		})
	}
}
