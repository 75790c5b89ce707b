package saga_test

import (
	"strings"
	"testing"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/outbox"
	"github.com/rollforward/rollforward/saga"
)

var hostile = []string{
	``, `null`, `0`, `""`, `[]`, `{}`, `{"n":-1}`, `{"n":1e99}`, `{"n":"1"}`, `{"n":1,"v":-5,"data":{}}`, `{"n":1,"data":7}`,
	`{"n":1,"v":99,"data":{}}`, `{"n":2,"i":-1,"state":"completed"}`, `{"n":2,"i":999999999,"state":"completed"}`, `{"n":2,"i":0}`,
	`{"n":2,"dismiss":true,"from":-7}`, `{"n":1,"dismiss":true,"from":2147483647}`, `{"parent":{"saga":"a","id":"b","n":-1,"i":-1}}`,
	`{"v":1,"data":{},"at":"nowhere"}`, `{"v":1,"data":{},"parent":{"saga":"round","id":"x","n":2,"i":77}}`, `{"v":1,"data":{"N":"x"}}`, `{"v":-1,"data":{},"parent":{"saga":"","id":"","n":0,"i":0}}`,
	`{"id":"","n":1,"step":"00000000-0000-0000-0000-000000000000"}`, `{"id":"x","n":1,"step":7}`, `{"to":"nowhere","reason":"r"}`,
	`{"as":"","step":""}`, `{"as":"\u0000","step":"one"}`, `{"as":"y","step":"one","data":7}`, `{"name":"","dedup":"\u0000"}`,
	`{"name":"a","data":{"Text":7}}`, strings.Repeat(`{"n":`, 5000) + strings.Repeat(`}`, 5000), `{"id":"x","n":1,"of":1,"v":1,"data":"no"}`,
}

// TestHostilePayloads: whatever a step of the outbox carries that is none of ours, nothing
// panics, nothing is tried for ever, and the instance can still be brought to its end.
func TestHostilePayloads(t *testing.T) {
	t.Parallel()
	s := round(adding("one"), fanOut(0, "a=wait b=wait"), hear("a"), adding("two"))
	types := []string{"$saga/round/gone/do", "$saga/round/gone/undo", "$saga/round//do", "$saga/round/one/do/undo", "$saga/round/"}
	for _, h := range both(s, errands) {
		types = append(types, h.Type)
	}
	for _, typ := range types {
		t.Run(typ, func(t *testing.T) {
			t.Parallel()
			l := eventlogtest.Open(t, few)
			start(t, l, s, "x", count{})
			drain(t, l, both(s, errands)...)
			for _, target := range []string{"$saga-round/x", "$saga-round/none", "note/one", "$saga-errand/x/errands.2/1"} {
				for _, data := range hostile {
					raw := outbox.Raw{Type: typ, Stream: target, Data: []byte(data)}
					_, err := l.Update(t.Context(), func(tx *eventlog.Tx) error { return outbox.Enqueue(tx, raw) })
					if err == nil { // else it cannot even be stored
						drain(t, l, both(s, errands)...)
					}
				}
			}
			unharmed(t, l, s)
		})
	}
}

func unharmed(t *testing.T, l *eventlog.Log, s *saga.Saga[count]) {
	t.Helper()
	send(t, l, saga.Cancel{Saga: "round", ID: "x", By: "test"})
	drain(t, l, both(s, errands)...)
	for i, err := range outbox.Pending(t.Context(), l) {
		if strings.Contains(i.Parked, "newer than this program") || strings.Contains(i.Parked, "does not know") || strings.HasPrefix(i.Type, "$saga/a/") {
			continue // who knows
		}
		t.Errorf("pending: %s for %s: %s: %s (%v)", i.Type, i.Target, i.Data, i.Err, err)
	}
	for i, err := range outbox.Dead(t.Context(), l) {
		if err != nil || strings.Contains(i.Err, "panic") {
			t.Errorf("dead: %s for %s: %s: %s (%v)", i.Type, i.Target, i.Data, i.Err, err)
		}
	}
	for i, err := range saga.List(t.Context(), l, "") {
		if err != nil || i.ID == "x" && !i.State.Ended() && i.State != saga.Parked {
			t.Errorf("%s/%s is %s: %v (%v)", i.Saga, i.ID, i.State, i.Err, err)
		}
	}
}
