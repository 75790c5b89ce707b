package memlog_test

import (
	"fmt"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/memlog"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestDriver(t *testing.T) {
	t.Parallel()
	drivertest.Run(t, func(*testing.T) driver.Log { return memlog.Open() })
	drivertest.Moves(t, func(*testing.T) driver.Mover { return memlog.NewStore().Open().(driver.Mover) })
	drivertest.Handles(t, func(*testing.T) func(*testing.T) driver.Log {
		store := memlog.NewStore()
		return func(*testing.T) driver.Log { return store.Open() }
	})
}

func TestExclusive(t *testing.T) {
	t.Parallel()
	one, shared := memlog.Open(), memlog.NewStore().Open()
	if !one.Exclusive() || shared.Exclusive() {
		t.Errorf("the only handle is exclusive: %v, a shared one: %v", one.Exclusive(), shared.Exclusive())
	}
	for _, log := range []driver.Log{one, shared} {
		if err := log.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
}

// commit is a commit whose keys are names with positions.
func commit(rev driver.Revision, keys ...driver.Key) driver.Commit {
	return driver.Commit{Revision: rev, Data: []byte(fmt.Sprint(rev)), Keys: keys}
}

func write(t *testing.T, log driver.Log, shard int, commits ...driver.Commit) error {
	t.Helper()
	return log.Write(t.Context(), driver.Write{Batches: []driver.Batch{{Shard: shard, First: commits[0].Revision, Commits: commits}}})
}

func TestPositionsMustRise(t *testing.T) {
	t.Parallel()
	log := memlog.Open()
	defer log.Close()
	k := func(name string, pos uint64) driver.Key { return driver.Key{Name: name, Pos: pos} }
	if err := write(t, log, 0, commit(1, k("a", 5), k("b", 5))); err != nil {
		t.Fatal(err)
	}
	for name, commits := range map[string][]driver.Commit{
		"the same":           {commit(2, k("a", 5))},
		"before":             {commit(2, k("b", 6), k("a", 4))},
		"falls in a commit":  {commit(2, k("c", 2), k("b", 6), k("c", 1))},
		"falls in the batch": {commit(2, k("c", 2)), commit(3, k("c", 2))},
	} {
		err := write(t, log, 0, commits...)
		if err == nil || !strings.Contains(err.Error(), "is not behind") {
			t.Errorf("%s: %v, expected a refusal", name, err)
		}
		if tail, err := log.Tail(t.Context(), 0); tail != 1 || err != nil {
			t.Errorf("%s: tail %d, %v", name, tail, err)
		}
	}
	if err := write(t, log, 0, commit(2, k("a", 6), k("c", 1)), commit(3, k("a", 7))); err != nil {
		t.Error(err)
	}
	if err := write(t, log, 1, commit(1, k("a", 1))); err != nil {
		t.Errorf("positions of another shard: %v", err)
	}
}

func TestWatchBeginsWithHeads(t *testing.T) {
	t.Parallel()
	store := memlog.NewStore()
	writer, watcher := store.Open(), store.Open()
	defer writer.Close()
	defer watcher.Close()
	want := map[int]driver.Revision{2: 2, 5: 1}
	for shard, tail := range want {
		for rev := driver.Revision(1); rev <= tail; rev++ {
			if err := write(t, writer, shard, commit(rev)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for h, err := range watcher.Watch(t.Context()) {
		if err != nil || want[h.Shard] != h.Revision {
			t.Fatalf("head %+v, %v; expected %v", h, err, want)
		}
		if delete(want, h.Shard); len(want) == 0 {
			break
		}
	}
}
