package datastoresink

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"cloud.google.com/go/datastore"

	"github.com/rollforward/rollforward/projection"
)

// A Tx is the transaction that handlers get. It is like a *datastore.Transaction whose
// reads see its writes: what is read comes from Datastore once, what is written
// goes there at the commit. A handler uses it while it runs, from one goroutine.
//
// Keys are without a namespace, and complete: a rebuild must come to the same keys.
// Properties that are keys are stored as they are.
type Tx struct {
	ctx       context.Context
	get       lookup
	namespace string
	rows      map[string]*row // by path
	written   []*row          // in the order of the first write
	bytes     int             // that the written rows come to
	maxBytes  int
	failed    error // of Datastore, at a read
}

func newTx(ctx context.Context, get lookup, namespace string, maxBytes int) *Tx {
	return &Tx{ctx: ctx, get: get, namespace: namespace, rows: make(map[string]*row), maxBytes: maxBytes}
}

// Context returns the context of the transaction.
func (t *Tx) Context() context.Context { return t.ctx }

// Get loads a row into dst, a struct pointer or a datastore.PropertyLoadSaver.
// datastore.ErrNoSuchEntity: there is none. As with Datastore, fields without a
// property keep what they hold, and slices are appended to.
func (t *Tx) Get(key *datastore.Key, dst any) error {
	list, err := t.find([]*datastore.Key{key})
	if err != nil {
		return err
	}
	return list[0].load(key, dst)
}

// GetMulti loads rows into dst, a slice as long as keys of structs, struct pointers,
// interfaces or a datastore.PropertyLoadSaver, with one request for those that were not
// read before. An error of single rows is a datastore.MultiError.
func (t *Tx) GetMulti(keys []*datastore.Key, dst any) error {
	into, err := elements(dst, len(keys))
	if err != nil {
		return fmt.Errorf("datastoresink: GetMulti: %w", err)
	}
	list, err := t.find(keys)
	if err != nil {
		return err
	}
	errs, any := make(datastore.MultiError, len(keys)), false
	for i, r := range list {
		errs[i] = r.load(keys[i], into[i])
		any = any || errs[i] != nil
	}
	if any {
		return errs
	}
	return nil
}

// Put stores src, a struct pointer or a datastore.PropertyLoadSaver, as the row of this
// key. Its properties are taken now: src can be used again. An error that wraps
// ErrTooLarge says that the row does not fit by itself; one that wraps projection.ErrFull,
// that it does not with the others.
func (t *Tx) Put(key *datastore.Key, src any) error {
	props, err := save(src)
	if err == nil {
		err = t.write(key, props, true)
	}
	if err != nil {
		return fmt.Errorf("datastoresink: put %v: %w", key, err)
	}
	return nil
}

// PutMulti stores src, a slice as long as keys, as GetMulti loads it. It ends at the first
// error.
func (t *Tx) PutMulti(keys []*datastore.Key, src any) error {
	from, err := elements(src, len(keys))
	if err != nil {
		return fmt.Errorf("datastoresink: PutMulti: %w", err)
	}
	for i, key := range keys {
		if err := t.Put(key, from[i]); err != nil {
			return err
		}
	}
	return nil
}

// Delete removes the row of this key, if there is one.
func (t *Tx) Delete(key *datastore.Key) error {
	if err := t.write(key, nil, false); err != nil {
		return fmt.Errorf("datastoresink: delete %v: %w", key, err)
	}
	return nil
}

// DeleteMulti removes rows. It ends at the first error.
func (t *Tx) DeleteMulti(keys []*datastore.Key) error {
	for _, key := range keys {
		if err := t.Delete(key); err != nil {
			return err
		}
	}
	return nil
}

// find returns the rows of some keys, and reads those that are not known.
func (t *Tx) find(keys []*datastore.Key) ([]*row, error) {
	out := make([]*row, len(keys))
	var missing []*row
	for i, key := range keys {
		path, err := pathOf(key)
		if err != nil {
			return nil, fmt.Errorf("datastoresink: get %v: %w", key, err)
		}
		if out[i] = t.rows[path]; out[i] == nil {
			out[i] = &row{path: path, key: Key(t.namespace, key)}
			t.rows[path] = out[i]
			missing = append(missing, out[i])
		}
	}
	for len(missing) > 0 {
		n := min(len(missing), maxKeys)
		if err := t.read(missing[:n]); err != nil {
			for _, r := range missing {
				delete(t.rows, r.path)
			}
			t.failed = err
			return nil, fmt.Errorf("datastoresink: get: %w", err)
		}
		missing = missing[n:]
	}
	return out, nil
}

// read reads rows from Datastore.
func (t *Tx) read(rows []*row) error {
	keys, out := make([]*datastore.Key, len(rows)), make([]datastore.PropertyList, len(rows))
	for i, r := range rows {
		keys[i] = r.key
	}
	err := t.get(t.ctx, keys, out)
	var each datastore.MultiError
	if err != nil && !errors.As(err, &each) {
		return err
	}
	for i, r := range rows {
		if each == nil || each[i] == nil {
			r.props, r.exists = out[i], true
		} else if each[i] != datastore.ErrNoSuchEntity {
			return each[i]
		}
	}
	return nil
}

// write keeps what a row is to be.
func (t *Tx) write(key *datastore.Key, props []datastore.Property, exists bool) error {
	path, err := pathOf(key)
	if err != nil {
		return err
	}
	props, size, err := measured(key, props)
	if err != nil {
		return err
	}
	r := t.rows[path]
	if r == nil {
		r = &row{path: path, key: Key(t.namespace, key)}
	}
	if t.bytes-r.size+size > t.maxBytes {
		return fmt.Errorf("%w, %w: with this row it writes more than %d bytes", projection.ErrFull, ErrTooLarge, t.maxBytes)
	}
	if r.size == 0 {
		t.written = append(t.written, r)
	}
	t.bytes += size - r.size
	t.rows[path], r.props, r.exists, r.size = r, props, exists, size
	return nil
}

// flush hands what was written to the transaction.
func (t *Tx) flush(to *datastore.Transaction) error {
	for _, r := range t.written {
		var err error
		if r.exists {
			_, err = to.Put(r.key, &r.props)
		} else {
			err = to.Delete(r.key)
		}
		if err != nil {
			return fmt.Errorf("%v: %w", r.key, err)
		}
	}
	return nil
}

// elements returns pointers to the n elements of a slice, as Get takes them.
func elements(slice any, n int) ([]any, error) {
	v := reflect.ValueOf(slice)
	if v.Kind() != reflect.Slice || v.Len() != n {
		return nil, fmt.Errorf("%T is not a slice of %d elements", slice, n)
	}
	out := make([]any, n)
	for i := range out {
		e := v.Index(i)
		switch {
		case e.Kind() == reflect.Interface && !e.IsNil():
			out[i] = e.Interface()
		case e.Kind() == reflect.Pointer:
			if e.IsNil() {
				e.Set(reflect.New(e.Type().Elem()))
			}
			out[i] = e.Interface()
		default:
			out[i] = e.Addr().Interface()
		}
	}
	return out, nil
}
