package datastoresink

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"time"
	"unicode/utf8"

	"cloud.google.com/go/datastore"
)

// measured returns properties as they will be read from Datastore, in copies of their
// own, and how large the entity is at most where it is written. What Datastore
// would not take is an error here, where it is known which event it comes from.
func measured(key *datastore.Key, props []datastore.Property) ([]datastore.Property, int, error) {
	m := measuring{}
	out, size, err := m.all(props, false)
	for k := key; k != nil; k = k.Parent {
		size += len(k.Kind) + len(k.Name) + 32
	}
	switch {
	case err != nil:
		return nil, 0, err
	case size > maxEntityBytes:
		return nil, 0, fmt.Errorf("%w: a row of %d bytes, at most %d", ErrTooLarge, size, maxEntityBytes)
	case m.indexed > maxIndexed:
		return nil, 0, fmt.Errorf("%w: a row of %d indexed values, at most %d; use noindex", ErrTooLarge, m.indexed, maxIndexed)
	}
	return out, size + 200, nil // project, database, namespace, framing
}

// A measuring is that of one row.
type measuring struct {
	indexed int // values
	depth   int // of entities in entities
}

func (m *measuring) all(props []datastore.Property, noIndex bool) ([]datastore.Property, int, error) {
	out, size := make([]datastore.Property, len(props)), 0
	for i, p := range props {
		v, n, err := m.value(p.Value, noIndex || p.NoIndex)
		if err != nil {
			return nil, 0, fmt.Errorf("property %.60q: %w", p.Name, err)
		}
		out[i] = datastore.Property{Name: p.Name, Value: v, NoIndex: p.NoIndex}
		size += len(p.Name) + n + 24
	}
	return out, size, nil
}

// value returns a value as it is read back, and its size.
func (m *measuring) value(value any, noIndex bool) (any, int, error) {
	if !noIndex {
		m.indexed++
	}
	switch v := value.(type) {
	case nil, bool, int64, float64:
		return v, 16, nil
	case int:
		return int64(v), 16, nil
	case int32:
		return int64(v), 16, nil
	case float32:
		return float64(v), 16, nil
	case time.Time:
		return time.UnixMicro(v.UnixMicro()), 24, nil
	case datastore.GeoPoint:
		if !v.Valid() {
			return nil, 0, errors.New("invalid GeoPoint")
		}
		return v, 32, nil
	case string:
		if !utf8.ValidString(v) {
			return nil, 0, fmt.Errorf("%.60q is not UTF-8", v)
		}
		return v, 16 + len(v), checkLength(len(v), noIndex)
	case []byte:
		return bytes.Clone(v), 16 + len(v), checkLength(len(v), noIndex)
	case *datastore.Key:
		return measureKey(v)
	case *datastore.Entity:
		return m.entity(v, noIndex)
	case []any:
		return m.list(v, noIndex)
	}
	v := reflect.ValueOf(value)
	switch {
	case v.Kind() != reflect.Pointer:
		return nil, 0, fmt.Errorf("a %T is no value for Datastore", value)
	case v.IsNil():
		return nil, 16, nil
	}
	return m.value(v.Elem().Interface(), noIndex)
}

func checkLength(n int, noIndex bool) error {
	switch {
	case n > maxKeyPart && !noIndex:
		return fmt.Errorf("%w: %d bytes that are indexed, at most %d; use noindex", ErrTooLarge, n, maxKeyPart)
	case n > maxValue:
		return fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, n, maxValue)
	}
	return nil
}

func measureKey(k *datastore.Key) (any, int, error) {
	if k == nil {
		return nil, 16, nil
	}
	size := 0
	for p := k; p != nil; p = p.Parent {
		size += len(p.Kind) + len(p.Name) + len(p.Namespace) + 100
	}
	return k, size, nil
}

func (m *measuring) entity(e *datastore.Entity, noIndex bool) (any, int, error) {
	if e == nil {
		return nil, 16, nil
	}
	if m.depth++; m.depth > maxDepth {
		return nil, 0, fmt.Errorf("%w: entities in entities, more than %d", ErrTooLarge, maxDepth)
	}
	props, size, err := m.all(e.Properties, noIndex)
	m.depth--
	if err != nil {
		return nil, 0, err
	}
	_, n, _ := measureKey(e.Key)
	return &datastore.Entity{Key: e.Key, Properties: props}, size + n, nil
}

func (m *measuring) list(list []any, noIndex bool) (any, int, error) {
	out, size := make([]any, len(list)), 16
	for i, e := range list {
		v, n, err := m.value(e, noIndex)
		if err != nil {
			return nil, 0, fmt.Errorf("element %d: %w", i, err)
		}
		out[i] = v
		size += n + 8
	}
	return out, size, nil
}

// cloned returns properties that share nothing with props that can be changed.
func cloned(props []datastore.Property) []datastore.Property {
	out := make([]datastore.Property, len(props))
	for i, p := range props {
		p.Value = clone(p.Value)
		out[i] = p
	}
	return out
}

func clone(value any) any {
	switch v := value.(type) {
	case []byte:
		return bytes.Clone(v)
	case *datastore.Entity:
		if v == nil {
			return v
		}
		return &datastore.Entity{Key: v.Key, Properties: cloned(v.Properties)}
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = clone(v[i])
		}
		return out
	}
	return value
}
