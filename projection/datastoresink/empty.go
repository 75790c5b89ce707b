package datastoresink

import (
	"context"

	"cloud.google.com/go/datastore"
)

// sweep deletes what there is of the kinds that were cleared and was not written since.
func (z *resetting) sweep(tx *Tx) error {
	n := 0
	for kind := range tx.cleared {
		keys, err := z.client.GetAll(tx.ctx, z.query(kind).Limit(fullEntities+1-n).Transaction(tx.tx), nil)
		if err != nil {
			tx.failed = unavailable(err)
			return tx.failed
		}
		if n += len(keys); n > fullEntities {
			return errLarge
		}
		for _, key := range keys {
			if r := tx.rows[key.Encode()]; r != nil && r.dirty {
				continue
			}
			if err := tx.tx.Delete(key); err != nil {
				return err
			}
		}
	}
	return nil
}

func (z *resetting) query(kind string) *datastore.Query {
	return datastore.NewQuery(kind).Namespace(z.opts.Namespace).KeysOnly()
}

// mark makes the sink hold nothing of the projection. fn does not run.
func (z *resetting) mark(ctx context.Context) error {
	var refused error
	err := z.update(ctx, func(tx *Tx) error {
		var old head
		if old, refused = z.hold(tx); refused == nil {
			refused = z.put(tx, old, head{Format: format, Reset: z.who})
		}
		return refused
	})
	if err == nil || refused != nil || ctx.Err() != nil {
		return err
	}
	if h, e := z.head(ctx); e == nil && h.Reset == z.who {
		return nil // the answer was lost, no more
	}
	return err
}

// empty deletes the entities of the kinds, some at a time, as long as the mark is there.
// A process that has lost it can delete nothing more: what it would delete may be new.
func (z *resetting) empty(ctx context.Context) error {
	for kind := range z.kinds {
		for {
			keys, err := z.some(ctx, kind)
			if err != nil {
				return err
			}
			if len(keys) == 0 {
				break
			}
			err = z.update(ctx, func(tx *Tx) error {
				if _, err := z.marked(tx); err != nil {
					return err
				}
				return tx.tx.DeleteMulti(keys)
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (z *resetting) some(ctx context.Context, kind string) ([]*datastore.Key, error) {
	ctx, cancel := context.WithTimeout(ctx, z.opts.Timeout)
	defer cancel()
	keys, err := z.client.GetAll(ctx, z.query(kind).Limit(fullEntities), nil)
	if err != nil {
		return nil, unavailable(err)
	}
	return keys, nil
}
