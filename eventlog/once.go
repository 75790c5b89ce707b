package eventlog

import (
	"fmt"

	"github.com/cespare/xxhash/v2"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// once records an idempotency id. hash is that of the content it came with; 0:
// not known.
type once struct {
	stream, id string
	hash       uint64
}

// Once records an idempotency id under a stream, with this transaction. done
// says that an earlier transaction recorded it: the function should then
// return nil without writing. Ids are kept for ever.
func (tx *Tx) Once(stream, id string) (done bool, err error) {
	first, _, err := tx.once(stream, id, 0)
	if err != nil {
		return false, fmt.Errorf("eventlog: once %s %q: %w", stream, id, err)
	}
	return first != nil, nil
}

// once returns what an earlier transaction recorded under id, and where, or
// records it.
func (tx *Tx) once(stream, id string, hash uint64) (*once, driver.Revision, error) {
	switch {
	case tx.over:
		return nil, 0, errOver
	case tx.view:
		return nil, 0, ErrReadOnly
	}
	if err := checkUserName("stream", stream); err != nil {
		return nil, 0, err
	}
	if err := checkName("id", id); err != nil {
		return nil, 0, err
	}
	key := onceKey(stream, id)
	if err := driver.CheckName(key); err != nil {
		return nil, 0, err
	}
	for i := range tx.onces {
		if o := &tx.onces[i]; o.stream == stream && o.id == id {
			return o, 0, nil
		}
	}
	shard := shardOf(stream, len(tx.log.lanes))
	for c, err := range tx.commits(tx.log.lanes[shard], key, driver.Range{Limit: 1}) {
		if err != nil {
			return nil, 0, err
		}
		for i := range c.onces {
			if o := &c.onces[i]; o.stream == stream && o.id == id {
				return o, c.rev, nil
			}
		}
		return nil, 0, &driver.CorruptError{Shard: shard, Revision: c.rev, Reason: fmt.Sprintf("indexed under id %q of %s, which it lacks", id, stream)}
	}
	if err := tx.growBeside(shard, len(stream)+len(id)+14); err != nil {
		return nil, 0, err
	}
	tx.onces = append(tx.onces, once{stream, id, hash})
	return nil, 0, nil
}

// contentHash identifies what an append carries.
func contentHash(events []event) uint64 {
	h := xxhash.New()
	var b []byte
	for i := range events {
		e := &events[i]
		b = appendStrings(appendString(appendString(b[:0], e.typ), e.codec), e.tags)
		b = appendString(b, string(e.data))
		_, _ = h.Write(b)
	}
	return max(h.Sum64(), 1)
}
