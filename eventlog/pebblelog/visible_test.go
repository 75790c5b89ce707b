package pebblelog

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// A slowDisk syncs logs only when it is let.
type slowDisk struct {
	vfs.FS
	mu   sync.Mutex
	held chan struct{} // closed to let syncs through; nil: they pass
}

func (d *slowDisk) hold() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.held = make(chan struct{})
}

func (d *slowDisk) release() {
	d.mu.Lock()
	defer d.mu.Unlock()
	close(d.held)
	d.held = nil
}

func (d *slowDisk) pass() {
	d.mu.Lock()
	held := d.held
	d.mu.Unlock()
	if held != nil {
		<-held
	}
}

func (d *slowDisk) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := d.FS.Create(name, c)
	if err == nil && isLog(name) && d.PathDir(name) == "log" {
		f = &slowFile{f, d}
	}
	return f, err
}

func (d *slowDisk) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := d.FS.ReuseForWrite(oldname, newname, c)
	if err != nil {
		return nil, err
	}
	return &slowFile{f, d}, nil
}

type slowFile struct {
	vfs.File
	disk *slowDisk
}

func (f *slowFile) Sync() error     { f.disk.pass(); return f.File.Sync() }
func (f *slowFile) SyncData() error { f.disk.pass(); return f.File.SyncData() }

// A sight is everything that readers can see.
type sight struct {
	Tails   []driver.Revision
	Commits [][]string
	Found   []string
	Back    []string
	Keys    []driver.Key
	Cells   []driver.Cell
}

func look(t *testing.T, l driver.Log) sight {
	t.Helper()
	var s sight
	ctx := t.Context()
	texts := func(shard int, key string, r driver.Range) (list []string) {
		seq := l.Read(ctx, shard, r)
		if key != "" {
			seq = l.Find(ctx, shard, key, r)
		}
		for c, err := range seq {
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, string(c.Data))
		}
		return list
	}
	for shard := range 3 {
		tail, err := l.Tail(ctx, shard)
		if err != nil {
			t.Fatal(err)
		}
		s.Tails = append(s.Tails, tail)
		s.Commits = append(s.Commits, texts(shard, "", driver.Range{}))
	}
	s.Found = texts(0, "a", driver.Range{})
	s.Back = texts(0, "a", driver.Range{Backward: true, Limit: 1})
	for k, err := range l.Keys(ctx, 0, "", "") {
		if err != nil {
			t.Fatal(err)
		}
		s.Keys = append(s.Keys, k)
	}
	for c, err := range l.Cells(ctx, "", "", 0) {
		if err != nil {
			t.Fatal(err)
		}
		s.Cells = append(s.Cells, c)
	}
	return s
}

func commit(shard int, rev driver.Revision, data string, keys ...driver.Key) driver.Batch {
	return driver.Batch{Shard: shard, First: rev, Commits: []driver.Commit{{Revision: rev, Data: []byte(data), Keys: keys}}}
}

func put(key, value string, version uint64) driver.CellOp {
	return driver.CellOp{Op: driver.Put, Cell: driver.Cell{Key: key, Value: []byte(value), Version: version}}
}

func mustWrite(t *testing.T, l driver.Log, cells []driver.CellOp, batches ...driver.Batch) {
	t.Helper()
	if err := l.Write(t.Context(), driver.Write{Batches: batches, Cells: cells}); err != nil {
		t.Fatal(err)
	}
}

// TestNobodySeesWhatIsNotDurable stops the disk in the middle of a sync. The
// engine has the rows then and shows them; no reader of ours sees one, nobody is
// answered, and a second write on top of the first is hidden too.
func TestNobodySeesWhatIsNotDurable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testNobodySees)
}

