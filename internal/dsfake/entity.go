package dsfake

import (
	"maps"
	"slices"

	pb "cloud.google.com/go/datastore/apiv1/datastorepb"
)

// posting is one indexed value of an entity.
type posting struct {
	property string
	encoded  string
	value    *pb.Value
}

// postings checks an entity and returns its indexed values, each once.
func (d database) postings(e *pb.Entity) ([]posting, error) {
	x := examiner{database: d, seen: map[[2]string]bool{}}
	if err := x.entity("", e, 0, false); err != nil {
		return nil, err
	}
	if n := len(x.postings); n > maxIndexes {
		return nil, invalid("Too many indexed values: %d, at most %d are allowed for an entity.", n, maxIndexes)
	}
	if size := x.size + keySize(e.Key) + 32; size > maxEntity {
		return nil, invalid("The entity is too big: %d bytes, at most %d are allowed.", size, maxEntity)
	}
	return x.postings, nil
}

// examiner walks through an entity.
type examiner struct {
	database
	postings []posting
	seen     map[[2]string]bool
	size     int // as documented for storage
}

func (x *examiner) entity(prefix string, e *pb.Entity, depth int, unindexed bool) error {
	if depth > maxNesting {
		return invalid("Entity values are nested deeper than %d.", maxNesting)
	}
	for _, name := range slices.Sorted(maps.Keys(e.GetProperties())) {
		switch {
		case name == "":
			return invalid("The property.name is the empty string.")
		case len(name) > maxIndexed:
			return invalid("The property.name is longer than %d bytes.", maxIndexed)
		case reserved(name):
			return invalid("The property.name %q is reserved.", name)
		}
		x.size += len(name) + 1
		if err := x.value(prefix+name, e.Properties[name], depth, unindexed); err != nil {
			return err
		}
	}
	return nil
}

func (x *examiner) value(property string, v *pb.Value, depth int, unindexed bool) error {
	unindexed = unindexed || v.GetExcludeFromIndexes()
	size := 8
	switch t := v.GetValueType().(type) {
	case nil:
		return invalid("The value of property %q has no type.", property)
	case *pb.Value_ArrayValue:
		return x.array(property, t.ArrayValue, depth, unindexed)
	case *pb.Value_EntityValue:
		return x.entity(property+".", t.EntityValue, depth+1, unindexed)
	case *pb.Value_StringValue:
		size = len(t.StringValue) + 1
	case *pb.Value_BlobValue:
		size = len(t.BlobValue) + 1
	case *pb.Value_KeyValue:
		size = keySize(t.KeyValue)
	}
	x.size += size
	switch {
	case !unindexed && size-1 > maxIndexed:
		return invalid("The value of property %q is longer than %d bytes.", property, maxIndexed)
	case size-1 > maxProperty:
		return invalid("The value of property %q is longer than %d bytes.", property, maxProperty)
	case unindexed:
		return nil
	}
	encoded, err := x.appendValue(nil, v)
	if err != nil {
		return err
	}
	if id := [2]string{property, string(encoded)}; !x.seen[id] {
		x.seen[id] = true
		x.postings = append(x.postings, posting{property, string(encoded), v})
	}
	return nil
}

func (x *examiner) array(property string, a *pb.ArrayValue, depth int, unindexed bool) error {
	for _, v := range a.GetValues() {
		if _, nested := v.GetValueType().(*pb.Value_ArrayValue); nested {
			return invalid("The value of property %q has an array in an array.", property)
		}
		if err := x.value(property, v, depth, unindexed); err != nil {
			return err
		}
	}
	return nil
}

func keySize(k *pb.Key) int {
	size := len(k.GetPartitionId().GetNamespaceId()) + 16
	for _, e := range k.GetPath() {
		size += len(e.Kind) + 1
		if e.GetName() != "" {
			size += len(e.GetName()) + 1
		} else {
			size += 8
		}
	}
	return size
}
