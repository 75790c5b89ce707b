package datastorelog

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"cloud.google.com/go/datastore"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// blocks returns the first blocks of a shard that have a value in a span, at most
// size, each once, and how many there would be if there were more.
func (l *Log) blocks(ctx context.Context, shard int, s span, backward bool, size int) (list []*block, asked int, err error) {
	bytes := 0
	asked, err = l.results(ctx, l.blocksQuery(s, backward), size, func() datastore.PropertyLoadSaver { return new(rawBlock) }, func(k *datastore.Key, e datastore.PropertyLoadSaver) error {
		number, err := numberOf(k.Name)
		if err != nil {
			return err
		}
		b, err := e.(*rawBlock).block(shard, number)
		if err != nil {
			return err
		}
		list, bytes = append(list, b), bytes+b.size()
		return nil
	})
	l.blockSize.note(len(list), bytes)
	return list, asked, err
}

// numberOf returns the number of a block by the name of its key.
func numberOf(name string) (uint64, error) {
	_, number, _ := cutLast(name, "/")
	n, rest, err := parseNumber(number)
	if err != nil || rest != "" {
		return 0, fmt.Errorf("%w: %.60q is not the name of a block", driver.ErrCorrupt, name)
	}
	return n, nil
}

// Find yields the commits that carry key at a position in r, in the order of the
// positions, each once.
func (l *Log) Find(ctx context.Context, shard int, key string, r driver.Range) iter.Seq2[driver.Commit, error] {
	return func(yield func(driver.Commit, error) bool) {
		f := finder{log: l, shard: shard, key: key, r: r}
		if driver.CheckName(key) == nil {
			f.prefix = keyPrefix(shard, key)
		}
		page := f.forward
		if r.Backward {
			page = f.backward
		}
		walk(ctx, l, yield, page)
	}
}

// A finder is what is left to find of a key.
type finder struct {
	log    *Log
	shard  int
	key    string
	prefix string // of its values; "": no commit can have it
	r      driver.Range
	last   uint64 // number of the last block that was looked through
	sought bool   // backward: the block that To lies in was looked for
}

// over reports that nothing is left.
func (f *finder) over() bool { return f.prefix == "" || f.r.To != 0 && f.r.From >= f.r.To }

// most returns how many blocks a page needs at most.
func (f *finder) most() int {
	size := f.log.blockSize.page()
	if f.r.Limit > 0 {
		size = min(size, f.r.Limit)
	}
	if f.r.To != 0 {
		size = int(min(uint64(size), f.r.To-f.r.From))
	}
	return max(1, size)
}

// forward reads the next page. Blocks stand in the index at the last position that
// they have of the key: the last block may begin before To and end behind it.
func (f *finder) forward(ctx context.Context) (page []driver.Commit, more bool, err error) {
	if f.over() {
		return nil, false, ctx.Err()
	}
	blocks, asked, err := f.log.blocks(ctx, f.shard, positions(f.shard, f.key, f.r.From, 0), false, f.most())
	more = len(blocks) >= asked
	for _, b := range blocks {
		if b.number <= f.last {
			continue // the store repeats itself
		}
		f.last = b.number
		list, first, last, bad := f.in(ctx, b)
		if bad != nil {
			return page, false, bad
		}
		for _, c := range list {
			page = append(page, c)
			if f.r.Limit--; f.r.Limit == 0 {
				return page, false, nil
			}
		}
		f.r.From = last + 1
		if f.r.To != 0 && first >= f.r.To || f.r.From == 0 {
			more = false
			break
		}
	}
	return page, more && !f.over(), err
}

// in returns the commits of a block that carry the key at a position in the range,
// and its first and last position there.
func (f *finder) in(ctx context.Context, b *block) (list []driver.Commit, first, last uint64, err error) {
	key := b.key(f.prefix)
	if key == 0 {
		return nil, 0, 0, &driver.CorruptError{Shard: f.shard, Revision: max(1, b.first), Reason: fmt.Sprintf("block %d was found under key %.60q, which it lacks", b.number, f.key)}
	}
	for i, c := range b.commits {
		at := slices.IndexFunc(c.keys, func(r ref) bool { return r.key == key })
		if at < 0 {
			continue
		}
		pos := c.keys[at].pos
		if last = pos; first == 0 {
			first = pos
		}
		if !f.r.Contains(pos) {
			continue
		}
		data := c.data
		if b.part {
			if data, err = f.log.dataBehind(ctx, b); err != nil {
				return nil, 0, 0, err
			}
		}
		list = append(list, driver.Commit{Revision: b.first + driver.Revision(i), Data: data})
	}
	return list, first, last, nil
}

