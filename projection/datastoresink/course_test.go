package datastoresink_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloud.google.com/go/datastore"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/projection"
	"github.com/rollforward/rollforward/projection/datastoresink"
)

type Posted struct{ Amount int }

func (Posted) EventType() string { return "posted" }

// sums adds up each stream, and all of them in one row that every shard writes.
var sums = datastoresink.Projection{Name: "sums", Version: 1, Reset: datastoresink.Empty,
	Handlers: datastoresink.Handlers{projection.On(func(tx *datastoresink.Tx, r eventlog.Record, e Posted) error {
		if err := add(tx, r.Stream, e.Amount); err != nil {
			return err
		}
		return add(tx, "all", e.Amount)
	})},
}

// postings has a row for each event, and one with how often it took effect.
var postings = datastoresink.Projection{Name: "postings", Version: 1, Reset: datastoresink.Empty,
	Handlers: datastoresink.Handlers{projection.On(func(tx *datastoresink.Tx, r eventlog.Record, e Posted) error {
		return add(tx, fmt.Sprint(r.Stream, " ", r.Version), 1)
	})},
}

// newLog makes a log with n events, and returns what sums and postings come to.
func newLog(t testing.TB, shards, n int) (log *eventlog.Log, sum, each map[string]int) {
	t.Helper()
	log = eventlogtest.Open(t, &eventlog.Options{Shards: shards})
	sum, each = make(map[string]int), make(map[string]int)
	for i := range n {
		stream := fmt.Sprint("account/", i%7)
		if _, err := log.Append(t.Context(), stream, nil, Posted{i}); err != nil {
			t.Fatal(err)
		}
		sum[stream] += i
		sum["all"] += i
		each[fmt.Sprint(stream, " ", i/7+1)] = 1
	}
	return log, sum, each
}

func wantItems(t *testing.T, c *datastore.Client, s *datastoresink.Sink, name string, want map[string]int) {
	t.Helper()
	got, err := items(context.Background(), c, s, name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows of %s (-want +got):\n%s", name, diff)
	}
}

// soon bounds a test that would hang.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}
