package eventlog_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/rollforward/rollforward/eventlog"
)

// A step is one thing that a transaction does.
type step struct {
	Op, Stream, Text, Tag, Key string
	Inner                      []step // of a savepoint
	Fail                       bool   // the savepoint does
}

var (
	refStreams = []string{"a", "b", "c/{a}", "d"}
	refTags    = []string{"x", "y"}
	refKeys    = []string{"k", "k1", "l"}
	refReads   = []string{"load", "stream", "backward", "tag", "get", "all"}
	refWrites  = []string{"append", "append", "put", "delete", "once", "savepoint"}
)

// playSteps does the steps in a transaction and returns what they show.
func playSteps(tx *eventlog.Tx, steps []step) (saw []string, err error) {
	see := func(what string, list ...string) { saw = append(saw, what+": "+strings.Join(list, " ")) }
	read := func(q eventlog.Query) (list []string) {
		for r, e := range tx.Read(q) {
			var event entry
			if err = join(err, e); e == nil {
				err = join(err, r.Decode(&event))
			}
			list = append(list, event.Text)
		}
		return list
	}
	for _, s := range steps {
		switch s.Op {
		case "load":
			d, e := diaries.Load(tx, s.Stream)
			if err = join(err, e); e == nil {
				see(s.Op, strings.Fields(d.Text)...)
			}
		case "stream":
			see(s.Op, read(eventlog.Query{Stream: s.Stream})...)
		case "backward":
			see(s.Op, read(eventlog.Query{Stream: s.Stream, Backward: true, Limit: 2})...)
		case "tag":
			list := read(eventlog.Query{Tag: s.Tag, Shards: allShards(tx.Log())})
			slices.Sort(list)
			see(s.Op, list...)
		case "get":
			v, _, e := notes.Get(tx, s.Key)
			err = join(err, e)
			see(s.Op, v)
		case "all":
			var list []string
			for row, e := range notes.All(tx, s.Key) {
				err = join(err, e)
				list = append(list, row.Key+"="+row.Value)
			}
			see(s.Op, list...)
		case "append":
			err = join(err, tx.Append(s.Stream, eventlog.Tagged(entry{s.Text}, s.Tag)))
		case "put":
			err = join(err, notes.Put(tx, s.Key, s.Text))
		case "delete":
			err = join(err, notes.Delete(tx, s.Key))
		case "once":
			done, e := tx.Once(s.Stream, "once "+s.Key)
			err = join(err, e)
			see(s.Op, fmt.Sprint(done))
		case "savepoint":
			e := tx.Savepoint(func() error {
				list, e := playSteps(tx, s.Inner)
				if saw = append(saw, list...); s.Fail {
					e = join(e, errNo)
				}
				return e
			})
			if !s.Fail || !errors.Is(e, errNo) {
				err = join(err, e)
			}
		}
	}
	return saw, err
}
