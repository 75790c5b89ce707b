package dsfake

import (
	"strings"

	pb "cloud.google.com/go/datastore/apiv1/datastorepb"
)

// where is a query's filter, taken apart.
type where struct {
	equal    map[string][]string // encoded values by property
	ranged   string              // the property with inequalities, if any
	values   bounds              // of its encoded values
	keys     bounds              // of the paths of keys
	ancestor string              // the path that all of them begin with
}

// bounds are strings from to before; to is empty for no end.
type bounds struct{ from, to string }

func (b bounds) contain(s string) bool { return s >= b.from && (b.to == "" || s < b.to) }

func (b *bounds) atLeast(s string) { b.from = max(b.from, s) }

func (b *bounds) below(s string) {
	if b.to == "" || s < b.to {
		b.to = s
	}
}

// bound narrows by an inequality.
func (b *bounds) bound(op pb.PropertyFilter_Operator, s string) {
	switch op {
	case pb.PropertyFilter_GREATER_THAN_OR_EQUAL:
		b.atLeast(s)
	case pb.PropertyFilter_GREATER_THAN:
		b.atLeast(beyond(s))
	case pb.PropertyFilter_LESS_THAN:
		b.below(s)
	case pb.PropertyFilter_LESS_THAN_OR_EQUAL:
		b.below(beyond(s))
	}
}

// beyond is before everything that is greater than a string which is no prefix of another.
func beyond(s string) string { return s + "\x00" }

// end is before everything that does not begin with a string, none of it being smaller.
func end(prefix string) string { return prefix + "\xff" }

// where takes a filter apart.
func (p partition) where(f *pb.Filter) (*where, error) {
	w := &where{equal: map[string][]string{}}
	err := w.add(p, f)
	return w, err
}

func (w *where) add(p partition, f *pb.Filter) error {
	switch t := f.GetFilterType().(type) {
	case nil:
		return nil
	case *pb.Filter_CompositeFilter:
		if t.CompositeFilter.Op != pb.CompositeFilter_AND {
			return unimplemented("a filter with " + t.CompositeFilter.Op.String())
		}
		for _, f := range t.CompositeFilter.Filters {
			if err := w.add(p, f); err != nil {
				return err
			}
		}
		return nil
	case *pb.Filter_PropertyFilter:
		if t.PropertyFilter.GetProperty().GetName() == keyProperty {
			return w.addKey(p, t.PropertyFilter)
		}
		return w.addProperty(p, t.PropertyFilter)
	}
	return invalid("A filter has no type.")
}

// keyProperty is the name of the key in queries.
const keyProperty = "__key__"

func (w *where) addKey(p partition, f *pb.PropertyFilter) error {
	kv, ok := f.Value.GetValueType().(*pb.Value_KeyValue)
	if !ok {
		return invalid("__key__ filter value must be a Key")
	}
	k, err := p.completeKey(kv.KeyValue)
	if err != nil {
		return err
	}
	if k.partition != p {
		return invalid("__key__ filter namespace is %q but query namespace is %q", k.namespace, p.namespace)
	}
	switch f.Op {
	case pb.PropertyFilter_HAS_ANCESTOR:
		w.ancestor = k.path
		w.keys.atLeast(k.path)
		w.keys.below(end(k.path))
	case pb.PropertyFilter_EQUAL:
		w.keys.bound(pb.PropertyFilter_GREATER_THAN_OR_EQUAL, k.path)
		w.keys.bound(pb.PropertyFilter_LESS_THAN_OR_EQUAL, k.path)
	case pb.PropertyFilter_GREATER_THAN_OR_EQUAL, pb.PropertyFilter_GREATER_THAN, pb.PropertyFilter_LESS_THAN, pb.PropertyFilter_LESS_THAN_OR_EQUAL:
		w.keys.bound(f.Op, k.path)
	default:
		return unimplemented("a filter with " + f.Op.String())
	}
	return nil
}

func (w *where) addProperty(p partition, f *pb.PropertyFilter) error {
	name := f.GetProperty().GetName()
	if f.Op == pb.PropertyFilter_HAS_ANCESTOR {
		return invalid("property must be __key__")
	}
	if name == "" {
		return invalid("The property.name is the empty string.")
	}
	switch f.Op {
	case pb.PropertyFilter_EQUAL, pb.PropertyFilter_GREATER_THAN_OR_EQUAL, pb.PropertyFilter_GREATER_THAN, pb.PropertyFilter_LESS_THAN, pb.PropertyFilter_LESS_THAN_OR_EQUAL:
	default:
		return unimplemented("a filter with " + f.Op.String())
	}
	b, err := p.appendValue(nil, f.Value)
	if err != nil {
		return err
	}
	encoded := string(b)
	switch {
	case f.Op == pb.PropertyFilter_EQUAL:
		w.equal[name] = append(w.equal[name], encoded)
		return nil
	case w.ranged != "" && w.ranged != name:
		return needsIndex("inequalities of " + w.ranged + " and " + name)
	}
	w.ranged = name
	w.values.bound(f.Op, encoded)
	return nil
}

// admits tells whether an entity has all the equal values and a key within the bounds.
func (w *where) admits(k key, s state) bool {
	if !w.keys.contain(k.path) || !strings.HasPrefix(k.path, w.ancestor) {
		return false
	}
	for property, values := range w.equal {
		for _, v := range values {
			if !s.has(property, v) {
				return false
			}
		}
	}
	return true
}

// has tells whether an entity has an indexed value.
func (s state) has(property, encoded string) bool {
	for _, p := range s.postings {
		if p.property == property && p.encoded == encoded {
			return true
		}
	}
	return false
}
