package eventlog_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/rollforward/rollforward/eventlog"
)

// TestConditionsBeyondTheWindow: when more commits came meanwhile than a lane
// remembers, the index knows whether what was read is still true.
func TestConditionsBeyondTheWindow(t *testing.T) {
	t.Parallel()
	l := fresh(t)
	var looking, meeting sync.WaitGroup
	flooded := make(chan struct{})
	for i, c := range []struct {
		look, change string
		runs         int
	}{
		{"load", "append", 2}, {"load", "neighbour", 1},
		{"load a new stream", "new stream", 2}, {"load a new stream", "append", 1},
		{"tag", "tagged neighbour", 2}, {"tag", "neighbour", 1},
		{"no such tag", "tagged neighbour", 2}, {"no such tag", "tagged append", 1},
		{"no such tag anywhere", "tagged neighbour", 2}, {"no such tag anywhere", "far append", 1},
		{"chain", "chained neighbour", 2}, {"chain", "other chain", 1},
		{"unused id", "id", 2}, {"unused id", "other id", 1},
		{"row", "put", 2}, {"row", "append", 1}, {"blind append", "append", 1},
	} {
		a := newArena(l, fmt.Sprint(i))
		a.fill(t)
		looking.Add(1)
		meeting.Go(func() {
			runs, err := a.meet(c.look, func() {
				if _, err := l.Update(context.Background(), a.changes()[c.change].do); err != nil {
					t.Error(err)
				}
				looking.Done()
				<-flooded
			})
			if err != nil || runs != c.runs {
				t.Errorf("read %s, meanwhile %s: the function ran %d times, %v, expected %d", c.look, c.change, runs, err, c.runs)
			}
		})
	}
	looking.Wait()
	flood(t, l, (l.ShardOf(arenaTable.Name)+1)%l.Shards())
	close(flooded)
	meeting.Wait()
}

// flood pushes everything out of the window of a shard, which forgets 16,384 keys
// at a time and remembers as many again: the tags differ, for each counts once.
func flood(t *testing.T, l *eventlog.Log, shard int) {
	t.Helper()
	stream, list := inShard(l, shard, "flood"), tags(eventlog.MaxTags)
	for n := range 600 {
		for i := range list {
			list[i] = fmt.Sprint("flood ", n, ".", i)
		}
		if _, err := l.Append(t.Context(), stream, &eventlog.AppendOptions{Tags: list}, large(1)); err != nil {
			t.Fatal(err)
		}
	}
}
