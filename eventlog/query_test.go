package eventlog_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/internal/sys"
)

var (
	queryStreams = []string{"a/1", "a/2", "a", "b/1", "b/{a/1}", "aa/1", "$sys/0", "$sys/1"}
	queryTypes   = []string{"old", "renamed", "new", "other"}
	queryTags    = []string{"x", "y", "xy", "$x"}
	queryCasts   = []eventlog.Upcast{{From: "old", To: "renamed"}, {From: "renamed", To: "new", Func: cast}}
)

func cast(data json.RawMessage) (json.RawMessage, error) {
	return append(data[:len(data):len(data)], " cast"...), nil
}

// queried is a log of random content together with all its records.
type queried struct {
	*rapid.T
	log *eventlog.Log
	o   eventlog.Options
	all []eventlog.Record // as stored, in the order of (time, shard, revision)
}

// TestQueries holds random queries of random logs, outside and inside
// transactions, against a filter over everything that was written.
func TestQueries(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		q := newQueried(rt)
		defer q.log.Close()
		for range 10 {
			query := q.draw()
			want := q.filter(query)
			q.compare(query, "Read", want, collect(t, q.log.Read(t.Context(), query)))
			if query.Stream == "" && query.Shards == nil {
				query.Shards = allShards(q.log)
			}
			inside := func(tx *eventlog.Tx) error {
				q.compare(query, "Tx.Read", want, collect(t, tx.Read(query)))
				return nil
			}
			is(t, q.log.View(t.Context(), inside), nil)
			update(t, q.log, inside)
		}
	})
}

func (q *queried) compare(query eventlog.Query, how string, want, got []eventlog.Record) {
	same := slices.EqualFunc(want, got, func(a, b eventlog.Record) bool {
		return a.ID == b.ID && a.Type == b.Type && bytes.Equal(a.Data, b.Data) && a.Version == b.Version && a.Revision == b.Revision
	})
	if same {
		return
	}
	equate := cmp.Options{cmpopts.IgnoreUnexported(eventlog.Record{}), cmpopts.EquateEmpty()}
	q.Fatalf("%s of %+v yields %d records, expected %d of %d (-want +got):\n%s",
		how, query, len(got), len(want), len(q.all), cmp.Diff(want, got, equate))
}

