package dsfake_test

import (
	"fmt"
	"strings"

	pb "cloud.google.com/go/datastore/apiv1/datastorepb"
)

// over tries a size that is allowed and the next one.
func over(n int, try func(n int) string) string { return steps(try(n), try(n+1)) }

func of(n int) string { return strings.Repeat("x", n) }

var limits = []promise{
	{name: "names of keys and kinds have 1,500 bytes",
		run: func(r *rig) string {
			return steps(over(1500, func(n int) string { return r.commit(nil, upsert(entity(x(of(n))))) }),
				over(1500, func(n int) string { return r.commit(nil, upsert(entity(key(of(n), "a")))) }),
				over(1500, func(n int) string { return r.get(nil, x(of(n))) }))
		}, want: "ok, InvalidArgument, ok, InvalidArgument, 0, InvalidArgument"},
	{name: "indexed strings and names of properties have 1,500 bytes",
		run: func(r *rig) string {
			return steps(over(1500, func(n int) string { return r.commit(nil, upsert(entity(x("a"), "s", str(of(n))))) }),
				over(1500, func(n int) string { return r.commit(nil, upsert(entity(x("a"), "s", list(str("b"), str(of(n)))))) }),
				over(1500, func(n int) string { return r.commit(nil, upsert(entity(x("a"), "s", unindexed(str(of(n)))))) }),
				over(1500, func(n int) string { return r.commit(nil, upsert(entity(x("a"), of(n), num(1)))) }))
		}, want: "ok, InvalidArgument, ok, InvalidArgument, ok, ok, ok, InvalidArgument"},
	{name: "a property that is not indexed has 1 MiB less 89 bytes",
		run: func(r *rig) string {
			return over(1<<20-89, func(n int) string { return r.commit(nil, upsert(entity(x("a"), "s", unindexed(str(of(n)))))) })
		}, want: "ok, InvalidArgument",
		except: map[string]difference{"B": {"ok, ok", "it has no such limit"}}},
	{name: "an entity has 1 MiB less 4 bytes",
		run: func(r *rig) string {
			half := func(n int) *pb.Value { return unindexed(str(of(n))) }
			return steps(r.commit(nil, upsert(entity(x("a"), "s", half(500_000), "t", half(500_000)))),
				r.commit(nil, upsert(entity(x("a"), "s", half(600_000), "t", half(600_000)))))
		}, want: "ok, InvalidArgument",
		except: map[string]difference{"B": {"ok, ok", "it has no such limit"}}},
	{name: "an entity has 20,000 indexed values",
		run: func(r *rig) string {
			many := func(n int) string {
				var v []*pb.Value
				for i := range n {
					v = append(v, num(i))
				}
				return r.commit(nil, upsert(entity(x("a"), "s", list(v...))))
			}
			return steps(many(5000), many(20_000), many(20_001))
		}, want: "ok, ok, InvalidArgument",
		except: map[string]difference{
			"B": {"ok, ok, ok", "it has no such limit"},
			"C": {"ok, InvalidArgument, InvalidArgument", "it counts each value more than once: 5,000 are well within"}}},
	{name: "a lookup has 1,000 keys",
		run: func(r *rig) string {
			return over(1000, func(n int) string {
				var keys []*pb.Key
				for i := range n {
					keys = append(keys, x(fmt.Sprint(i)))
				}
				_, err := r.api.Lookup(r.ctx(), &pb.LookupRequest{ProjectId: r.project, Keys: keys})
				return code(err)
			})
		}, want: "ok, InvalidArgument",
		except: map[string]difference{"B": {"ok, ok", "it has no such limit"}, "C": {"ok, ok", "it has no such limit"}}},
	{name: "a commit has 10 MiB",
		run: func(r *rig) string {
			mega := func(n int) string {
				var m []*pb.Mutation
				for i := range n {
					m = append(m, upsert(entity(x(fmt.Sprint(i)), "s", unindexed(str(of(1_000_000))))))
				}
				return r.commit(nil, m...)
			}
			return steps(mega(3), mega(10), mega(11))
		}, want: "ok, ok, InvalidArgument",
		except: map[string]difference{
			"B": {"ok, Canceled, Canceled", "it breaks the stream of a request that is larger than about 4 MB"},
			"C": {"ok, ResourceExhausted, ResourceExhausted", "its server takes 4 MiB"}}},
}
