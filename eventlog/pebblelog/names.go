package pebblelog

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"github.com/rollforward/rollforward/eventlog/driver"
)

const namePage = 512

// Keys yields the names in a shard's index that start with prefix and sort after
// the name `after` (bytewise), in order, each with its last position. It reads
// page by page, so a name that appears meanwhile may or may not be among them.
func (l *Log) Keys(ctx context.Context, shard int, prefix, after string) iter.Seq2[driver.Key, error] {
	return func(yield func(driver.Key, error) bool) {
		after := after
		pages(ctx, l, yield, func() ([]driver.Key, bool, error) {
			page, err := l.readNames(shard, prefix, after)
			if err != nil {
				return page, false, fmt.Errorf("shard %d keys %q: %w", shard, prefix, err)
			}
			if len(page) < namePage {
				return page, false, nil
			}
			after = page[len(page)-1].Name
			return page, true, nil
		})
	}
}

func (l *Log) readNames(shard int, prefix, after string) (page []driver.Key, err error) {
	tail := l.heads.tail(shard)
	lower, upper := nameBounds(shard, prefix, after)
	if tail == 0 || bytes.Compare(lower, upper) >= 0 || strings.IndexByte(prefix, terminator) >= 0 {
		return nil, nil
	}
	it, err := l.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return nil, readError(err)
	}
	defer it.Close()
	for ok := it.First(); ok && len(page) < namePage; {
		var k driver.Key
		if k, ok, err = lastPosition(it, tail); err != nil {
			return page, err
		}
		if k.Name != "" {
			page = append(page, k)
		}
	}
	return page, readError(it.Error())
}

func nameBounds(shard int, prefix, after string) (lower, upper []byte) {
	start := append(appendShard(nil, kindIndex, shard), prefix...)
	lower, upper = start, successor(start)
	if after != "" {
		behind := append(append(appendShard(nil, kindIndex, shard), after...), terminator+1)
		if bytes.Compare(behind, lower) > 0 {
			lower = behind
		}
	}
	return lower, upper
}

// stepsBeforeSeek is how many rows of a name are walked before its end is
// sought: most names have few.
const stepsBeforeSeek = 48

// lastPosition returns the name under it with its last durable position, and
// moves to the next name. A name without a durable row comes back empty.
func lastPosition(it *pebble.Iterator, tail driver.Revision) (k driver.Key, ok bool, err error) {
	name, _, err := parseIndexKey(it.Key())
	if err != nil {
		return k, false, err
	}
	rows := append(bytes.Clone(it.Key()[:shardLen+len(name)]), terminator)
	last, ok, err := walk(it, rows, tail)
	if err != nil {
		return k, false, err
	}
	if ok && bytes.HasPrefix(it.Key(), rows) {
		end := successor(rows)
		if last, err = lastBefore(it, rows, end, tail); err != nil {
			return k, false, err
		}
		ok = it.SeekGE(end)
	}
	if last.rev > 0 {
		k = driver.Key{Name: string(rows[shardLen : len(rows)-1]), Pos: last.pos}
	}
	return k, ok, nil
}

// walk steps over a few rows of a name and returns the last durable one.
func walk(it *pebble.Iterator, rows []byte, tail driver.Revision) (last entry, ok bool, err error) {
	ok = true
	for range stepsBeforeSeek {
		e, err := parseEntry(it)
		if err != nil {
			return last, false, err
		}
		if e.rev <= tail {
			last = e
		}
		if ok = it.Next(); !ok || !bytes.HasPrefix(it.Key(), rows) {
			return last, ok, nil
		}
	}
	return last, true, nil
}

// lastBefore returns the last durable row of a name, from its end.
func lastBefore(it *pebble.Iterator, rows, end []byte, tail driver.Revision) (entry, error) {
	for ok := it.SeekLT(end); ok && bytes.HasPrefix(it.Key(), rows); ok = it.Prev() {
		e, err := parseEntry(it)
		if err != nil || e.rev <= tail {
			return e, err
		}
	}
	return entry{}, it.Error()
}
