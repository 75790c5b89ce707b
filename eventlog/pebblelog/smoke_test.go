package pebblelog

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/rollforward/rollforward/eventlog/driver"
)

func TestSmoke(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	dir := t.TempDir()
	l, err := Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for s := range 8 {
		wg.Go(func() {
			for i := range 200 {
				rev := driver.Revision(i + 1)
				err := l.Write(ctx, driver.Write{Batches: []driver.Batch{{Shard: s, First: rev, Commits: []driver.Commit{{
					Revision: rev, Data: []byte(fmt.Sprintf("%d/%d", s, i)), Keys: []driver.Key{{Name: "a", Pos: uint64(i + 1)}, {Name: fmt.Sprint("s", i%10), Pos: uint64(i/10 + 1)}}}}}}})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l, err = Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for c, err := range l.Read(ctx, 3, driver.Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("3/%d", n); string(c.Data) != want {
			t.Fatal(string(c.Data), want)
		}
		n++
	}
	if n != 200 {
		t.Fatal(n)
	}
	n = 0
	for c, err := range l.Find(ctx, 3, "s4", driver.Range{Backward: true}) {
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("3/%d", 194-10*n); string(c.Data) != want {
			t.Fatal(string(c.Data), want)
		}
		n++
	}
	if n != 20 {
		t.Fatal(n)
	}
	n = 0
	for k, err := range l.Keys(ctx, 3, "", "") {
		if err != nil {
			t.Fatal(err)
		}
		t.Log(k)
		n++
	}
	if n != 11 {
		t.Fatal(n)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}
