package eventlog_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/memlog"
)

// TestLimitsAreNamedErrors: what is as large as allowed is taken, what is a bit
// larger is refused with ErrTooLarge, on every driver alike, and nothing of it
// is written.
func TestLimitsAreNamedErrors(t *testing.T) {
	t.Parallel()
	o := &eventlog.Options{Shards: 8}
	edges := make(map[string]int)
	memory := newLimited(t, memlog.Open(), o)
	for name, c := range limits(memory.Log) {
		edges[name] = c.probe(t, memory, name)
	}
	l := newLimited(t, directory(t), o)
	for name, c := range limits(l.Log) {
		c.take(t, l, name, c.max-c.slack) // as probe did: a row that is there already costs less
		c.take(t, l, name, edges[name])
		c.refuse(t, l, name, edges[name]+1)
	}
}

// limited is a log that counts the writes which reach its store.
type limited struct {
	*eventlog.Log
	store *drivertest.Faulty
}

func newLimited(t *testing.T, d driver.Log, o *eventlog.Options) limited {
	store := drivertest.NewFaulty(d, nil)
	return limited{over(t, store, o), store}
}

// A limit bounds the n of what try does. What it takes is between max-slack and
// max: where bytes are limited, some go into what is written around them.
type limit struct {
	max, slack int
	try        func(tx *eventlog.Tx, n int) error
}

// probe looks for the largest n that is taken.
func (c limit) probe(t *testing.T, l limited, name string) int {
	t.Helper()
	taken, refused := c.max-c.slack, c.max+1
	c.take(t, l, name, taken)
	c.refuse(t, l, name, refused)
	for taken+1 < refused {
		if n := (taken + refused) / 2; c.fits(t, l, name, n) {
			taken = n
		} else {
			refused = n
		}
	}
	return taken
}

func (c limit) take(t *testing.T, l limited, name string, n int) {
	t.Helper()
	if !c.fits(t, l, name, n) {
		t.Errorf("%s: %d is refused", name, n)
	}
}

func (c limit) refuse(t *testing.T, l limited, name string, n int) {
	t.Helper()
	if c.fits(t, l, name, n) {
		t.Errorf("%s: %d is taken", name, n)
	}
}

// fits fails the test when a refusal is not one for size, or leaves something.
func (c limit) fits(t *testing.T, l limited, name string, n int) bool {
	t.Helper()
	before, writes := position(t, l.Log), l.store.Calls("Write")
	_, err := l.Update(t.Context(), func(tx *eventlog.Tx) error { return c.try(tx, n) })
	if err == nil {
		return true
	}
	is(t, err, eventlog.ErrTooLarge)
	if !strings.Contains(err.Error(), "at most ") && !strings.Contains(err.Error(), "more than ") {
		t.Errorf("%s: error %q does not say the limit", name, err)
	}
	if after := position(t, l.Log); after.String() != before.String() || l.store.Calls("Write") != writes {
		t.Errorf("%s: %d is refused by the store, which went from %s to %s", name, n, before, after)
	}
	return false
}

