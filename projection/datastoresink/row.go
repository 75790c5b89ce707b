package datastoresink

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"cloud.google.com/go/datastore"
)

// row is an entity as the transaction sees it.
type row struct {
	key    *datastore.Key
	props  []datastore.Property
	exists bool
	dirty  bool // is to be written
	size   int  // of what is to be written
}

// Limits of Datastore.
const (
	maxIndexed = 1500      // bytes of what is indexed, of names and of kinds
	maxEntity  = 1_000_000 // bytes, a little less than the service takes
)

// load puts a row into what a handler brings.
func (r *row) load(key *datastore.Key, dst any) error {
	if !r.exists {
		return datastore.ErrNoSuchEntity
	}
	props := cloneProps(r.props)
	if l, ok := dst.(datastore.KeyLoader); ok {
		if err := l.LoadKey(key); err != nil {
			return err
		}
	}
	if l, ok := dst.(datastore.PropertyLoadSaver); ok {
		return l.Load(props)
	}
	if err := datastore.LoadStruct(dst, props); err != nil {
		return err
	}
	setKey(reflect.ValueOf(dst).Elem(), key)
	return nil
}

// setKey fills the field that stands for the key.
func setKey(v reflect.Value, key *datastore.Key) {
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("datastore"), ",")
		if name == "__key__" && v.Field(i).CanSet() && v.Field(i).Type() == reflect.TypeOf(key) {
			v.Field(i).Set(reflect.ValueOf(key))
		}
	}
}

// save takes the properties out of what a handler brings, as they will be read back.
func save(src any) (props []datastore.Property, err error) {
	if s, ok := src.(datastore.PropertyLoadSaver); ok {
		props, err = s.Save()
	} else {
		props, err = datastore.SaveStruct(src)
	}
	if err != nil {
		return nil, err
	}
	total := 0
	out := make([]datastore.Property, 0, len(props)) // not nil: an entity without properties is one
	for _, p := range props {
		if p.Name == "" || len(p.Name) > maxIndexed {
			return nil, fmt.Errorf("property %q: a name has 1 to %d bytes", p.Name, maxIndexed)
		}
		if err := valid(p.Value, p.NoIndex); err != nil {
			return nil, fmt.Errorf("property %q: %w", p.Name, err)
		}
		p.Value = clone(p.Value)
		total += valueSize(p.Value) + len(p.Name)
		out = append(out, p)
	}
	if total > maxEntity {
		return nil, fmt.Errorf("the entity has %d bytes, at most %d are allowed", total, maxEntity)
	}
	return out, nil
}

// valid refuses the values that Datastore would refuse at the commit.
func valid(v any, noIndex bool) error {
	n := 0
	switch v := v.(type) {
	case string:
		if n = len(v); !utf8.ValidString(v) {
			return fmt.Errorf("%.60q is not UTF-8", v)
		}
	case []byte:
		n = len(v)
	case time.Time:
		if !v.IsZero() && (v.Before(minTime) || v.After(maxTime)) {
			return fmt.Errorf("%v is out of range", v)
		}
	case *datastore.Key:
		if v != nil {
			return check(v)
		}
	case []any:
		for _, e := range v {
			if err := valid(e, noIndex); err != nil {
				return err
			}
		}
	case *datastore.Entity:
		if v == nil {
			return nil
		}
		for _, p := range v.Properties {
			if err := valid(p.Value, noIndex || p.NoIndex); err != nil {
				return fmt.Errorf("%s: %w", p.Name, err)
			}
		}
	case nil, bool, int, int32, int64, float32, float64, datastore.GeoPoint:
	default:
		r := reflect.ValueOf(v)
		switch {
		case r.Kind() != reflect.Pointer:
			return fmt.Errorf("a %T cannot be a property", v)
		case !r.IsNil():
			return valid(r.Elem().Interface(), noIndex)
		}
	}
	if n > maxIndexed && !noIndex {
		return fmt.Errorf("%d bytes are too long for an index: at most %d, or noindex", n, maxIndexed)
	}
	return nil
}

var (
	minTime = time.Unix(int64(-1<<63)/1_000_000, 0)
	maxTime = time.Unix(int64(1<<63-1)/1_000_000, 0)
)

func cloneProps(props []datastore.Property) []datastore.Property {
	out := slices.Clone(props)
	for i := range out {
		out[i].Value = clone(out[i].Value)
	}
	return out
}

// clone copies a value so far that nobody else can change it, and makes of it what comes
// back from the store: times have microseconds.
func clone(v any) any {
	switch v := v.(type) {
	case []byte:
		return slices.Clone(v)
	case time.Time:
		return time.UnixMicro(v.UnixMicro())
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = clone(v[i])
		}
		return out
	case *datastore.Entity:
		if v == nil {
			return v
		}
		return &datastore.Entity{Key: v.Key, Properties: cloneProps(v.Properties)}
	}
	return v
}

// size is what a row takes of a commit, about.
func size(key *datastore.Key, props []datastore.Property) int {
	n := 32
	for k := key; k != nil; k = k.Parent {
		n += len(k.Kind) + len(k.Name) + 16
	}
	for _, p := range props {
		n += len(p.Name) + valueSize(p.Value) + 8
	}
	return n
}

func valueSize(v any) int {
	const other = 16
	switch v := v.(type) {
	case string:
		return len(v) + other
	case []byte:
		return len(v) + other
	case []any:
		n := other
		for _, e := range v {
			n += valueSize(e)
		}
		return n
	case *datastore.Entity:
		if v == nil {
			return other
		}
		return other + size(v.Key, v.Properties)
	case *datastore.Key:
		return other + size(v, nil)
	}
	return other
}
