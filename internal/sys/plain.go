package sys

import (
	"reflect"
	"sync"
	"time"
)

var (
	timeLocation = reflect.TypeFor[*time.Location]()
	plain        sync.Map // of reflect.Type: bool
)

// Plain reports whether values of type t share nothing that can be changed when they
// are copied.
func Plain(t reflect.Type) bool {
	if known, ok := plain.Load(t); ok {
		return known.(bool)
	}
	is := isPlain(t)
	plain.Store(t, is)
	return is
}

func isPlain(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Struct:
		for i := range t.NumField() {
			if f := t.Field(i).Type; !isPlain(f) && f != timeLocation {
				return false
			}
		}
		return true
	case reflect.Array:
		return isPlain(t.Elem())
	case reflect.Map, reflect.Slice, reflect.Pointer, reflect.Interface, reflect.Chan, reflect.Func, reflect.UnsafePointer:
		return false
	}
	return true
}
