package eventlog

import (
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// A loose commit is a relaxed append that has no place yet. It lies in a cell,
// together with others that were put in the same write, under the revision that
// their process had seen, the time of the first and its id. So cells sort as they
// are to be folded, and a cell's name comes never again.

// looseName names a cell of loose commits within its shard.
type looseName struct {
	seen driver.Revision
	time int64 // of its first append
	id   ID    // of that
}

const (
	looseCells  = "$loose\x01"
	looseFormat = 1
)

// looseShard is the beginning of the names of a shard's cells.
func looseShard(shard int) string { return fmt.Sprintf("%s%04d\x01", looseCells, shard) }

// behind sorts behind all cells of a prefix.
func behind(prefix string) string { return strings.TrimSuffix(prefix, "\x01") + "\x02" }

// String sorts as names do: by seen, time and id.
func (n looseName) String() string { return fmt.Sprintf("%020d.%020d.%s", n.seen, n.time, n.id.hex()) }

// key is the index key of the commit that folds the cell.
func (n looseName) key() string { return looseKeys + n.String() }

func (n looseName) cell(shard int) string { return looseShard(shard) + n.String() }

// compare orders by place in the timeline.
func (n looseName) compare(o looseName) int {
	return cmp.Or(cmp.Compare(n.seen, o.seen), cmp.Compare(n.time, o.time), slices.Compare(n.id[:], o.id[:]))
}

var errLooseName = errors.New("not the name of a cell of relaxed appends")

// parseLooseName reads what String wrote.
func parseLooseName(s string) (looseName, error) {
	seen, rest, _ := strings.Cut(s, ".")
	at, id, _ := strings.Cut(rest, ".")
	var n looseName
	rev, err1 := strconv.ParseUint(seen, 10, 64)
	t, err2 := strconv.ParseInt(at, 10, 64)
	raw, err3 := hex.DecodeString(id)
	if errors.Join(err1, err2, err3) != nil || len(raw) != len(n.id) {
		return n, errLooseName
	}
	n.seen, n.time = driver.Revision(rev), t
	copy(n.id[:], raw)
	if n.String() != s {
		return n, errLooseName
	}
	return n, nil
}

// A looseCell is a cell as it was read.
type looseCell struct {
	looseName
	name    string // of the cell in the store
	version uint64
	bytes   int
	commits []*commit
}

// encodeLoose returns the value of a cell: each commit as it would stand at the
// revision that it saw, which the checksum covers.
func encodeLoose(shard int, seen driver.Revision, commits []*commit) []byte {
	size := 1
	for _, c := range commits {
		size += c.size() + binary.MaxVarintLen32
	}
	b := append(make([]byte, 0, size), looseFormat)
	var one []byte
	for _, c := range commits {
		one = c.append(one[:0], shard, seen)
		b = append(binary.AppendUvarint(b, uint64(len(one))), one...)
	}
	return b
}

// decodeLoose reads a cell. Every error wraps ErrCorrupt or ErrFormat and names
// the cell.
func decodeLoose(shard, shards int, c driver.Cell) (*looseCell, error) {
	cell := &looseCell{name: c.Key, version: c.Version, bytes: len(c.Value)}
	err := cell.decode(shard, shards, c.Value)
	switch {
	case err == nil:
		return cell, nil
	case errors.Is(err, ErrFormat):
		return nil, fmt.Errorf("relaxed appends in cell %q: %w", c.Key, err)
	}
	return nil, fmt.Errorf("%w: relaxed appends in cell %q: %w", ErrCorrupt, c.Key, err)
}

func (c *looseCell) decode(shard, shards int, value []byte) (err error) {
	if c.looseName, err = parseLooseName(strings.TrimPrefix(c.name, looseShard(shard))); err != nil {
		return err
	}
	if len(value) == 0 {
		return errTruncated
	}
	if value[0] != looseFormat {
		return fmt.Errorf("%w: format %d, this program knows %d", ErrFormat, value[0], looseFormat)
	}
	d := decoder{value[1:], nil}
	for len(d.b) > 0 {
		one, err := decodeCommit(shard, c.seen, d.bytes(d.count(1)))
		if err != nil {
			return err
		}
		if err := one.checkLoose(shard, shards); err != nil {
			return err
		}
		c.commits = append(c.commits, one)
	}
	switch {
	case d.err != nil:
		return d.err
	case len(c.commits) == 0:
		return errors.New("none")
	case c.commits[0].id != c.id || c.commits[0].time != c.time:
		return errors.New("they begin with another one than the cell's name says")
	}
	return nil
}

// checkLoose refuses what no relaxed append is: it has one stream.
func (c *commit) checkLoose(shard, shards int) error {
	streams := make([]string, 0, 2)
	for i := range c.events {
		if e := &c.events[i]; int(e.index) != i || e.version != uint64(i+1) {
			return fmt.Errorf("event %d has number %d and version %d", i, e.index, e.version)
		}
		streams = append(streams, c.events[i].stream)
	}
	for _, o := range c.onces {
		streams = append(streams, o.stream)
	}
	streams = slices.Compact(streams)
	switch {
	case len(c.relaxed) > 0 || len(c.tables) > 0 || len(c.metas) > 0 || len(c.onces) > 1 || len(streams) != 1:
		return fmt.Errorf("%s is not one append", c.id)
	case shardOf(streams[0], shards) != shard:
		return fmt.Errorf("stream %s belongs to shard %d", streams[0], shardOf(streams[0], shards))
	}
	return nil
}

// observeLoose makes what is appended from now on stand behind a loose commit that
// was read, also before that has a place; who reads it has read what it had seen. Times of a clock that runs fast are left
// alone: a commit refuses these, and what is loose need not be followed.
func (l *Log) observeLoose(c *looseCell) {
	last := c.commits[len(c.commits)-1].time
	if l.clock.ahead(last, l.opts.MaxSkew) == nil {
		l.clock.observe(last)
	}
}

// see notes that a revision of a shard was read.
func (l *Log) see(shard int, rev driver.Revision) {
	for {
		have := l.seen[shard].Load()
		if uint64(rev) <= have || l.seen[shard].CompareAndSwap(have, uint64(rev)) {
			return
		}
	}
}
