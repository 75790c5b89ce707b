package drivertest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/rollforward/rollforward/eventlog/driver"
)

var visibilityPromises = []promise{
	{"SeenWhenAcknowledged", "What was acknowledged is seen by every read that begins later, in any goroutine.", testSeenWhenAcknowledged},
}

func testSeenWhenAcknowledged(t *testing.T, log driver.Log) {
	acked := make(chan driver.Revision)
	const n = 60
	together(t, 2, func(i int) error {
		if i == 0 {
			defer close(acked)
			for rev := driver.Revision(1); rev <= n; rev++ {
				k := driver.Key{Name: "k", Pos: uint64(rev) * 3}
				w := request([]driver.Batch{keyed(0, rev, text(rev), k), keyed(1, rev, text(rev), k)}, put("cell", text(rev), uint64(rev)))
				if err := log.Write(t.Context(), w); err != nil {
					return err
				}
				acked <- rev
			}
			return nil
		}
		var errs []error
		for rev := range acked {
			errs = append(errs, seen(t, log, rev))
		}
		return errors.Join(errs...)
	})
}

// seen checks that every kind of read shows what was acknowledged up to rev.
func seen(t *testing.T, log driver.Log, rev driver.Revision) error {
	ctx := t.Context()
	for shard := range 2 {
		if got, err := log.Tail(ctx, shard); err != nil || got < rev {
			return fmt.Errorf("Tail of shard %d: %d, %v; acknowledged is %d", shard, got, err, rev)
		}
		if got, err := readGapless(ctx, log, shard); err != nil || got < rev {
			return fmt.Errorf("Read of shard %d came to %d, %v; acknowledged is %d", shard, got, err, rev)
		}
		for c, err := range log.Read(ctx, shard, driver.Range{Backward: true, Limit: 1}) {
			if err != nil || c.Revision < rev {
				return fmt.Errorf("Read of shard %d backward begins at %d, %v; acknowledged is %d", shard, c.Revision, err, rev)
			}
		}
		n := 0
		for c, err := range log.Find(ctx, shard, "k", driver.Range{From: uint64(rev) * 3}) {
			if err != nil {
				return err
			}
			if n++; c.Revision != rev+driver.Revision(n-1) {
				return fmt.Errorf("Find in shard %d yields %d", shard, c.Revision)
			}
		}
		if n == 0 {
			return fmt.Errorf("Find in shard %d yields nothing at %d, which is acknowledged", shard, rev)
		}
		for k, err := range log.Keys(ctx, shard, "k", "") {
			if err != nil || k.Pos < uint64(rev)*3 {
				return fmt.Errorf("Keys in shard %d: position %d, %v; acknowledged is %d", shard, k.Pos, err, rev*3)
			}
		}
	}
	for c, err := range log.Cells(ctx, "cell", "", 1) {
		if err != nil || c.Version < uint64(rev) {
			return fmt.Errorf("Cells: version %d, %v; acknowledged is %d", c.Version, err, rev)
		}
	}
	return nil
}
