package pebblelog

import (
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// The tails file says how far each shard reached when the log was last closed or
// a memtable was flushed. It is a lower bound: a log that ends before it has lost
// its end to damage that the engine took for a torn one, such as the last record
// of its manifest. It costs nothing on the way of a write.
const tailsFile = "TAILS"

// tails maps shards to revisions.
type tails map[int]driver.Revision

// tails returns what is durable now.
func (h *heads) tails() tails {
	t := tails{}
	for id, s := range *h.table.Load() {
		if rev := s.durable.Load(); rev > 0 {
			t[id] = driver.Revision(rev)
		}
	}
	return t
}

func (t tails) shards() []int {
	var ids []int
	for id := range t {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// text is a line for each shard, and a checksum.
func (t tails) text() string {
	var b strings.Builder
	for _, id := range t.shards() {
		fmt.Fprintf(&b, "shard %d revision %d\n", id, t[id])
	}
	return fmt.Sprintf("%ssum %08x\n", b.String(), crc32.Checksum([]byte(b.String()), castagnoli))
}

// parseTails returns false when text is damaged.
func parseTails(text string) (tails, bool) {
	t := tails{}
	for line := range strings.Lines(text) {
		var id int
		var rev driver.Revision
		if n, _ := fmt.Sscanf(line, "shard %d revision %d\n", &id, &rev); n == 2 {
			t[id] = rev
		}
	}
	return t, t.text() == text
}

// write replaces the file in dir.
func (t tails) write(fsys vfs.FS, dir string) error {
	return replaceFile(fsys, dir, tailsFile, t.text())
}

// replaceFile writes a small file so that it is old or new, never in between.
func replaceFile(fsys vfs.FS, dir, name, text string) error {
	tmp := fsys.PathJoin(dir, name+tmpSuffix)
	f, err := fsys.Create(tmp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write([]byte(text))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := fsys.Rename(tmp, fsys.PathJoin(dir, name)); err != nil {
		return err
	}
	return syncDir(fsys, dir)
}

const tmpSuffix = ".tmp"

// flushed saves the tails after a flush, off the engine's hands. A flush while
// the log opens comes before they are known.
func (l *Log) flushed() {
	if l.heads.table.Load() != nil && !l.opts.ReadOnly {
		l.saving.Go(l.saveTails)
	}
}

// saveTails writes the tails file. What cannot be written is only logged: the old
// one is a bound still.
func (l *Log) saveTails() {
	if l.opts.ReadOnly || l.failure.failed() {
		return
	}
	l.tails.Lock()
	defer l.tails.Unlock()
	if err := l.heads.tails().write(l.opts.FS, l.dir); err != nil {
		l.log.Error("pebblelog: tails not saved", "error", err)
	}
}

// checkTails compares the log with its tails file.
func (l *Log) checkTails() error {
	text, err := readFile(l.opts.FS, l.opts.FS.PathJoin(l.dir, tailsFile))
	if isNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	t, ok := parseTails(text)
	if !ok {
		l.log.Warn("pebblelog: the tails file is damaged; the log is not compared with it")
		return nil
	}
	for _, id := range t.shards() {
		if tail := l.heads.tail(id); tail < t[id] {
			return &driver.CorruptError{Shard: id, Revision: tail + 1, Reason: fmt.Sprintf("the log had %d commits", t[id])}
		}
	}
	return nil
}
