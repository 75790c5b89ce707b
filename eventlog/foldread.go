package eventlog

import (
	"context"
	"errors"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// read takes the oldest cells of the shard in hand, as many as fit into a commit.
//
// An iteration over cells is not of one moment: it may miss a cell and yield one
// behind it that was written later, by somebody who knew that the first was there.
// To fold only the second would turn the two around. Whatever was acknowledged
// before a cell that was read is there when the reading is over. So it is read
// again, until nothing came in between; the second reading is then complete.
func (f *fold) read(ctx context.Context) error {
	before, err := f.page(ctx, f.most, behind(looseShard(f.lane.shard)))
	for n := f.most; err == nil && len(before) > 0; n = max(1, n/2) {
		last := before[len(before)-1].Key
		again, err := f.page(ctx, n, last+"\x00")
		if err != nil {
			return err
		}
		if !newcomers(before, again) {
			return f.take(again)
		}
		before = again
	}
	return err
}

// page reads the first cells before a key, in all not much more than a commit. Where
// none of them can be read it goes on behind them: they are not in the way of others.
func (f *fold) page(ctx context.Context, n int, to string) (list []driver.Cell, err error) {
	size, good := 0, false
	for from, got := looseShard(f.lane.shard), n; !good && got == n; {
		got = 0
		for c, err := range f.log.driver.Cells(ctx, from, to, n) {
			if err != nil {
				return nil, err
			}
			if !good {
				_, err := decodeLoose(f.lane.shard, f.log.Shards(), c)
				good = err == nil
			}
			list, from = append(list, c), c.Key+"\x00"
			got, size = got+1, size+len(c.Value)
			if size >= foldBytes && good {
				break
			}
		}
		f.info.More = got == n || size >= foldBytes && good
	}
	return list, nil
}

// newcomers reports whether list has a cell that was not there before. Both are
// sorted.
func newcomers(before, list []driver.Cell) bool {
	i := 0
	for _, c := range list {
		for i < len(before) && before[i].Key < c.Key {
			i++
		}
		if i == len(before) || before[i].Key != c.Key {
			return true
		}
	}
	return false
}

// take decodes cells as far as they fit into a commit. One that is damaged is left
// where it is, and told.
func (f *fold) take(list []driver.Cell) error {
	bytes, appends, keys := 0, 0, 0
	for _, raw := range list {
		c, err := decodeLoose(f.lane.shard, f.log.Shards(), raw)
		if err != nil {
			f.damage = errors.Join(f.damage, err)
			continue
		}
		f.log.observeLoose(c)
		b, k := 0, 1
		for _, one := range c.commits {
			names := one.keys(0, f.log.opts.Index)
			b, k = b+one.size()+relaxedMaxSize+namesSize(names), k+len(names)
		}
		if bytes, appends, keys = bytes+b, appends+len(c.commits), keys+k; len(f.cells) > 0 &&
			(bytes > foldBytes || appends > foldAppends || keys > foldKeys) {
			f.info.More = true
			return nil
		}
		f.cells = append(f.cells, c)
	}
	return nil
}
