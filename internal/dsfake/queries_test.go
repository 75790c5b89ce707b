package dsfake_test

import (
	"fmt"
	"strings"

	pb "cloud.google.com/go/datastore/apiv1/datastorepb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const (
	eq  = pb.PropertyFilter_EQUAL
	gt  = pb.PropertyFilter_GREATER_THAN
	ge  = pb.PropertyFilter_GREATER_THAN_OR_EQUAL
	lt  = pb.PropertyFilter_LESS_THAN
	le  = pb.PropertyFilter_LESS_THAN_OR_EQUAL
	anc = pb.PropertyFilter_HAS_ANCESTOR
)

func where(property string, op pb.PropertyFilter_Operator, v *pb.Value) *pb.Filter {
	return &pb.Filter{FilterType: &pb.Filter_PropertyFilter{PropertyFilter: &pb.PropertyFilter{
		Property: &pb.PropertyReference{Name: property}, Op: op, Value: v}}}
}

// ask is a query. By are sort orders, descending with a -, and projections with a =.
func ask(kind string, by string, filters ...*pb.Filter) *pb.Query {
	q := &pb.Query{}
	if kind != "" {
		q.Kind = []*pb.KindExpression{{Name: kind}}
	}
	switch len(filters) {
	case 0:
	case 1:
		q.Filter = filters[0]
	default:
		q.Filter = &pb.Filter{FilterType: &pb.Filter_CompositeFilter{CompositeFilter: &pb.CompositeFilter{Op: pb.CompositeFilter_AND, Filters: filters}}}
	}
	for _, o := range strings.Fields(by) {
		name := strings.TrimLeft(o, "-=")
		ref := &pb.PropertyReference{Name: name}
		switch o[0] {
		case '=':
			q.Projection = append(q.Projection, &pb.Projection{Property: ref})
		case '-':
			q.Order = append(q.Order, &pb.PropertyOrder{Property: ref, Direction: pb.PropertyOrder_DESCENDING})
		default:
			q.Order = append(q.Order, &pb.PropertyOrder{Property: ref, Direction: pb.PropertyOrder_ASCENDING})
		}
	}
	return q
}

func page(q *pb.Query, offset, limit int) *pb.Query {
	q.Offset = int32(offset)
	if limit >= 0 {
		q.Limit = wrapperspb.Int32(int32(limit))
	}
	return q
}

// letters are a, b, c, d, e with n = 0 0 1 1 2, a list m and the same g; below a there
// are a/s of another kind and a/s/z of the same kind.
func (r *rig) letters() {
	r.t.Helper()
	var m []*pb.Mutation
	for i, l := range strings.Split("a b c d e", " ") {
		m = append(m, upsert(entity(key("L", l), "n", num(i/2), "m", list(str("x"+l), str("y"+l), str("z")), "g", str("g"), "hidden", unindexed(num(1)))))
	}
	m = append(m, upsert(entity(key("L", "a", "S", "s"), "n", num(5))), upsert(entity(key("L", "a", "S", "s", "L", "z"), "n", num(9))), upsert(entity(key("O", "o"), "n", num(1))))
	if s := r.commit(nil, m...); s != "ok" {
		r.t.Fatal(s)
	}
}

// asked runs queries over the letters.
func asked(queries func(r *rig) []*pb.Query) func(r *rig) string {
	return func(r *rig) string {
		r.letters()
		var got []string
		for _, q := range queries(r) {
			got = append(got, r.query(nil, q))
		}
		return strings.Join(got, ", ")
	}
}

const composite = "FailedPrecondition"

// noIndexes is how C differs wherever an index is missing.
func noIndexes(want string) map[string]difference {
	return map[string]difference{"C": {want, "it does not ask for indexes"}}
}

