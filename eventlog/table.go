package eventlog

import (
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// A Table keeps small entities of a user's own beside the log, by key, as JSON.
// They take part in transactions like everything else: what is read is a
// condition, what is written is written with the events. A Table is not history
// and is portable over all drivers.
type Table[V any] struct {
	Name string // stored
}

// A Row is an entity of a Table.
type Row[V any] struct {
	Key   string
	Value V
}

// Get returns the entity under key; ok is false when there is none.
func (t Table[V]) Get(tx *Tx, key string) (v V, ok bool, err error) {
	use, err := t.use(tx, key)
	if err == nil {
		v, ok, err = t.decode(use)
	}
	if err != nil {
		return v, false, fmt.Errorf("eventlog: table %s key %q: %w", t.Name, key, err)
	}
	return v, ok, nil
}

// Put stores an entity under key.
func (t Table[V]) Put(tx *Tx, key string, v V) error {
	data, err := json.Marshal(v)
	if err == nil {
		err = t.change(tx, key, driver.Put, data)
	}
	if err != nil {
		return fmt.Errorf("eventlog: table %s key %q: %w", t.Name, key, err)
	}
	return nil
}

// Delete removes the entity under key, if there is one.
func (t Table[V]) Delete(tx *Tx, key string) error {
	if err := t.change(tx, key, driver.Delete, nil); err != nil {
		return fmt.Errorf("eventlog: table %s key %q: %w", t.Name, key, err)
	}
	return nil
}

// All yields the rows whose keys start with prefix, in bytewise order. That
// none is added or removed becomes a condition of the transaction.
func (t Table[V]) All(tx *Tx, prefix string) iter.Seq2[Row[V], error] {
	return func(yield func(Row[V], error) bool) {
		keys, err := t.keys(tx, prefix)
		if err != nil {
			yield(Row[V]{}, fmt.Errorf("eventlog: table %s: %w", t.Name, err))
			return
		}
		for _, key := range keys {
			v, ok, err := t.Get(tx, key)
			if !ok && err == nil {
				continue
			}
			if !yield(Row[V]{key, v}, err) || err != nil {
				return
			}
		}
	}
}

func (t Table[V]) decode(u *cellUse) (v V, ok bool, err error) {
	data := u.current()
	if data == nil {
		return v, false, nil
	}
	err = json.Unmarshal(data, &v)
	return v, err == nil, err
}

// change notes what the transaction does to an entity. A key that comes or goes
// changes the table's set of keys, which is an index key of the table's shard.
func (t Table[V]) change(tx *Tx, key string, op driver.Op, value []byte) error {
	if tx.view {
		return ErrReadOnly
	}
	if len(value) > MaxEvent {
		return fmt.Errorf("%w: entity of %d bytes, at most %d", ErrTooLarge, len(value), MaxEvent)
	}
	use, err := t.use(tx, key)
	if err != nil {
		return err
	}
	if op == driver.Delete && use.current() == nil {
		return nil
	}
	if err := tx.growBeside(tableShard(t.Name, len(tx.log.lanes)), len(use.key)+32); err != nil {
		return err
	}
	if op == driver.Delete && use.seen == 0 { // it was this transaction's own
		op = driver.Check
	}
	if came, goes := use.seen == 0 && op == driver.Put, op == driver.Delete; (came || goes) && !slices.Contains(tx.tables, t.Name) {
		tx.tables = append(tx.tables, t.Name)
	}
	tx.changeCell(use)
	use.op, use.value = op, value
	return nil
}

// use returns what the transaction knows of an entity's cell, which it reads the
// first time.
func (t Table[V]) use(tx *Tx, key string) (*cellUse, error) {
	if tx.over {
		return nil, errOver
	}
	if err := checkName("table name", t.Name); err != nil {
		return nil, err
	}
	if err := checkName("key", key); err != nil {
		return nil, err
	}
	return tx.useCell(cellKey(t.Name, key))
}

func (tx *Tx) useCell(key string) (*cellUse, error) {
	if i, ok := tx.cellAt[key]; ok {
		return &tx.cells[i], nil
	}
	if err := driver.CheckName(key); err != nil {
		return nil, err
	}
	use := cellUse{key: key}
	lane := tx.log.lanes[tableShard(tableOf(key), len(tx.log.lanes))]
	if tx.view { // versions of what is absent repeat; the table's key never does
		if _, err := tx.look(lane, tableKey(tableOf(key))); err != nil {
			return nil, err
		}
	}
	early := tx.lookCell(key, &use, lane)
	if !early {
		c, err := tx.log.cell(tx.ctx, key)
		if err != nil {
			return nil, err
		}
		use.seen, use.was = c.Version, c.Value
	}
	if tx.cellAt == nil {
		tx.cellAt = make(map[string]int)
	}
	tx.cellAt[key] = len(tx.cells)
	tx.cells = append(tx.cells, use)
	return &tx.cells[len(tx.cells)-1], nil
}

// lookCell takes the value that a pending transaction leaves in a cell. Everyone
// stands in the lane of the table, which orders those who use it.
func (tx *Tx) lookCell(key string, use *cellUse, table *lane) (early bool) {
	if tx.view {
		return false
	}
	if !slices.Contains(tx.guests, table) {
		tx.guests = append(tx.guests, table)
	}
	tx.log.mu.Lock()
	defer tx.log.mu.Unlock()
	p, ok := tx.log.cells.pending[key]
	if ok {
		use.seen, use.was = p.Version, p.Value
	}
	return ok
}

// current is the entity's value as the transaction sees it, nil for none.
func (u *cellUse) current() []byte {
	switch {
	case u.op == driver.Put:
		return u.value
	case u.op == driver.Delete || u.seen == 0:
		return nil
	}
	return u.was
}

// keys returns the keys under a prefix: durable, pending, and the transaction's
// own.
func (t Table[V]) keys(tx *Tx, prefix string) ([]string, error) {
	if tx.over {
		return nil, errOver
	}
	if err := checkName("table name", t.Name); err != nil {
		return nil, err
	}
	base := cellKey(t.Name, "")
	from := base + prefix
	if _, err := tx.look(tx.log.lanes[tableShard(t.Name, len(tx.log.lanes))], tableKey(t.Name)); err != nil {
		return nil, err
	}
	found := make(map[string]bool)
	if !tx.view {
		tx.log.mu.Lock()
		for key := range tx.log.cells.pending {
			if strings.HasPrefix(key, from) {
				found[key[len(base):]] = true
			}
		}
		tx.log.mu.Unlock()
	}
	for key := range tx.cellAt {
		if strings.HasPrefix(key, from) {
			found[key[len(base):]] = true
		}
	}
	for c, err := range tx.log.driver.Cells(tx.ctx, from, tableCells+t.Name+"\x02", 0) {
		if err != nil {
			return nil, err
		}
		if !strings.HasPrefix(c.Key, from) {
			break
		}
		found[c.Key[len(base):]] = true
	}
	return slices.Sorted(maps.Keys(found)), nil
}

const tableCells = "t\x01"

func cellKey(table, key string) string { return tableCells + table + "\x01" + key }

func tableOf(cell string) string {
	table, _, _ := strings.Cut(strings.TrimPrefix(cell, tableCells), "\x01")
	return table
}

// tableShard is the shard that orders changes of a table's set of keys.
func tableShard(table string, shards int) int {
	return int(xxhash.Sum64String(table) % uint64(shards))
}
