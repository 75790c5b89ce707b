package remotelog_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/eventlog/remotelog"
)

// counted counts the Writes that are refused by their tails.
type counted struct {
	*remotelog.Log
	refused *atomic.Int32
}

func (c counted) Write(ctx context.Context, w driver.Write) error {
	err := c.Log.Write(ctx, w)
	if errors.As(err, new(*driver.TailError)) {
		c.refused.Add(1)
	}
	return err
}

// TestRefusalTellsOfAllShards: a process that others have overtaken in all shards is
// refused once, and not once in each.
func TestRefusalTellsOfAllShards(t *testing.T) {
	t.Parallel()
	url := serve(t, memlog.Open(), nil)
	var logs []*eventlog.Log
	var refused [2]atomic.Int32
	for i := range refused {
		l, err := eventlog.Open(t.Context(), counted{dial(t, url, nil), &refused[i]}, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		logs = append(logs, l)
	}
	streams := make([]string, logs[0].Shards()) // one of each shard
	for n, left := 0, len(streams); left > 0; n++ {
		name := fmt.Sprintf("s/%d", n)
		if at := &streams[logs[0].ShardOf(name)]; *at == "" {
			*at = name
			left--
		}
	}
	for round := range 3 {
		for i, l := range logs {
			refused[i].Store(0)
			for _, s := range streams {
				if _, err := l.Append(t.Context(), s, nil, eventlog.Raw{Type: "test.happened", Data: []byte("{}")}); err != nil {
					t.Fatal(err)
				}
			}
			if n := refused[i].Load(); round > 0 && n != 1 {
				t.Errorf("round %d: process %d was refused %d times for %d shards", round, i, n, len(streams))
			}
		}
	}
}
