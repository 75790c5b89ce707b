package dsfake

import (
	"iter"
	"slices"
	"strings"

	pb "cloud.google.com/go/datastore/apiv1/datastorepb"
)

// indexName names an index: of all keys of a partition (no kind), of the keys of a
// kind (no property), or of a property's values.
type indexName struct {
	partition
	kind, property string
}

// index is sorted by value and then by key.
type index struct {
	name    indexName
	entries []*entry
}

// entry is one value of one entity in the versions from born to before died.
type entry struct {
	encoded    string // the value; empty in an index of keys
	node       *node
	value      *pb.Value // nil in an index of keys
	born, died int64
	of         *index
}

func (st *store) index(name indexName) *index {
	x := st.indexes[name]
	if x == nil {
		x = &index{name: name}
		st.indexes[name] = x
	}
	return x
}

// position is a place in an index. Paths are compared with all that sorts behind the
// value, so a position without one is before all entries of the value.
type position struct{ encoded, path string }

func (p position) compare(q position) int {
	if c := strings.Compare(p.encoded, q.encoded); c != 0 {
		return c
	}
	return strings.Compare(p.path, q.path)
}

func (e *entry) position() position { return position{e.encoded, e.node.key.path} }

// find returns the first entry that is not before a position.
func (x *index) find(p position) int {
	i, _ := slices.BinarySearchFunc(x.entries, p, func(e *entry, p position) int { return e.position().compare(p) })
	return i
}

// insert puts an entry behind dead ones of the same place.
func (x *index) insert(e *entry) {
	e.of = x
	i := x.find(e.position())
	for i < len(x.entries) && x.entries[i].position() == e.position() {
		i++
	}
	x.entries = slices.Insert(x.entries, i, e)
}

func (x *index) remove(e *entry) {
	for i := x.find(e.position()); i < len(x.entries); i++ {
		if x.entries[i] == e {
			x.entries = slices.Delete(x.entries, i, i+1)
			return
		}
	}
}

// scan yields the entries from a position to before another, in either direction, as a
// snapshot sees them.
func (x *index) scan(from, to position, descending bool, snapshot int64) iter.Seq[*entry] {
	return func(yield func(*entry) bool) {
		lo, hi := x.find(from), x.find(to)
		for n := range max(0, hi-lo) {
			i := lo + n
			if descending {
				i = hi - 1 - n
			}
			e := x.entries[i]
			if e.born <= snapshot && snapshot < e.died && !yield(e) {
				return
			}
		}
	}
}
