package saga

import (
	"strings"
	"testing"

	"github.com/rollforward/rollforward/eventlog"
)

// FuzzFold: whatever stands in an instance's stream, folding it does not panic, and what
// users see can be made of it.
func FuzzFold(f *testing.F) {
	f.Add(`$saga.started {"v":1,"data":{},"next":{"n":1,"step":"a","kind":"change","on":"x","sent":1}}
$saga.done {"n":1,"step":"a","data":{},"undoable":true,"next":{"n":2,"step":"b","kind":"child","fan":true,"saga":"c","more":true}}
$saga.spread {"n":2,"count":9,"cursor":"z","more":true}
$saga.child {"n":2,"i":9,"ok":true}
$saga.stopping {"n":2,"why":"cancel","next":{"n":3,"of":2,"step":"b","kind":"child","fan":true,"saga":"c","more":true}}
$saga.recalled {"n":3,"count":9}
$saga.child {"n":3,"i":1}
$saga.stopped {"n":3,"step":"b","why":"cancel","back":"cancel","error":"x","next":{"n":4,"of":1,"step":"a","kind":"change"}}
$saga.undone {"n":4,"of":1,"step":"a","end":"cancelled"}`)
	f.Add(`$saga.signal {"name":"a","dedup":"1","take":{}}
$saga.started {"v":1,"data":7,"parent":{"saga":"p","id":"i","n":1,"i":1},"parked":"x"}
$saga.retried {}
$saga.migrated {"v":2,"steps":{"a":"b"}}
$saga.reverted {"back":"parent","next":{"n":1,"of":5,"kind":"child"}}
$saga.child {"n":1,"i":-5}
$saga.spread {"n":1,"count":-5}`)
	f.Add(`$saga.done {"n":-1,"name":"x","i":1000000000000}`)
	f.Fuzz(func(t *testing.T, stream string) {
		var i instance
		for k, line := range strings.Split(stream, "\n") {
			typ, data, _ := strings.Cut(line, " ")
			r := eventlog.Record{Stream: "$saga-a/b", Version: uint64(k + 1), Type: typ, Data: []byte(data)}
			before := i.Clone()
			if fold(&i, r) != nil {
				i = before
			}
			var o Info
			o.fill(&i)
			i.last()
		}
	})
}
