package dsfake

import (
	"iter"
	"maps"
	"slices"

	pb "cloud.google.com/go/datastore/apiv1/datastorepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// plan is a query and how it is answered: by one scan of one built-in index.
type plan struct {
	partition
	kind       string
	where      *where
	index      indexName
	from, to   position
	descending bool
	kindOf     pb.EntityResult_ResultType
	start, end []byte // cursors
	repeats    bool   // an entity is a result for each of its values
}

// needsIndex refuses what no built-in index answers.
func needsIndex(what string) error {
	return status.Errorf(codes.FailedPrecondition, "no matching index found: %s need a composite index, and none is deployed", what)
}

// plan checks a query.
func (p partition) plan(q *pb.Query) (*plan, error) {
	switch {
	case len(q.Kind) > 1:
		return nil, invalid("A query has at most one kind.")
	case len(q.DistinctOn) > 0:
		return nil, unimplemented("distinct on")
	case q.FindNearest != nil:
		return nil, unimplemented("vector search")
	case q.Offset < 0 || q.GetLimit().GetValue() < 0:
		return nil, invalid("Offset and limit must not be negative.")
	}
	pl := &plan{partition: p, start: q.StartCursor, end: q.EndCursor, kindOf: pb.EntityResult_FULL}
	if len(q.Kind) == 1 {
		pl.kind = q.Kind[0].Name
		if reserved(pl.kind) {
			return nil, unimplemented("the kind " + pl.kind)
		}
	}
	var err error
	if pl.where, err = p.where(q.Filter); err != nil {
		return nil, err
	}
	projected, err := pl.projection(q)
	if err != nil {
		return nil, err
	}
	return pl, pl.choose(projected, pl.orders(q))
}

// projection returns the property that is projected, if any.
func (pl *plan) projection(q *pb.Query) (string, error) {
	var names []string
	for _, p := range q.Projection {
		name := p.GetProperty().GetName()
		if len(pl.where.equal[name]) > 0 {
			return "", invalid("Cannot use projection on a property with an equality filter.")
		}
		if name != keyProperty && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	switch {
	case len(q.Projection) == 0:
		return "", nil
	case len(names) == 0:
		pl.kindOf = pb.EntityResult_KEY_ONLY
		return "", nil
	case len(names) > 1:
		return "", needsIndex("projections of several properties")
	}
	pl.kindOf = pb.EntityResult_PROJECTION
	return names[0], nil
}

// order is a sort order.
type order struct {
	property   string
	descending bool
}

// orders are those that matter: not by a property that is equal in all results, not
// behind the key.
func (pl *plan) orders(q *pb.Query) (os []order) {
	for _, o := range q.Order {
		name := o.GetProperty().GetName()
		if len(pl.where.equal[name]) > 0 {
			continue
		}
		os = append(os, order{name, o.Direction == pb.PropertyOrder_DESCENDING})
		if name == keyProperty {
			break
		}
	}
	return os
}

// choose finds the index of a query, or says why there is none.
func (pl *plan) choose(projected string, orders []order) error {
	w := pl.where
	by := projected
	if w.ranged != "" {
		if by != "" && by != w.ranged {
			return needsIndex("a projection of one property and inequalities of another")
		}
		by = w.ranged
	}
	if n := len(orders); n > 0 && orders[n-1] == (order{property: keyProperty}) && (n == 1 && by == "" || n > 1 && !orders[0].descending) {
		orders = orders[:n-1] // as it is anyway
	}
	if len(orders) > 0 {
		switch first := orders[0]; {
		case len(orders) > 1:
			return needsIndex("several sort orders")
		case first.property == keyProperty:
			return needsIndex("keys in descending order")
		case by != "" && by != first.property:
			return needsIndex("an order by one property and an inequality or projection of another")
		default:
			by, pl.descending = first.property, first.descending
		}
	}
	if pl.kind == "" && (by != "" || len(w.equal) > 0) {
		return invalid("kind is required for all filters and orders except those of __key__, ascending")
	}
	if by == "" {
		return pl.byKey()
	}
	if len(w.equal) > 0 || w.keys != (bounds{}) {
		return needsIndex("an inequality, order or projection of one property and filters of others, the key or an ancestor")
	}
	pl.repeats = pl.kindOf == pb.EntityResult_PROJECTION
	pl.index = indexName{pl.partition, pl.kind, by}
	pl.from, pl.to = position{encoded: w.values.from}, position{encoded: w.values.to}
	if w.values.to == "" {
		pl.to.encoded = end("")
	}
	return nil
}

// byKey answers a query in the order of keys: from the entries of an equal value, or
// from an index of keys.
func (pl *plan) byKey() error {
	w := pl.where
	pl.index = indexName{partition: pl.partition, kind: pl.kind}
	encoded := ""
	if len(w.equal) > 0 { // one is as good as another, but the same each time
		pl.index.property = slices.Min(slices.Collect(maps.Keys(w.equal)))
		encoded = w.equal[pl.index.property][0]
	}
	pl.from = position{encoded, w.keys.from}
	if pl.to = (position{encoded, w.keys.to}); w.keys.to == "" {
		pl.to.path = end("")
	}
	return nil
}

// run yields the results of a query in a snapshot, from its start cursor to its end.
func (pl *plan) run(st *store, snapshot int64) (iter.Seq[*entry], error) {
	from, to := pl.from, pl.to
	for _, c := range []struct {
		cursor []byte
		begins bool
	}{{pl.start, true}, {pl.end, false}} {
		if len(c.cursor) == 0 {
			continue
		}
		p, err := pl.position(c.cursor)
		if err != nil {
			return nil, err
		}
		after := position{p.encoded, beyond(p.path)}
		switch { // a cursor is behind a result
		case c.begins && !pl.descending && after.compare(from) > 0:
			from = after
		case c.begins && pl.descending && p.compare(to) < 0:
			to = p
		case !c.begins && !pl.descending && after.compare(to) < 0:
			to = after
		case !c.begins && pl.descending && p.compare(from) > 0:
			from = p
		}
	}
	return pl.matches(st.index(pl.index).scan(from, to, pl.descending, snapshot), snapshot), nil
}

// matches yields the entries that a query's other filters admit, an entity once unless
// it repeats.
func (pl *plan) matches(entries iter.Seq[*entry], snapshot int64) iter.Seq[*entry] {
	return func(yield func(*entry) bool) {
		seen := map[*node]bool{}
		for e := range entries {
			if !pl.repeats && seen[e.node] || !pl.where.admits(e.node.key, e.node.at(snapshot)) {
				continue
			}
			seen[e.node] = true
			if !yield(e) {
				return
			}
		}
	}
}

// same tells whether a query has the results now that it had in a snapshot.
func (pl *plan) same(st *store, snapshot int64) bool {
	type result struct {
		entry   *entry
		version int64
	}
	at := func(snapshot int64) (rs []result) {
		entries, err := pl.run(st, snapshot)
		if err != nil {
			return nil
		}
		for e := range entries {
			rs = append(rs, result{e, e.node.at(snapshot).version})
		}
		return rs
	}
	return slices.Equal(at(snapshot), at(latest))
}
