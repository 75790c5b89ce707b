package outbox

import (
	"context"
	"maps"
	"slices"
	"strings"
)

// handlers are those of a Runner, by their Type.
type handlers map[string]*Handler

// family ends the Type of a handler of many types.
const family = "/*"

// of returns the handler of a step type: its own, or that of the smallest family
// that it belongs to; nil: there is none.
func (hs handlers) of(typ string) *Handler {
	if h := hs[typ]; h != nil {
		return h
	}
	return hs.family(typ)
}

// family returns the handler of the smallest family that a type belongs to.
func (hs handlers) family(typ string) *Handler {
	for i := strings.LastIndexByte(typ, '/'); i >= 0; i = strings.LastIndexByte(typ[:i], '/') {
		if h := hs[typ[:i]+family]; h != nil {
			return h
		}
	}
	return nil
}

// starts are the places where types that a handler takes may begin in a list of
// all types, in order.
func (hs handlers) starts() []string {
	list := []string{unreadable}
	for typ := range maps.Keys(hs) {
		if strings.HasSuffix(typ, family) {
			typ = strings.TrimSuffix(typ, "*")
		}
		list = append(list, typ)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// parkedTypes returns the types of parked steps that this runner knows, and the
// place of those that could not be read. It looks for the ones that it knows, since
// there may be any number of others.
func (s *source) parkedTypes(ctx context.Context) (types []string, err error) {
	starts := s.handlers.starts()
	for from := starts[0]; ; {
		names, err := s.names(ctx, parkedCells, cellsOf(parkedCells, s.shard)+from, 1)
		if err != nil || len(names) == 0 {
			return types, err
		}
		name := names[0]
		if name == unreadable || s.handlers.of(name) != nil {
			types = append(types, name)
		}
		if s.handlers.family(name) != nil { // the next one may be its sibling
			from = name + "\x02"
			continue
		}
		at, found := slices.BinarySearch(starts, name)
		if found {
			at++
		}
		if at == len(starts) {
			return types, nil
		}
		from = starts[at]
	}
}
