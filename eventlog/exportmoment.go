package eventlog

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// until returns the time of the last commit of a moment: every commit up to it
// is durable, every later one has a later time. A transaction over several
// shards is so never cut.
func (e *exporter) until(ctx context.Context) (int64, error) {
	moment, err := e.log.settled(ctx)
	if err != nil {
		return 0, err
	}
	p, cursors, err := e.scan(ctx, Query{Backward: true, Until: time.Unix(0, moment+1)})
	if err != nil {
		return 0, err
	}
	_, last, err := earliestCommit(ctx, cursors, p.Backward)
	if err != nil || last == nil {
		return 0, err
	}
	return last.time, nil
}

// settled waits until everything that anybody can see now is durable and before
// what it returns: every commit up to that time is durable, every later one has
// a later time.
func (l *Log) settled(ctx context.Context) (int64, error) {
	seen := l.clock.last.Load()
	if !l.driver.Exclusive() {
		seen = max(seen, l.clock.now().UnixNano())
	}
	shards := make([]int, l.Shards())
	for s := range shards {
		shards[s] = s
	}
	bell, stop := l.subscribe(shards)
	defer stop()
	for {
		w := l.watermark(shards)
		if w >= seen {
			return w, nil
		}
		wait := time.Duration(0) // for the bell
		if !l.driver.Exclusive() {
			wait = time.Duration(seen - w)
		}
		if _, err := l.await(ctx, bell, wait); err != nil {
			return 0, err
		}
	}
}

// rows passes the rows of all tables to yield, if any, and returns their number
// and a digest that changes when one of them changes, comes or goes.
func (e *exporter) rows(ctx context.Context, yield func(driver.Cell) error) (digest uint64, n int, err error) {
	h := xxhash.New()
	for shard := range e.log.Shards() { // a key that came and went leaves its mark here
		for k, err := range e.log.driver.Keys(ctx, shard, tableKey(""), "") {
			if err != nil {
				return 0, 0, err
			}
			fmt.Fprintf(h, "%d %q %d ", shard, k.Name, k.Pos)
		}
	}
	for c, err := range e.log.driver.Cells(ctx, tableCells, lastTableCell, 0) {
		if err == nil && yield != nil {
			err = yield(c)
		}
		if err != nil {
			return 0, 0, err
		}
		n++
		fmt.Fprintf(h, "%q %d ", c.Key, c.Version)
	}
	return h.Sum64(), n, nil
}

const lastTableCell = "t\x02" // sorts behind all cells of tables

func (e *exporter) row(c driver.Cell) error {
	table, key, _ := strings.Cut(strings.TrimPrefix(c.Key, tableCells), "\x01")
	b := append(e.buf[:0], `{"kind":"row"`...)
	b = appendMember(b, ',', "table", table)
	b = appendMember(b, ',', "key", key)
	e.buf = append(appendValue(append(b, ','), "value", c.Value, true), '}')
	return e.line()
}
