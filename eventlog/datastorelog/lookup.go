package datastorelog

import (
	"context"

	"cloud.google.com/go/datastore"

	"github.com/rollforward/rollforward/internal/dserr"
)

// lookup gets the blocks of a shard from a number on, at most n, up to the first
// that is not there, and notes the last.
func (l *Log) lookup(ctx context.Context, shard int, first uint64, n int) ([]*block, error) {
	blocks, _, err := l.lookupGap(ctx, shard, first, n)
	return blocks, err
}

// lookupGap is lookup; gap says that there were blocks behind one that was not
// there.
func (l *Log) lookupGap(ctx context.Context, shard int, first uint64, n int) (blocks []*block, gap bool, err error) {
	keys := make([]*datastore.Key, n)
	for i := range keys {
		keys[i] = l.blockKey(shard, first+uint64(i))
	}
	found, err := l.get(ctx, keys)
	if err != nil {
		return nil, false, err
	}
	bytes := 0
	for i := range found {
		if !found[i].there() {
			for _, later := range found[i:] {
				gap = gap || later.commits != nil
			}
			break
		}
		b, err := found[i].block(shard, first+uint64(i))
		if err != nil {
			return blocks, false, err
		}
		blocks, bytes = append(blocks, b), bytes+b.size()
	}
	if len(blocks) > 0 {
		b := blocks[len(blocks)-1]
		l.heads.learn(shard, place{b.last, b.number})
		l.blockSize.note(len(blocks), bytes)
	}
	return blocks, gap, nil
}

// get looks entities up, in several calls where the answer to one would be larger
// than the connection takes. What is not there stays zero.
func (l *Log) get(ctx context.Context, keys []*datastore.Key) ([]rawBlock, error) {
	if err := l.ramp.wait(ctx, len(keys)); err != nil {
		return nil, err
	}
	found := make([]rawBlock, len(keys))
	err := dserr.IgnoreMissing(l.client.GetMulti(ctx, keys, pointers(found)))
	if n := len(keys); tooLarge(err) && n > 1 {
		one, err := l.get(ctx, keys[:n/2])
		if err != nil {
			return nil, err
		}
		two, err := l.get(ctx, keys[n/2:])
		return append(one, two...), err
	}
	return found, unreachable(err)
}
