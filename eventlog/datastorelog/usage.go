package datastorelog

import (
	pb "cloud.google.com/go/datastore/apiv1/datastorepb"
)

// usage reckons what a call that succeeded costs.
func usage(req, reply any) Usage {
	switch req := req.(type) {
	case *pb.LookupRequest:
		r := reply.(*pb.LookupResponse)
		return Usage{Reads: len(r.Found) + len(r.Missing)}
	case *pb.RunQueryRequest:
		n := len(reply.(*pb.RunQueryResponse).GetBatch().GetEntityResults())
		if len(req.GetQuery().GetProjection()) > 0 {
			return Usage{Reads: 1, Small: n}
		}
		return Usage{Reads: max(1, n)}
	case *pb.CommitRequest:
		var u Usage
		for _, m := range req.Mutations {
			u = u.Add(mutationUsage(m))
		}
		return u
	}
	return Usage{}
}

func mutationUsage(m *pb.Mutation) Usage {
	var e *pb.Entity
	switch op := m.Operation.(type) {
	case *pb.Mutation_Delete:
		return Usage{Deletes: 1}
	case *pb.Mutation_Insert:
		e = op.Insert
	case *pb.Mutation_Update:
		e = op.Update
	case *pb.Mutation_Upsert:
		e = op.Upsert
	}
	u := Usage{Writes: 1}
	for _, v := range e.GetProperties() {
		u.IndexEntries += 2 * indexed(v)
	}
	return u
}

func indexed(v *pb.Value) int {
	list := v.GetArrayValue()
	switch {
	case list != nil:
		n := 0
		for _, v := range list.Values {
			n += indexed(v)
		}
		return n
	case v.ExcludeFromIndexes:
		return 0
	}
	return 1
}
