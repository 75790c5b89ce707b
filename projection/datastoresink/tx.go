package datastoresink

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"cloud.google.com/go/datastore"

	"github.com/rollforward/rollforward/projection"
)

// A Tx is a transaction of the sink, as handlers see it. What they write is kept in
// memory until all events of the batch are through, and is read by those behind. It
// is used by one goroutine, and not after the handler has returned.
//
// An error that wraps eventlog.ErrUnavailable is the store's, one that wraps
// projection.ErrFull says that the batch is too large. Either ends the transaction; a
// handler returns it.
type Tx struct {
	sink    *Sink
	ctx     context.Context
	tx      *datastore.Transaction
	rows    map[string]*row // by encoded key
	order   []*row          // those to be written, in the order of first writes
	cleared map[string]bool // kinds
	single  bool            // no smaller batch is possible
	bytes   int
	failed  error // what has ended it
}

const (
	fullEntities = 450     // of a batch that can be smaller: 500 were the limit once, and a checkpoint comes along
	fullBytes    = 7 << 19 // 3.5 MiB; the service takes 10, an emulator 4
)

// Get reads an entity into dst, as datastore.Transaction.Get does: a struct pointer or a
// PropertyLoadSaver. datastore.ErrNoSuchEntity says that there is none.
func (t *Tx) Get(key *datastore.Key, dst any) error {
	if err := t.fetch([]*datastore.Key{key}); err != nil {
		return err
	}
	k := t.resolve(key)
	return t.rows[k.Encode()].load(k, dst)
}

// GetMulti reads entities into the elements of dst, a slice as for
// datastore.Transaction.GetMulti, in few calls. Missing ones are ErrNoSuchEntity in a
// datastore.MultiError.
func (t *Tx) GetMulti(keys []*datastore.Key, dst any) error {
	v := reflect.ValueOf(dst)
	if v.Kind() != reflect.Slice || v.Len() != len(keys) {
		return errors.New("datastoresink: keys and dst slices have different lengths")
	}
	if err := t.fetch(keys); err != nil {
		return err
	}
	errs, failed := make(datastore.MultiError, len(keys)), false
	for i, key := range keys {
		k := t.resolve(key)
		errs[i] = t.rows[k.Encode()].load(k, target(v.Index(i)))
		failed = failed || errs[i] != nil
	}
	if failed {
		return errs
	}
	return nil
}

// target returns what an element of a slice is loaded through.
func target(v reflect.Value) any {
	switch v.Kind() {
	case reflect.Interface:
		return v.Interface()
	case reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		return v.Interface()
	}
	return v.Addr().Interface()
}

// Put writes an entity from src, a struct pointer or a PropertyLoadSaver, whether there
// is one or not. The key must be complete; it is returned, with the sink's namespace if
// it had none. What Datastore would refuse, a string that is too long for an index for
// instance, is refused at once.
func (t *Tx) Put(key *datastore.Key, src any) (*datastore.Key, error) {
	props, err := save(src)
	if err != nil {
		return nil, fmt.Errorf("datastoresink: put %v: %w", key, err)
	}
	return t.write(key, props)
}

