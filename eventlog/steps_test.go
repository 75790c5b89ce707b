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
	Chain                      byte   // of a scope, or one that is looked for
	Inner                      []step // of a savepoint or scope
	Fail                       bool   // which ends with an error
}

var (
	refStreams = []string{"a", "b", "c/{a}", "d"}
	refTags    = []string{"x", "y"}
	refKeys    = []string{"k", "k1", "l"}
	refChains  = []byte{1, 2, 3}
	refReads   = []string{"load", "stream", "backward", "tag", "get", "all", "chain", "metas"}
	refWrites  = []string{"append", "append", "put", "delete", "once", "savepoint", "scope", "scope", "mark"}
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
		case "chain":
			list := read(eventlog.Query{Correlation: eventlog.ID{s.Chain}, Shards: allShards(tx.Log())})
			slices.Sort(list)
			see(s.Op, list...)
		case "metas":
			var list []string
			for r, e := range tx.Read(eventlog.Query{Stream: s.Stream}) {
				err = join(err, e)
				list = append(list, refMeta{r.Meta.Correlation[0], r.Meta.Actor}.String())
			}
			see(s.Op, list...)
		case "mark":
			tx.Meta().Correlation[0] = s.Chain
			tx.Meta().Actor += s.Text + ","
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
		case "savepoint", "scope":
			inner := func() error {
				list, e := playSteps(tx, s.Inner)
				if saw = append(saw, list...); s.Fail {
					e = join(e, errNo)
				}
				return e
			}
			meta := *tx.Meta()
			var e error
			if s.Op == "savepoint" {
				e = tx.Savepoint(inner)
			} else {
				e = tx.Scope(eventlog.Meta{Correlation: eventlog.ID{s.Chain}}, inner)
			}
			if (s.Op == "scope" || s.Fail) && (meta.Actor != tx.Meta().Actor || meta.Correlation != tx.Meta().Correlation) {
				err = join(err, fmt.Errorf("behind a %s the metadata is %v, before it was %v", s.Op, *tx.Meta(), meta))
			}
			if !s.Fail || !errors.Is(e, errNo) {
				err = join(err, e)
			}
		}
	}
	return saw, err
}