func newQueried(t *rapid.T) *queried {
	q := &queried{T: t, o: eventlog.Options{Shards: rapid.IntRange(1, 3).Draw(t, "shards"), Upcasts: queryCasts, Index: eventlog.Index{
		Types: rapid.Bool().Draw(t, "type keys"), Correlations: rapid.Bool().Draw(t, "correlation keys")}}}
	var err error
	if q.log, err = eventlog.Open(context.Background(), memlog.Open(), &q.o); err != nil {
		t.Fatal(err)
	}
	n := 0
	for range rapid.IntRange(1, 30).Draw(t, "commits") {
		if _, err := q.log.Update(context.Background(), func(tx *eventlog.Tx) error {
			chain := rapid.SampledFrom([]eventlog.ID{{}, {1}, {2}})
			tx.Meta().Correlation = chain.Draw(t, "chain")
			for range rapid.IntRange(1, 4).Draw(t, "events") {
				n++
				add := func() error { return tx.Append(q.drawEvent(n)) }
				err := error(nil)
				if rapid.Bool().Draw(t, "scope") {
					err = tx.Scope(eventlog.Meta{Correlation: chain.Draw(t, "chain of a scope")}, add)
				} else {
					err = add()
				}
				if err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	q.readAll()
	if len(q.all) != n {
		t.Fatalf("%d records of %d events", len(q.all), n)
	}
	return q
}

// drawEvent draws an event whose data is n.
func (q *queried) drawEvent(n int) (stream string, e eventlog.Event) {
	stream = rapid.SampledFrom(queryStreams).Draw(q.T, "stream")
	typ := rapid.SampledFrom(queryTypes).Draw(q.T, "type")
	tags := rapid.SliceOfNDistinct(rapid.SampledFrom(queryTags), 0, 2, rapid.ID[string]).Draw(q.T, "tags")
	if strings.HasPrefix(stream, "$") {
		return stream, sys.Event{Type: typ, Data: fmt.Append(nil, n), Tags: tags}
	}
	tags = slices.DeleteFunc(tags, func(s string) bool { return strings.HasPrefix(s, "$") })
	return stream, eventlog.Tagged(eventlog.Raw{Type: typ, Data: fmt.Append(nil, n)}, tags...)
}

// readAll reads shard by shard, which needs neither index nor merging.
func (q *queried) readAll() {
	for shard := range q.log.Shards() {
		for r, err := range q.log.Read(context.Background(), eventlog.Query{Shards: []int{shard}, System: true, Stored: true}) {
			if err != nil {
				q.Fatal(err)
			}
			q.all = append(q.all, r)
		}
	}
	slices.SortStableFunc(q.all, func(a, b eventlog.Record) int { return a.Time.Compare(b.Time) }) // of equal times the lower shard is first
}

// draw draws a query that is valid.
func (q *queried) draw() (query eventlog.Query) {
	maybe := func(what string, set func()) {
		if rapid.IntRange(0, 3).Draw(q.T, what+"?") == 0 {
			set()
		}
	}
	some := func() *eventlog.Record { return &q.all[rapid.IntRange(0, len(q.all)-1).Draw(q.T, "record")] }
	maybe("stream", func() { query.Stream = rapid.SampledFrom(append(queryStreams, "none")).Draw(q.T, "stream") })
	maybe("category", func() {
		query.Category = rapid.SampledFrom([]string{"a", "b", "aa", "$sys", "none"}).Draw(q.T, "category")
	})
	maybe("tag", func() { query.Tag = rapid.SampledFrom(append(queryTags, "none")).Draw(q.T, "tag") })
	maybe("types", func() {
		query.Types = rapid.SliceOfNDistinct(rapid.SampledFrom(append(queryTypes, "none")), 1, 2, rapid.ID[string]).Draw(q.T, "types")
	})
	maybe("chain", func() {
		query.Correlation = rapid.SampledFrom([]eventlog.ID{{1}, {2}, {3}, some().Commit()}).Draw(q.T, "chain")
	})
	maybe("shard", func() {
		query.Shards = []int{rapid.IntRange(0, q.log.Shards()-1).Draw(q.T, "shard")}
		if query.Stream != "" {
			query.Shards = []int{q.log.ShardOf(query.Stream)}
		}
	})
	if query.Stream != "" || len(query.Shards) == 1 {
		maybe("from", func() { query.From = rapid.Uint64Max(20).Draw(q.T, "from") })
		maybe("to", func() { query.To = rapid.Uint64Max(20).Draw(q.T, "to") })
	}
	maybe("after", func() {
		for shard := range q.log.Shards() {
			query.After = query.After.With(shard, driver.Revision(rapid.IntRange(0, 12).Draw(q.T, "after")))
		}
	})
	near := func() time.Time { return some().Time.Add(time.Duration(rapid.IntRange(-1, 1).Draw(q.T, "ns"))) }
	maybe("since", func() { query.Since = near() })
	maybe("until", func() { query.Until = near() })
	maybe("limit", func() { query.Limit = rapid.IntRange(1, 20).Draw(q.T, "limit") })
	query.Backward = rapid.Bool().Draw(q.T, "backward")
	query.System = rapid.Bool().Draw(q.T, "system")
	query.Stored = rapid.Bool().Draw(q.T, "stored")
	return query
}

// filter is a Read without index, pages, and cursors.
func (q *queried) filter(query eventlog.Query) (list []eventlog.Record) {
	for _, r := range q.all {
		if !query.Stored && (r.Type == "old" || r.Type == "renamed") {
			r.Type = "new"
			r.Data, _ = cast(r.Data)
		}
		if q.selects(query, r) {
			list = append(list, r)
		}
	}
	if query.Backward {
		slices.Reverse(list)
	}
	if query.Limit > 0 && len(list) > query.Limit {
		list = list[:query.Limit]
	}
	return list
}

func (q *queried) selects(query eventlog.Query, r eventlog.Record) bool {
	at, dollar := uint64(r.Revision), func(s string) bool { return strings.HasPrefix(s, "$") }
	if query.Stream != "" {
		at = r.Version
	}
	cat, _, _ := strings.Cut(r.Stream, "/")
	chain := r.Meta.Correlation
	if q.o.Index.Correlations && chain.IsZero() {
		chain = r.Commit() // the first of a chain is only found when it is indexed
	}
	return (query.Stream == "" || r.Stream == query.Stream) &&
		(query.System || dollar(query.Stream) || dollar(query.Category) || dollar(query.Tag) || !dollar(r.Stream)) &&
		(query.Category == "" || cat == query.Category) &&
		(query.Tag == "" || slices.Contains(r.Tags, query.Tag)) &&
		(query.Types == nil || slices.Contains(query.Types, r.Type)) &&
		(query.Correlation.IsZero() || query.Correlation == chain) &&
		(query.Shards == nil || slices.Contains(query.Shards, r.Shard)) &&
		at >= query.From && (query.To == 0 || at <= query.To) &&
		r.Revision > query.After.Revision(r.Shard) &&
		!r.Time.Before(query.Since) && (query.Until.IsZero() || r.Time.Before(query.Until))
}

func TestQueryRefuses(t *testing.T) {
	t.Parallel()
	l := fresh(t)
	other := (l.ShardOf("s") + 1) % l.Shards()
	for _, q := range []eventlog.Query{
		{Shards: []int{16}}, {Shards: []int{-1}}, {Shards: []int{1, 2, 1}}, {Stream: "s", Shards: []int{other}}, {From: 1}, {To: 1},
		{Shards: []int{1, 2}, From: 1}, {Backward: true, Follow: true}, {Limit: -1},
	} {
		if err := last(l.Read(t.Context(), q)); err == nil || !strings.HasPrefix(err.Error(), "eventlog: query: ") {
			t.Errorf("%+v: error %v", q, err)
		}
	}
}
