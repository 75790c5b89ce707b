package eventlog

import (
	"encoding/json"
	"fmt"
	"slices"
)

// An Upcast brings stored events of type From to type To: a new version of a
// schema, or a new name (Func nil). Upcasts follow one another until the type
// is one that nothing upcasts. They run wherever events are read, unless the
// Query asks for them as stored.
type Upcast struct {
	From, To string
	Func     func(json.RawMessage) (json.RawMessage, error)
}

type upcasts map[string]Upcast

func newUpcasts(list []Upcast) (upcasts, error) {
	if len(list) == 0 {
		return nil, nil
	}
	u := make(upcasts, len(list))
	for _, c := range list {
		if c.From == "" || c.To == "" {
			return nil, fmt.Errorf("upcast from %q to %q: empty type", c.From, c.To)
		}
		if _, ok := u[c.From]; ok {
			return nil, fmt.Errorf("two upcasts from %q", c.From)
		}
		u[c.From] = c
	}
	for _, c := range list {
		at := c.From
		for range len(list) + 1 {
			next, ok := u[at]
			if !ok {
				break
			}
			if at = next.To; at == c.From {
				return nil, fmt.Errorf("upcasts from %q lead back to it", c.From)
			}
		}
	}
	return u, nil
}

// apply brings r to its newest type.
func (u upcasts) apply(r *Record) error {
	for {
		c, ok := u[r.Type]
		if !ok {
			return nil
		}
		if c.Func != nil {
			data, err := c.Func(r.Data)
			if err != nil {
				return fmt.Errorf("upcast %s to %s at %s version %d: %w", c.From, c.To, r.Stream, r.Version, err)
			}
			r.Data = data
		}
		r.Type = c.To
	}
}

// stored returns the names under which events of these types may be stored.
func (u upcasts) stored(types []string) []string {
	out := slices.Clone(types)
	for i := 0; i < len(out); i++ {
		for from, c := range u {
			if c.To == out[i] && !slices.Contains(out, from) {
				out = append(out, from)
			}
		}
	}
	return out
}
