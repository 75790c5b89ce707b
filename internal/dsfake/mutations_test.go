package dsfake_test

import (
	"fmt"

	pb "cloud.google.com/go/datastore/apiv1/datastorepb"
)

var mutations = []promise{
	{name: "an insert is refused where there is an entity, and nothing is retried",
		run: func(r *rig) string {
			return steps(r.commit(nil, insert(entity(x("a"), "n", num(1)))), r.commit(nil, insert(entity(x("a"), "n", num(2)))), r.get(nil, x("a")))
		}, want: "ok, AlreadyExists, 1"},
	{name: "an update is refused where there is none; a delete is not",
		run: func(r *rig) string {
			return steps(r.commit(nil, update(entity(x("a")))), r.commit(nil, remove(x("a"))))
		},
		want: "NotFound, ok"},
	{name: "a commit outside of a transaction is not atomic: it ends at the first mutation that fails",
		run: func(r *rig) string {
			return steps(r.commit(nil, set("a", 1)),
				r.commit(nil, insert(entity(x("b"), "n", num(2))), insert(entity(x("a"))), insert(entity(x("c"), "n", num(3)))), r.get(nil, x("a"), x("b"), x("c")))
		}, want: "ok, AlreadyExists, 1 2 -"},
	{name: "a commit outside of a transaction names an entity once",
		run: func(r *rig) string { return r.commit(nil, set("a", 1), set("a", 2)) }, want: "InvalidArgument"},
	{name: "a transaction is atomic, and stays open after a mutation that cannot be",
		run: func(r *rig) string {
			tx := r.begin()
			return steps(r.commit(nil, set("a", 1)), r.commit(tx, set("b", 2), insert(entity(x("a")))), r.get(nil, x("a"), x("b")), r.commit(tx, set("b", 3)))
		}, want: "ok, AlreadyExists, 1 -, ok",
		except: map[string]difference{"C": {"ok, AlreadyExists, 1 -, InvalidArgument", "it ends the transaction"}}},
	{name: "mutations of one entity in a transaction are applied in order, where that makes sense",
		run: func(r *rig) string {
			s := r.commit(nil, set("old", 1))
			for i, m := range [][]*pb.Mutation{
				{insert(entity(x("1"))), insert(entity(x("1")))},
				{upsert(entity(x("2"))), insert(entity(x("2")))},
				{remove(x("3")), update(entity(x("3")))},
				{update(entity(x("old"))), insert(entity(x("old")))},
				{set("5", 1), set("5", 5)},
				{insert(entity(x("6"))), update(entity(x("6"), "n", num(6)))},
				{insert(entity(x("7"))), remove(x("7"))},
				{remove(x("8")), insert(entity(x("8"), "n", num(8)))},
			} {
				s = steps(s, r.commit(r.begin(), m...), r.get(nil, x(fmt.Sprint(i+1))))
			}
			return s
		}, want: "ok, InvalidArgument, -, InvalidArgument, -, InvalidArgument, -, InvalidArgument, -, ok, 5, ok, 6, ok, -, ok, 8",
		except: map[string]difference{"B": {"ok, AlreadyExists, -, AlreadyExists, -, NotFound, -, AlreadyExists, -, ok, 5, ok, 6, ok, -, ok, 8", "it looks at the entities only"}}},
	{name: "an incomplete key gets an id, which is told",
		run: func(r *rig) string {
			res, err := r.api.Commit(r.ctx(), &pb.CommitRequest{ProjectId: r.project, Mode: pb.CommitRequest_NON_TRANSACTIONAL,
				Mutations: []*pb.Mutation{insert(entity(key("X", "?"), "n", num(7))), set("named", 1)}})
			if err != nil {
				return code(err)
			}
			k := res.MutationResults[0].Key
			return fmt.Sprint(k.Path[0].GetId() != 0, res.MutationResults[1].Key == nil, r.get(nil, k) == "7")
		}, want: "true true true"},
	{name: "versions rise; a write that changes nothing keeps the version",
		run: func(r *rig) string {
			version := func(m *pb.Mutation) int64 {
				res, err := r.api.Commit(r.ctx(), &pb.CommitRequest{ProjectId: r.project, Mode: pb.CommitRequest_NON_TRANSACTIONAL, Mutations: []*pb.Mutation{m}})
				if err != nil {
					r.t.Fatal(err)
				}
				return res.MutationResults[0].Version
			}
			v1, v2, v3, v4 := version(set("a", 1)), version(set("a", 2)), version(set("a", 2)), version(set("a", 3))
			return fmt.Sprint(v1 < v2, v2 == v3, v3 < v4)
		}, want: "true true true"},
	{name: "keys must be complete, named and not reserved",
		run: func(r *rig) string {
			return steps(r.commit(nil, remove(key("X", "?"))), r.get(nil, key("X", "?")), r.commit(nil, upsert(entity(key("X", "")))),
				r.commit(nil, upsert(entity(key("__X__", "a")))), r.commit(nil, upsert(entity(key("X", "__a__")))),
				r.commit(nil, upsert(entity(x("a"), "__p__", num(1)))), r.commit(nil, upsert(entity(x("a"), "", num(1)))))
		}, want: "InvalidArgument, InvalidArgument, InvalidArgument, InvalidArgument, InvalidArgument, InvalidArgument, InvalidArgument"},
	{name: "namespaces and databases are apart, and other projects refused",
		run: func(r *rig) string {
			at := func(project, database, namespace string) string {
				k := x("a")
				k.PartitionId = &pb.PartitionId{ProjectId: project, DatabaseId: database, NamespaceId: namespace}
				_, err := r.api.Commit(r.ctx(), &pb.CommitRequest{ProjectId: r.project, DatabaseId: database, Mode: pb.CommitRequest_NON_TRANSACTIONAL,
					Mutations: []*pb.Mutation{insert(entity(k))}})
				return code(err)
			}
			return steps(at(r.project, "", ""), at(r.project, "", "ns"), at(r.project, "db", ""), at(r.project, "db", "ns"), at(r.project, "db", "ns"), at("other", "", ""))
		}, want: "ok, ok, ok, ok, AlreadyExists, InvalidArgument"},
	{name: "ids are allocated for incomplete keys only, each once, and may be reserved",
		run: func(r *rig) string {
			res, err := r.api.AllocateIds(r.ctx(), &pb.AllocateIdsRequest{ProjectId: r.project, Keys: []*pb.Key{key("X", "?"), key("X", "?")}})
			if err != nil {
				return code(err)
			}
			_, err = r.api.AllocateIds(r.ctx(), &pb.AllocateIdsRequest{ProjectId: r.project, Keys: []*pb.Key{x("a")}})
			_, reserve := r.api.ReserveIds(r.ctx(), &pb.ReserveIdsRequest{ProjectId: r.project, Keys: res.Keys})
			return steps(fmt.Sprint(res.Keys[0].Path[0].GetId() != res.Keys[1].Path[0].GetId()), code(err), code(reserve))
		}, want: "true, InvalidArgument, ok"},
}