// PutMulti is Put for the elements of src, a slice.
func (t *Tx) PutMulti(keys []*datastore.Key, src any) ([]*datastore.Key, error) {
	v := reflect.ValueOf(src)
	if v.Kind() != reflect.Slice || v.Len() != len(keys) {
		return nil, errors.New("datastoresink: keys and src slices have different lengths")
	}
	out := make([]*datastore.Key, len(keys))
	for i, key := range keys {
		var err error
		if out[i], err = t.Put(key, target(v.Index(i))); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Delete deletes an entity, whether there is one or not.
func (t *Tx) Delete(key *datastore.Key) error {
	_, err := t.write(key, nil)
	return err
}

// DeleteMulti is Delete for several keys.
func (t *Tx) DeleteMulti(keys []*datastore.Key) error {
	for _, key := range keys {
		if err := t.Delete(key); err != nil {
			return err
		}
	}
	return nil
}

// write makes properties, or nothing (nil), the row of a key.
func (t *Tx) write(key *datastore.Key, props []datastore.Property) (*datastore.Key, error) {
	if t.failed != nil {
		return nil, t.failed
	}
	if err := check(key); err != nil {
		return nil, err
	}
	key = t.resolve(key)
	id := key.Encode()
	r := t.rows[id]
	if r == nil {
		r = &row{key: key}
		t.rows[id] = r
	}
	if !r.dirty {
		r.dirty = true
		t.order = append(t.order, r)
	}
	t.bytes -= r.size
	r.props, r.exists, r.size = props, props != nil, size(key, props)
	t.bytes += r.size
	return key, t.room()
}

// room refuses what would not fit into one commit.
func (t *Tx) room() error {
	switch {
	case t.bytes > fullBytes:
		t.failed = fmt.Errorf("datastoresink: %w: %d bytes, at most %d", projection.ErrFull, t.bytes, fullBytes)
	case len(t.order) > fullEntities && !t.single:
		t.failed = fmt.Errorf("datastoresink: %w: %d entities", projection.ErrFull, len(t.order))
	}
	return t.failed
}

// fetch reads the rows that are not known yet.
func (t *Tx) fetch(keys []*datastore.Key) error {
	if t.failed != nil {
		return t.failed
	}
	var unknown []*datastore.Key
	for _, key := range keys {
		if err := check(key); err != nil {
			return err
		}
		key = t.resolve(key)
		switch id := key.Encode(); {
		case t.rows[id] != nil:
		case t.cleared[key.Kind]:
			t.rows[id] = &row{key: key}
		default:
			t.rows[id] = &row{key: key}
			unknown = append(unknown, key)
		}
	}
	for len(unknown) > 0 {
		n := min(len(unknown), chunks)
		if err := t.read(unknown[:n]); err != nil {
			t.failed = unavailable(err)
			return t.failed
		}
		unknown = unknown[n:]
	}
	return nil
}

func (t *Tx) read(keys []*datastore.Key) error {
	lists := make([]datastore.PropertyList, len(keys))
	err := t.tx.GetMulti(keys, lists)
	var each datastore.MultiError
	if err != nil && !errors.As(err, &each) {
		return err
	}
	for i, key := range keys {
		r := t.rows[key.Encode()]
		switch {
		case each == nil || each[i] == nil:
			r.props, r.exists = lists[i], true
		case each[i] != datastore.ErrNoSuchEntity:
			return each[i]
		}
	}
	return nil
}

// clear forgets the rows of a kind; see Clear.
func (t *Tx) clear(kind string) {
	if t.cleared == nil {
		t.cleared = map[string]bool{}
	}
	t.cleared[kind] = true
	for _, r := range t.rows {
		if r.key.Kind == kind {
			t.bytes -= r.size
			r.props, r.exists, r.size = nil, false, 0
		}
	}
}

// flush hands the rows to the transaction.
func (t *Tx) flush() error {
	for _, r := range t.order {
		var err error
		if r.exists {
			_, err = t.tx.Put(r.key, (*datastore.PropertyList)(&r.props))
		} else {
			err = t.tx.Delete(r.key)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// resolve gives a key and its parents the sink's namespace where they have none.
func (t *Tx) resolve(key *datastore.Key) *datastore.Key {
	if key == nil || key.Namespace != "" || t.sink.opts.Namespace == "" {
		return key
	}
	k := *key
	k.Namespace = t.sink.opts.Namespace
	k.Parent = t.resolve(key.Parent)
	return &k
}

// check refuses keys that Datastore would refuse, or that would not be the same again.
func check(key *datastore.Key) error {
	if key == nil {
		return fmt.Errorf("datastoresink: %w: nil", datastore.ErrInvalidKey)
	}
	for k := key; k != nil; k = k.Parent {
		switch {
		case k.Incomplete():
			return fmt.Errorf("datastoresink: %w: %v is incomplete", datastore.ErrInvalidKey, key)
		case len(k.Name) > maxIndexed || len(k.Kind) > maxIndexed || k.Kind == "":
			return fmt.Errorf("datastoresink: %w: kind and name have 1 to %d bytes", datastore.ErrInvalidKey, maxIndexed)
		}
	}
	return nil
}
