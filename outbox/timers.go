package outbox

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/rollforward/rollforward/eventlog"
)

// Timers yields the steps that wait for the time which [At] or a [Timer]'s Set
// gave them, the next one first, over all shards: those that nobody has tried
// yet, also when their time has passed because nobody runs. To take only the
// first ones costs little, however many wait. What a runner moves while the
// sequence is read may be missing or come twice.
func Timers(ctx context.Context, l *eventlog.Log) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		var list []iter.Seq2[Info, error]
		for shard := range l.Shards() {
			list = append(list, timersIn(ctx, l, shard))
		}
		for i, err := range merge(list, func(a, b Info) int { return a.Due.Compare(b.Due) }) {
			if err != nil {
				err = fmt.Errorf("outbox: timers: %w", err)
			}
			if !yield(i, err) || err != nil {
				return
			}
		}
	}
}

// A place is where a step with a time stands.
type place struct {
	due     time.Time
	version uint64
	kind    string // of its cell; "": it is in none
	reason  string // why it is parked
}

// The places of a shard are looked up in pages, since many may stand in one
// commit: small ones at first, because few may be wanted.
const firstPage, largestPage = 8, 1024

func timersIn(ctx context.Context, l *eventlog.Log, shard int) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		var page []place
		size := firstPage
		flush := func() bool {
			infos, err := describePage(ctx, l, shard, page)
			for _, i := range infos {
				if !yield(i, nil) {
					return false
				}
			}
			if err != nil {
				yield(Info{}, err)
			}
			page, size = page[:0], min(2*size, largestPage)
			return err == nil
		}
		for p, err := range places(ctx, l, shard) {
			if err != nil {
				yield(Info{}, err)
				return
			}
			if page = append(page, p); len(page) == size && !flush() {
				return
			}
		}
		flush()
	}
}

// describePage describes those of a page that wait for their time.
func describePage(ctx context.Context, l *eventlog.Log, shard int, page []place) (list []Info, err error) {
	versions := make([]uint64, len(page))
	for n, p := range page {
		versions[n] = p.version
	}
	slices.Sort(versions)
	found := make(map[uint64]Info)
	for r, err := range readSteps(ctx, l, shard, slices.Compact(versions)) {
		if err != nil {
			return nil, err
		}
		i, over, err := describe(ctx, l, &r)
		if err != nil {
			return nil, err
		}
		if !over && i.Attempts == 0 && !i.Due.IsZero() {
			found[r.Version] = i
		}
	}
	for _, p := range page {
		if i, ok := found[p.version]; ok {
			i.Parked, i.Stopped = p.reason, p.kind == stopCells
			list = append(list, i)
		}
	}
	return list, nil
}

// places yields where the timers of a shard stand, by their time: those in the
// cells of what is due, and between them the others, of which there are few while
// a runner works.
func places(ctx context.Context, l *eventlog.Log, shard int) iter.Seq2[place, error] {
	return func(yield func(place, error) bool) {
		value, _, err := l.ReadCell(ctx, cursorKey(shard))
		at := decodeMark(value).At
		var others []place
		if err == nil {
			others, err = placesBeside(ctx, l, shard, at)
		}
		if err != nil {
			yield(place{}, err)
			return
		}
		order := func(a, b place) int { return cmp.Or(a.due.Compare(b.due), cmp.Compare(a.version, b.version)) }
		slices.SortFunc(others, order)
		beside := func(yield func(place, error) bool) {
			for _, p := range others {
				if !yield(p, nil) {
					return
				}
			}
		}
		merge([]iter.Seq2[place, error]{beside, placesIn(ctx, l, shard, dueCells, at)}, order)(yield)
	}
}

// placesBeside returns the steps with a time that stand behind the cursor, or in
// other cells: nobody knows their type, or their target is stopped.
func placesBeside(ctx context.Context, l *eventlog.Log, shard int, at uint64) (list []place, err error) {
	for _, kind := range []string{stopCells, parkedCells} {
		for p, err := range placesIn(ctx, l, shard, kind, at) {
			if err != nil {
				return nil, err
			}
			if !p.due.IsZero() {
				list = append(list, p)
			}
		}
	}
	for r, err := range l.Read(ctx, eventlog.Query{Stream: stepsStream(shard), From: at + 1}) {
		if err != nil {
			return nil, err
		}
		if it := newItem(&r); !it.due.IsZero() {
			list = append(list, place{due: it.due, version: it.version})
		}
	}
	return list, nil
}

// placesIn yields what stands in cells of a kind, of the versions up to at: what
// is behind, the log has as well.
func placesIn(ctx context.Context, l *eventlog.Log, shard int, kind string, at uint64) iter.Seq2[place, error] {
	return func(yield func(place, error) bool) {
		prefix := cellsOf(kind, shard)
		for c, err := range l.Cells(ctx, prefix, above(prefix[:len(prefix)-1]), 0) {
			it := new(item)
			if err == nil {
				it, err = cellItem(c.Key, c.Value)
			}
			if err != nil {
				yield(place{}, err)
				return
			}
			if it.version <= at && !yield(place{it.due, it.version, kind, it.reason}, nil) {
				return
			}
		}
	}
}