func position(t testing.TB, l *eventlog.Log) eventlog.Position {
	t.Helper()
	p, err := l.Position(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func limits(l *eventlog.Log) map[string]limit {
	list := countLimits(l)
	maps.Copy(list, map[string]limit{
		"event":  {eventlog.MaxEvent, 0, func(tx *eventlog.Tx, n int) error { return tx.Append("s", large(n)) }},
		"row":    {eventlog.MaxEvent, 0, func(tx *eventlog.Tx, n int) error { return notes.Put(tx, "k", strings.Repeat("x", n-2)) }},
		"commit": {eventlog.MaxCommit, 400, func(tx *eventlog.Tx, n int) error { return tx.Append("s", large(n/2), large(n-n/2)) }},
		"metadata": {eventlog.MaxCommit, 400, func(tx *eventlog.Tx, n int) error {
			tx.Meta().Actor = strings.Repeat("x", n)
			return tx.Append("s", large(1))
		}},
		"metadata of a scope": {eventlog.MaxCommit, 400, func(tx *eventlog.Tx, n int) error {
			return tx.Scope(eventlog.Meta{Actor: strings.Repeat("x", n)}, func() error { return tx.Append("s", large(1)) })
		}},
		"metadata of many scopes": {eventlog.MaxCommit, 1000, appendScopes},
		"transaction":             {eventlog.MaxTx, 1000, func(tx *eventlog.Tx, n int) error { return appendWide(l, tx, n) }},
		"transaction with a row": {eventlog.MaxTx, 1000, func(tx *eventlog.Tx, n int) error {
			return join(notes.Put(tx, "k", strings.Repeat("x", n-3_300_000)), appendWide(l, tx, 3_300_000))
		}},
	})
	return list
}

// countLimits are those whose edge is exact.
func countLimits(l *eventlog.Log) map[string]limit {
	name := func(try func(tx *eventlog.Tx, name string) error) limit {
		return limit{eventlog.MaxName, 0, func(tx *eventlog.Tx, n int) error {
			return try(tx, strings.Repeat("/", n/6)+strings.Repeat("x", n-3*(n/6))) // half of it grows threefold
		}}
	}
	return map[string]limit{
		"events of a transaction": {eventlog.MaxEvents, 0, func(tx *eventlog.Tx, n int) error { return appendMany(l, tx, n) }},
		"tags of an event":        {eventlog.MaxTags, 0, func(tx *eventlog.Tx, n int) error { return tx.Append("s", eventlog.Tagged(large(1), tags(n)...)) }},
		"keys of a commit":        {driver.MaxCommitKeys, 0, appendKeys},
		"chains of a commit":      {driver.MaxCommitKeys, 0, appendChains},
		"stream":                  name(func(tx *eventlog.Tx, name string) error { return tx.Append(name, large(1)) }),
		"type":                    name(func(tx *eventlog.Tx, name string) error { return tx.Append("s", eventlog.Raw{Type: name}) }),
		"tag":                     name(func(tx *eventlog.Tx, name string) error { return tx.Append("s", eventlog.Tagged(large(1), name)) }),
		"table":                   name(func(tx *eventlog.Tx, name string) error { return eventlog.Table[int]{Name: name}.Put(tx, "k", 1) }),
		"key of a row":            name(func(tx *eventlog.Tx, name string) error { return notes.Put(tx, name, "x") }),
		"id":                      name(func(tx *eventlog.Tx, name string) error { _, err := tx.Once("s", name); return err }),
		"stream of an id":         name(func(tx *eventlog.Tx, name string) error { _, err := tx.Once(name, "i"); return err }),
		// Together with what separates them they are one name for the store.
		"stream and id": {driver.MaxName - 7, 0, func(tx *eventlog.Tx, n int) error {
			_, err := tx.Once(strings.Repeat("s", n-600), strings.Repeat("i", 600))
			return err
		}},
		"table and key": {driver.MaxName - 7, 0, func(tx *eventlog.Tx, n int) error {
			return eventlog.Table[int]{Name: strings.Repeat("t", n-600)}.Put(tx, strings.Repeat("k", 600), 1)
		}},
	}
}

var zeros [eventlog.MaxEvent + 1]byte

func large(n int) eventlog.Event { return eventlog.Raw{Type: "t", Data: zeros[:n]} }

func tags(n int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprint("numbered ", i))
	}
	return list
}

// shares divides n into parts.
func shares(n, parts int) []int {
	list := make([]int, parts)
	for i := range list {
		list[i] = n / parts
	}
	list[0] += n % parts
	return list
}

// appendWide appends n bytes to five shards.
func appendWide(l *eventlog.Log, tx *eventlog.Tx, n int) error {
	for shard, size := range shares(n, 5) {
		if err := tx.Append(inShard(l, shard, "s"), large(size)); err != nil {
			return err
		}
	}
	return nil
}

// appendMany appends n events to all shards.
func appendMany(l *eventlog.Log, tx *eventlog.Tx, n int) error {
	for shard, count := range shares(n, l.Shards()) {
		stream := inShard(l, shard, "s")
		for range count {
			if err := tx.Append(stream, large(0)); err != nil {
				return err
			}
		}
	}
	return nil
}

// appendKeys makes a commit with n index keys: a stream and n-1 tags.
func appendKeys(tx *eventlog.Tx, n int) error {
	for list := tags(n - 1); len(list) > 0; {
		k := min(len(list), eventlog.MaxTags)
		if err := tx.Append("s", eventlog.Tagged(large(1), list[:k]...)); err != nil {
			return err
		}
		list = list[k:]
	}
	return nil
}

// appendScopes makes a commit of n bytes, most of them metadata.
func appendScopes(tx *eventlog.Tx, n int) error {
	for i, size := range shares(n, 9) {
		actor := fmt.Sprint(i, strings.Repeat("x", size))
		if err := tx.Scope(eventlog.Meta{Actor: actor}, func() error { return tx.Append("s", large(1)) }); err != nil {
			return err
		}
	}
	return nil
}

// appendChains makes a commit with n index keys: a stream and n-1 correlations.
func appendChains(tx *eventlog.Tx, n int) error {
	for i := range n - 1 {
		chain := eventlog.ID{1, byte(i), byte(i >> 8)}
		if err := tx.Scope(eventlog.Meta{Correlation: chain}, func() error { return tx.Append("s", large(1)) }); err != nil {
			return err
		}
	}
	return nil
}