var queries = []promise{
	{name: "a kind comes in the order of keys, children behind their parents",
		run: asked(func(r *rig) []*pb.Query {
			return []*pb.Query{ask("L", ""), ask("L", "__key__"), ask("S", ""), ask("none", "")}
		}),
		want: "a a/s/z b c d e, a a/s/z b c d e, a/s, "},
	{name: "one property sorts and bounds in either direction",
		run: asked(func(r *rig) []*pb.Query {
			return []*pb.Query{ask("L", "n"), ask("L", "", where("n", ge, num(1))), ask("L", "n", where("n", gt, num(1)), where("n", lt, num(9))),
				ask("L", "n __key__", where("n", le, num(0))), page(ask("L", "-n"), 0, 2), page(ask("L", "-n", where("n", lt, num(9))), 0, 1)}
		}),
		want: "a b c d e a/s/z, c d e a/s/z, e, a b, a/s/z e, e"},
	{name: "equal values of a descending order come in descending order of keys",
		run:  asked(func(r *rig) []*pb.Query { return []*pb.Query{ask("L", "-n")} }),
		want: "a/s/z e d c b a", except: map[string]difference{"B": {"a/s/z e c d a b", "it has keys in ascending order always"}}},
	{name: "equal values of several properties are merged, with keys and ancestors too",
		run: asked(func(r *rig) []*pb.Query {
			return []*pb.Query{ask("L", "", where("n", eq, num(1))), ask("L", "__key__", where("n", eq, num(1)), where("g", eq, str("g"))),
				ask("L", "", where("g", eq, str("g")), where("__key__", gt, r.ref("L", "b"))), ask("L", "n", where("n", eq, num(1))),
				ask("L", "", where("m", eq, str("z")), where("m", eq, str("xb"))), ask("L", "", where("hidden", eq, num(1))),
				ask("S", "", where("__key__", anc, r.ref("L", "a")), where("n", eq, num(5)))}
		}),
		want: "c d, c d, c d e, c d, b, , a/s"},
	{name: "keys are bounded, and ancestors include themselves, of a kind or of all",
		run: asked(func(r *rig) []*pb.Query {
			return []*pb.Query{ask("L", "", where("__key__", ge, r.ref("L", "b")), where("__key__", lt, r.ref("L", "d"))),
				ask("L", "", where("__key__", gt, r.ref("L", "a")), where("__key__", le, r.ref("L", "b"))), ask("L", "", where("__key__", eq, r.ref("L", "b"))),
				ask("L", "", where("__key__", anc, r.ref("L", "a"))), ask("", "", where("__key__", anc, r.ref("L", "a"))),
				ask("", "", where("__key__", gt, r.ref("L", "d"))), ask("", "__key__")}
		}),
		want: "b c, a/s/z b, b, a a/s/z, a a/s a/s/z, e o, a a/s a/s/z b c d e o"},
	{name: "what needs a composite index is refused",
		run: asked(func(r *rig) []*pb.Query {
			return []*pb.Query{ask("L", "-__key__"), ask("L", "-__key__", where("__key__", ge, r.ref("L", "b"))), ask("L", "", where("g", eq, str("g")), where("n", gt, num(0))),
				ask("L", "n", where("g", eq, str("g"))), ask("L", "-__key__", where("g", eq, str("g"))), ask("L", "n -__key__"), ask("L", "n g"),
				ask("L", "-n -__key__"), ask("S", "", where("__key__", anc, r.ref("L", "a")), where("n", gt, num(4))), ask("S", "n", where("__key__", anc, r.ref("L", "a"))),
				ask("L", "", where("m", eq, str("z")), where("m", gt, str("yd"))), ask("L", "=n", where("m", eq, str("z"))), ask("L", "=n =g"), ask("L", "=n g")}
		}),
		want: strings.TrimSuffix(strings.Repeat(composite+", ", 14), ", "),
		except: noIndexes("e d c b a/s/z a, e d c b, c d e, a b c d e, e d c b a, b a d c e a/s/z, a b c d e, " +
			"a/s/z e d c b a, a/s, a/s, e a b c d e, a=0 b=0 c=1 d=1 e=2, a=g=0 b=g=0 c=g=1 d=g=1 e=g=2, a=0 b=0 c=1 d=1 e=2")},
	{name: "inequalities of two properties need a composite index",
		run: asked(func(r *rig) []*pb.Query {
			return []*pb.Query{ask("L", "", where("n", gt, num(0)), where("g", gt, str("a"))), ask("L", "g", where("n", gt, num(0))),
				ask("L", "", where("n", gt, num(0)), where("__key__", gt, r.ref("L", "c"))), ask("L", "__key__", where("n", gt, num(0)))}
		}),
		want: composite + ", " + composite + ", " + composite + ", " + composite,
		except: map[string]difference{
			"B": {"InvalidArgument, InvalidArgument, InvalidArgument, InvalidArgument", "it is older than such queries"},
			"C": {"c d e, c d e, d e, a/s/z c d e", "it does not ask for indexes"}}},
	{name: "queries that make no sense are refused",
		run: asked(func(r *rig) []*pb.Query {
			return []*pb.Query{ask("", "", where("n", eq, num(1))), ask("", "n"), ask("L", "", where("__key__", gt, str("b"))),
				ask("L", "", where("n", anc, r.ref("L", "a"))), ask("L", "=m", where("m", eq, str("z")))}
		}),
		want: "InvalidArgument, InvalidArgument, InvalidArgument, InvalidArgument, InvalidArgument"},
	{name: "a projection has a result for each value within its bounds",
		run: asked(func(r *rig) []*pb.Query {
			return []*pb.Query{ask("L", "=m", where("m", ge, str("x")), where("m", lt, str("y"))), page(ask("L", "=m -m", where("m", ge, str("x")), where("m", lt, str("y"))), 0, 2),
				page(ask("L", "=m m"), 4, 3), ask("L", "=n", where("n", gt, num(1))), ask("L", "=hidden"), page(ask("L", "=m -m", where("m", ge, str("yc")), where("m", lt, str("yd"))), 0, 1)}
		}),
		want: "a=xa b=xb c=xc d=xd e=xe, e=xe d=xd, (4) e=xe a=ya b=yb, e=2 a/s/z=9, , c=yc"},
	{name: "without a projection an entity comes once, at its first value",
		run: asked(func(r *rig) []*pb.Query {
			return []*pb.Query{ask("L", "", where("m", ge, str("xd"))), ask("L", "-m", where("m", lt, str("ya")))}
		}),
		want:   "d e a b c, e d c b a",
		except: map[string]difference{"C": {"d e a b c d e a b c d e, e d c b a", "it repeats an entity for each value"}}},
	{name: "a keys-only query has no properties",
		run: func(r *rig) string {
			r.letters()
			res, err := r.run(nil, ask("L", "=__key__", where("n", gt, num(0))))
			if err != nil {
				return code(err)
			}
			return fmt.Sprint(results(res), " ", res.Batch.EntityResultType, len(res.Batch.EntityResults[0].Entity.Properties))
		}, want: "c d e a/s/z KEY_ONLY 0"},
	{name: "offset and limit",
		run: asked(func(r *rig) []*pb.Query {
			return []*pb.Query{page(ask("L", ""), 0, 2), page(ask("L", ""), 1, 2), page(ask("L", ""), 9, -1), page(ask("L", ""), 0, 0), page(ask("L", ""), 2, 0), page(ask("L", ""), 0, 6)}
		}),
		want: "a a/s/z, (1) a/s/z b, (6), , (2), a a/s/z b c d e"},
	{name: "cursors go on behind a result, and stop there, in either direction",
		run: func(r *rig) string {
			r.letters()
			var got []string
			for _, by := range []string{"=m m", "=m -m", "n", "-n", ""} {
				first, err := r.run(nil, page(ask("L", by), 0, 2))
				if err != nil {
					return code(err)
				}
				next, until := page(ask("L", by), 0, 2), ask("L", by)
				next.StartCursor, until.EndCursor = first.Batch.EndCursor, first.Batch.EndCursor
				got = append(got, results(first)+" | "+r.query(nil, next)+" | "+fmt.Sprint(r.query(nil, until) == results(first)))
			}
			return strings.Join(got, ", ")
		},
		want:   "a=xa b=xb | c=xc d=xd | true, e=z d=z | c=z b=z | true, a b | c d | true, a/s/z e | d c | true, a a/s/z | b c | true",
		except: map[string]difference{"B": {"a=xa b=xb | c=xc d=xd | true, a=z b=z | c=z d=z | true, a b | c d | true, a/s/z e | c d | true, a a/s/z | b c | true", "it has keys in ascending order always"}}},
	{name: "a cursor of nothing is refused",
		run: func(r *rig) string {
			q := ask("L", "")
			q.StartCursor = []byte("junk")
			return r.query(nil, q)
		}, want: "InvalidArgument"},
	{name: "values of different types have an order",
		run: func(r *rig) string {
			v := func(t *pb.Value) *pb.Value { return t }
			for name, value := range map[string]*pb.Value{
				"null": {ValueType: &pb.Value_NullValue{}}, "int": num(1), "minus": num(-1), "double": {ValueType: &pb.Value_DoubleValue{DoubleValue: 0.5}},
				"less": {ValueType: &pb.Value_DoubleValue{DoubleValue: -0.5}}, "str": str("s"), "blob": {ValueType: &pb.Value_BlobValue{BlobValue: []byte("a")}},
				"bool": {ValueType: &pb.Value_BooleanValue{BooleanValue: true}}, "key": r.ref("A", "b"), "long": str("s\x00"), "longer": str("s\x00\x01"), "umlaut": str("ü"),
			} {
				if s := r.commit(nil, upsert(entity(key("T", name), "v", v(value)))); s != "ok" {
					return s
				}
			}
			return steps(r.query(nil, ask("T", "v")), r.query(nil, ask("T", "", where("v", ge, num(0)), where("v", lt, str("s\x00")))), r.query(nil, ask("T", "", where("v", eq, str("s\x00")))))
		}, want: "null minus int bool blob str long longer umlaut less double key, int bool blob str, long"},
	{name: "a query continues over several answers",
		run: func(r *rig) string {
			for from := 0; from < 1000; from += 250 {
				var m []*pb.Mutation
				for i := range 250 {
					m = append(m, upsert(entity(key("M", fmt.Sprintf("%04d", from+i)), "n", num(i))))
				}
				if s := r.commit(nil, m...); s != "ok" {
					return s
				}
			}
			last, n := "", 0
			for q := page(ask("M", ""), 100, 800); ; {
				res, err := r.run(nil, q)
				if err != nil {
					return code(err)
				}
				for _, e := range res.Batch.EntityResults {
					if p := path(e.Entity.Key); p <= last {
						return p + " behind " + last
					} else {
						last, n = p, n+1
					}
				}
				if res.Batch.MoreResults != pb.QueryResultBatch_NOT_FINISHED {
					return fmt.Sprint(n, " ", last)
				}
				q.StartCursor = res.Batch.EndCursor
				q.Offset -= res.Batch.SkippedResults
				q.Limit.Value -= int32(len(res.Batch.EntityResults))
			}
		}, want: "800 0899"},
	{name: "a query counts",
		run: func(r *rig) string {
			r.letters()
			res, err := r.api.RunAggregationQuery(r.ctx(), &pb.RunAggregationQueryRequest{ProjectId: r.project, QueryType: &pb.RunAggregationQueryRequest_AggregationQuery{
				AggregationQuery: &pb.AggregationQuery{QueryType: &pb.AggregationQuery_NestedQuery{NestedQuery: ask("L", "", where("n", gt, num(0)))},
					Aggregations: []*pb.AggregationQuery_Aggregation{{Alias: "c", Operator: &pb.AggregationQuery_Aggregation_Count_{Count: &pb.AggregationQuery_Aggregation_Count{}}}}}}})
			if err != nil {
				return code(err)
			}
			return fmt.Sprint(res.Batch.AggregationResults[0].AggregateProperties["c"].GetIntegerValue())
		}, want: "4", except: map[string]difference{"B": {"Unimplemented", "it has no aggregation"}}},
}
