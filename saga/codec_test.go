package saga

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// same holds what is written by hand against encoding/json.
func same(t *testing.T, v any, stored func() ([]byte, error)) []byte {
	t.Helper()
	got, err := stored()
	if err != nil {
		t.Fatal(err)
	}
	want, err := json.Marshal(v)
	if err != nil || string(got) != string(want) {
		t.Errorf("%s, want %s (%v)", got, want, err)
	}
	return got
}

// TestStoredByHand: what is written by hand is what encoding/json writes, and read as it is
// read by it.
func TestStoredByHand(t *testing.T) {
	t.Parallel()
	data := json.RawMessage(`{"A":"\u003c,}{\"","B":[1,{"c":[]}],"C":null}`)
	for _, c := range []command{{}, {ID: "7", N: 1, V: 1, Data: data}, {ID: "ä", N: 1, Of: 2, V: 3, Data: data}, {ID: `"<\`, Data: data}, {ID: "x", Data: json.RawMessage("7")}} {
		var back command
		if err := back.parse(same(t, c, c.stored)); err != nil || !cmp.Equal(back, c) && c.Data != nil {
			t.Errorf("%+v, want %+v (%v)", back, c, err)
		}
	}
	for _, r := range []reply{{}, {N: 1}, {N: 1, V: 2, Data: data}, {N: 1, Error: "x"}, {N: 3, Stopped: true}, {N: 3, Lost: true, Error: "<"}, {N: 1, Data: json.RawMessage(`"a,b}"`)}} {
		var back reply
		if err := back.parse(same(t, r, r.stored)); err != nil || !cmp.Equal(back, r) {
			t.Errorf("%+v, want %+v (%v)", back, r, err)
		}
	}
	for _, e := range []event{
		{}, {V: 1, Data: data, Next: &next{N: 1, Step: "a", Kind: kindChange, On: "x/y", Sent: 1}}, {N: 1, Step: "a", Undoable: true, End: Completed},
		{N: 2, Of: 1, Step: "ä", Data: data}, {N: 2, Error: "x", Back: CauseRefused}, {N: 2, I: 3, OK: true}, {Next: &next{N: 1, Step: "a", Kind: kindSignal, Signal: "x"}},
		{N: 7, Next: &next{N: 1, Of: 4, Step: "a", Kind: kindCall, On: "é"}, End: "x"}, {N: 1, End: Completed, Was: Running, Is: Completed}, {V: 1, Is: Running}, {Parent: &parent{Saga: "x"}}, {Via: []string{"a"}}, {Deadline: 3},
	} {
		var back event
		if err := back.parse(same(t, &e, e.stored)); err != nil || !cmp.Equal(back, e) {
			t.Errorf("%+v, want %+v (%v)", back, e, err)
		}
	}
}

// FuzzParse: whatever is stored, what is read by hand is what encoding/json reads, or is
// refused by both.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`{"id":"7","n":1,"of":2,"v":1,"data":{"a":"}"}}`, `{"n":1,"v":1,"data":[{}]}`, `{"n":1,"data":{},"error":"x"}`, `{"n":01}`, `{"n":-1}`, `{"n":1,"n":2}`,
		`{"v":1,"n":1,"of":1,"step":"a","data":7,"undoable":true,"i":1,"ok":true,"next":{"n":1,"of":1,"step":"a","kind":"change","on":"x","sent":1},"end":"completed","was":"running","is":"completed"}`,
		`{"step":"a\u0000"}`, "{\"step\":\"\xff\"}", `{"data":}`, `{"data":{} }`, `{,"n":1}`, `{"n":1}}`, `{"next":{}}`, `{"n":1,}`, `{"N":1}`, `{"step":"` + "\x01" + `"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		agree(t, b, new(command), new(command), (*command).parse)
		agree(t, b, new(reply), new(reply), (*reply).parse)
		agree(t, b, new(event), new(event), (*event).parse)
	})
}

func agree[T any](t *testing.T, b []byte, byHand, byJSON *T, parse func(*T, []byte) error) {
	t.Helper()
	err, want := parse(byHand, b), json.Unmarshal(b, byJSON)
	if (err == nil) != (want == nil) || err == nil && !cmp.Equal(byHand, byJSON) {
		t.Errorf("%q: %+v (%v), want %+v (%v)", b, byHand, err, byJSON, want)
	}
}
