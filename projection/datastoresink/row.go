package datastoresink

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"cloud.google.com/go/datastore"
)

// A row is an entity as a transaction knows it.
type row struct {
	path   string
	key    *datastore.Key // in the rows' namespace
	props  datastore.PropertyList
	exists bool
	size   int // 0: not written
}

// load copies a row to what a handler brings.
func (r *row) load(key *datastore.Key, dst any) error {
	if !r.exists {
		return datastore.ErrNoSuchEntity
	}
	props := cloned(r.props)
	if l, ok := dst.(datastore.KeyLoader); ok {
		if err := l.LoadKey(key); err != nil {
			return err
		}
	}
	if pls, ok := dst.(datastore.PropertyLoadSaver); ok {
		return pls.Load(props)
	}
	err := datastore.LoadStruct(dst, props)
	var mismatch *datastore.ErrFieldMismatch
	if err == nil || errors.As(err, &mismatch) { // the rest is loaded then
		setKey(dst, key)
	}
	return err
}

// setKey sets the field for the key of a struct, where it has one.
func setKey(dst any, key *datastore.Key) {
	v := reflect.ValueOf(dst).Elem()
	for i := range v.NumField() {
		if name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("datastore"), ","); name == "__key__" && v.Field(i).CanSet() {
			v.Field(i).Set(reflect.ValueOf(key))
		}
	}
}

// save returns the properties of what a handler brings.
func save(src any) ([]datastore.Property, error) {
	if pls, ok := src.(datastore.PropertyLoadSaver); ok {
		return pls.Save()
	}
	return datastore.SaveStruct(src)
}

// pathOf returns a text that is the key's alone, and says what is wrong with the key.
func pathOf(key *datastore.Key) (string, error) {
	if key == nil {
		return "", datastore.ErrInvalidKey
	}
	var path []byte
	size := 0
	for k := key; k != nil; k = k.Parent {
		switch {
		case k.Incomplete():
			return "", fmt.Errorf("%w: %v is incomplete", datastore.ErrInvalidKey, key)
		case k.Namespace != "":
			return "", fmt.Errorf("%w: %v has a namespace", datastore.ErrInvalidKey, key)
		}
		for _, part := range []string{k.Kind, k.Name} {
			if part == "" && k.ID != 0 {
				continue
			}
			if err := checkPart(part); err != nil {
				return "", fmt.Errorf("%w: %w", datastore.ErrInvalidKey, err)
			}
		}
		path = strconv.AppendQuote(path, k.Kind)
		if k.Name == "" {
			path = strconv.AppendInt(path, k.ID, 10)
		} else {
			path = strconv.AppendQuote(path, k.Name)
		}
		path = append(path, '/')
		size += len(k.Kind) + len(k.Name) + 16
	}
	if size > maxKeyBytes {
		return "", fmt.Errorf("%w: a key of %d bytes, at most %d", ErrTooLarge, size, maxKeyBytes)
	}
	return string(path), nil
}

// Datastore's limits, in bytes.
const (
	maxKeyBytes    = 6 << 10
	maxKeyPart     = 1500 // of a kind, a name, and an indexed string
	maxValue       = 1<<20 - 89
	maxEntityBytes = 1<<20 - 4
)

// And others.
const (
	maxIndexed = 20_000 // values of an entity
	maxDepth   = 20     // of entities in entities
)

func checkPart(s string) error {
	switch {
	case len(s) > maxKeyPart:
		return fmt.Errorf("%w: %.60q has %d bytes, at most %d", ErrTooLarge, s, len(s), maxKeyPart)
	case !utf8.ValidString(s):
		return fmt.Errorf("%.60q is not UTF-8", s)
	case len(s) >= 4 && strings.HasPrefix(s, "__") && strings.HasSuffix(s, "__"):
		return fmt.Errorf("%.60q is reserved", s)
	}
	return nil
}