func testNobodySees(t *testing.T) {
	disk := &slowDisk{FS: vfs.NewMem()}
	l, err := Open("log", &Options{FS: disk})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	mustWrite(t, l, []driver.CellOp{put("x", "old", 1), put("y", "old", 1)},
		commit(0, 1, "one", driver.Key{Name: "a", Pos: 1}), commit(1, 1, "uno"))
	before := look(t, l)

	disk.hold()
	first := answer(l, driver.Write{
		Batches: []driver.Batch{
			commit(0, 2, "two", driver.Key{Name: "a", Pos: 2}, driver.Key{Name: "b", Pos: 2}),
			commit(1, 2, "due"), commit(2, 1, "new"),
		},
		Cells: []driver.CellOp{put("x", "new", 2), {Op: driver.Delete, Cell: driver.Cell{Key: "y"}}, put("z", "new", 1)},
	})
	synctest.Wait() // until everybody waits: for the disk
	if _, closer, err := l.db.Get(appendCommitKey(nil, 2, 1)); err != nil {
		t.Fatalf("the engine does not show what it syncs (%v): this test tests nothing", err)
	} else {
		closer.Close()
	}
	same(t, "with a sync under way", look(t, l), before)

	second := answer(l, driver.Write{Batches: []driver.Batch{commit(0, 3, "three")}, Cells: []driver.CellOp{put("x", "newer", 3)}})
	synctest.Wait()
	// These rest on what is not durable: they may not be answered yet.
	late := answer(l, driver.Write{Batches: []driver.Batch{commit(0, 2, "late")}})
	two := uint64(3)
	sees := answer(l, driver.Write{Cells: []driver.CellOp{{Op: driver.Check, If: &two, Cell: driver.Cell{Key: "x"}}}})
	synctest.Wait()
	same(t, "with more writes behind it", look(t, l), before)
	for name, a := range map[string]<-chan error{"first": first, "second": second, "late": late, "check": sees} {
		select {
		case err := <-a:
			t.Errorf("the %s write is answered while the disk stands still: %v", name, err)
		default:
		}
	}

	disk.release()
	var tail *driver.TailError
	if err := <-late; !errors.As(err, &tail) || tail.Tail != 3 {
		t.Errorf("late write: %v, expected a TailError with tail 3", err)
	}
	if err := errors.Join(<-first, <-second, <-sees); err != nil {
		t.Fatal(err)
	}
	after := look(t, l)
	want := sight{
		Tails:   []driver.Revision{3, 2, 1},
		Commits: [][]string{{"one", "two", "three"}, {"uno", "due"}, {"new"}},
		Found:   []string{"one", "two"}, Back: []string{"two"},
		Keys:  []driver.Key{{Name: "a", Pos: 2}, {Name: "b", Pos: 2}},
		Cells: []driver.Cell{put("x", "newer", 3).Cell, put("z", "new", 1).Cell},
	}
	same(t, "after the sync", after, want)
}

// TestWatchersHearOfWhatIsDurable stops the disk: no head may move before.
func TestWatchersHearOfWhatIsDurable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testWatchersHear)
}

func testWatchersHear(t *testing.T) {
	disk := &slowDisk{FS: vfs.NewMem()}
	l, err := Open("log", &Options{FS: disk})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	released := make(chan struct{})
	heard := make(chan error, 1)
	go func() {
		for h := range l.Watch(ctx) {
			select {
			case <-released:
				heard <- nil
			default:
				heard <- fmt.Errorf("heard of %v before it was durable", h)
			}
			return
		}
	}()
	synctest.Wait()
	disk.hold()
	done := answer(l, driver.Write{Batches: []driver.Batch{commit(0, 1, "one")}})
	synctest.Wait()
	close(released)
	disk.release()
	if err := errors.Join(<-done, <-heard); err != nil {
		t.Fatal(err)
	}
}

// answer writes in a goroutine of its own.
func answer(l driver.Log, w driver.Write) <-chan error {
	c := make(chan error, 1)
	go func() { c <- l.Write(context.Background(), w) }()
	return c
}

func same(t *testing.T, when string, got, want sight) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (- expected, + seen):\n%s", when, diff)
	}
}