// dataBehind returns the data of a commit of which b has only keys.
func (l *Log) dataBehind(ctx context.Context, b *block) ([]byte, error) {
	for number := b.number + 1; ; {
		next, err := l.lookup(ctx, b.shard, number, 4)
		if err != nil {
			return nil, err
		}
		if len(next) == 0 {
			return nil, &driver.CorruptError{Shard: b.shard, Revision: b.last, Reason: fmt.Sprintf("block %d is missing", number)}
		}
		for _, n := range next {
			if !n.part && len(n.commits) > 0 {
				return n.commits[0].data, nil
			}
			number++
		}
	}
}

// backward reads the next page, from the end.
func (f *finder) backward(ctx context.Context) (page []driver.Commit, more bool, err error) {
	if f.over() {
		return nil, false, ctx.Err()
	}
	blocks, asked, err := f.blocksBack(ctx)
	more = len(blocks) >= asked
	for _, b := range blocks {
		if f.last != 0 && b.number >= f.last {
			continue
		}
		f.last = b.number
		list, first, _, bad := f.in(ctx, b)
		if bad != nil {
			return page, false, bad
		}
		for _, c := range slices.Backward(list) {
			page = append(page, c)
			if f.r.Limit--; f.r.Limit == 0 {
				return page, false, nil
			}
		}
		if f.r.To == 0 || first < f.r.To {
			f.r.To = first
		}
		if f.r.To <= f.r.From {
			more = false
			break
		}
	}
	return page, more && !f.over(), err
}

// blocksBack returns the next blocks of a backward search. The first may be one
// that ends behind To.
func (f *finder) blocksBack(ctx context.Context) (list []*block, asked int, err error) {
	if f.r.To != 0 && !f.sought {
		f.sought = true
		list, asked, err = f.log.blocks(ctx, f.shard, positions(f.shard, f.key, f.r.To, 0), false, 1)
		if err != nil || len(list) == 1 {
			return list, asked, err
		}
	}
	f.sought = true
	return f.log.blocks(ctx, f.shard, positions(f.shard, f.key, f.r.From, f.r.To), true, f.most())
}

// Keys yields the names in a shard's index that start with prefix and sort after
// the name `after`, in order, each with its last position.
func (l *Log) Keys(ctx context.Context, shard int, prefix, after string) iter.Seq2[driver.Key, error] {
	return func(yield func(driver.Key, error) bool) {
		s, size := names(shard, prefix, after), firstKeys
		walk(ctx, l, yield, func(ctx context.Context) ([]driver.Key, bool, error) {
			values, end, err := l.values(ctx, s, false, size)
			size = maxPage
			if err != nil || len(values) == 0 {
				return nil, false, err
			}
			page, err := grouped(values)
			if err != nil || end {
				return page, false, err
			}
			// Of the last one there may be more, and very many.
			n := len(page) - 1
			latest, _, err := l.values(ctx, positions(shard, page[n].Name, page[n].Pos, 0), true, 1)
			if err == nil && len(latest) > 0 {
				page[n], err = parseKey(latest[0])
			}
			s.from = behind(values[len(values)-1])
			return page, true, err
		})
	}
}

const firstKeys = 100

// grouped returns the keys of sorted values, each name once, at its last position.
func grouped(values []string) (page []driver.Key, err error) {
	for _, v := range values {
		k, err := parseKey(v)
		if err != nil {
			return page, err
		}
		if n := len(page); n > 0 && page[n-1].Name == k.Name {
			page[n-1].Pos = k.Pos
		} else {
			page = append(page, k)
		}
	}
	return page, nil
}
