package eventlog_test

import (
	"errors"
	"testing"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/sys"
)

// TestSystemStreams: only this module's packages write streams and tags that
// start with $, to the shard that the name says, and readings show them only
// when they are asked for.
func TestSystemStreams(t *testing.T) {
	t.Parallel()
	eachDriver(t, nil, func(t *testing.T, l *eventlog.Log) {
		user := inShard(l, 3, "user")
		update(t, l, func(tx *eventlog.Tx) error {
			return join(tx.Append(user, eventlog.Tagged(entry{"1"}, "tag")),
				tx.Append("$steps/3", sys.Event{Type: "$step", Data: []byte(`{"Text":"2"}`), Tags: []string{"$step/1", "tag"}}))
		})
		for _, c := range []struct {
			q    eventlog.Query
			want string
		}{
			{eventlog.Query{}, "1"},
			{eventlog.Query{System: true}, "1 2"},
			{eventlog.Query{Shards: []int{3}}, "1"},
			{eventlog.Query{Shards: []int{3}, System: true}, "1 2"},
			{eventlog.Query{Stream: "$steps/3"}, "2"},
			{eventlog.Query{Category: "$steps"}, "2"},
			{eventlog.Query{Tag: "$step/1"}, "2"},
			{eventlog.Query{Tag: "tag"}, "1"},
			{eventlog.Query{Tag: "tag", System: true}, "1 2"},
			{eventlog.Query{Types: []string{"$step"}}, ""},
			{eventlog.Query{Types: []string{"$step"}, System: true}, "2"},
		} {
			if got := texts(t, l.Read(t.Context(), c.q)); got != c.want {
				t.Errorf("%+v yields %q, expected %q", c.q, got, c.want)
			}
		}
		for _, r := range collect(t, l.Read(t.Context(), eventlog.Query{System: true})) {
			if r.Shard != 3 || r.Revision != 1 {
				t.Errorf("%s lies in shard %d at revision %d, expected one commit of shard 3", r.Stream, r.Shard, r.Revision)
			}
		}
		if list := collect(t, l.Streams(t.Context(), "$")); len(list) != 1 || list[0].Stream != "$steps/3" {
			t.Errorf("system streams %v", list)
		}
		if list := collect(t, l.Streams(t.Context(), "")); len(list) != 1 || list[0].Stream != user {
			t.Errorf("streams %v", list)
		}
		for name, e := range map[string]struct {
			stream string
			event  eventlog.Event
		}{
			"stream": {"$steps/3", entry{"no"}},
			"type":   {"s", eventlog.Raw{Type: "$step"}},
			"tag":    {"s", eventlog.Tagged(entry{"no"}, "$step/1")},
		} {
			_, err := l.Append(t.Context(), e.stream, nil, e.event)
			if !errors.Is(err, eventlog.ErrName) {
				t.Errorf("a user writes a system %s: %v, expected ErrName", name, err)
			}
		}
	})
}
