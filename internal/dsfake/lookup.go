package dsfake

import (
	pb "cloud.google.com/go/datastore/apiv1/datastorepb"
	"google.golang.org/protobuf/proto"
)

// lookup is called with the server's mutex held.
func (s *Server) lookup(req *pb.LookupRequest) (*pb.LookupResponse, error) {
	d, err := openDatabase(req.ProjectId, req.DatabaseId)
	if err != nil {
		return nil, err
	}
	if len(req.Keys) > maxLookup {
		return nil, invalid("cannot get more than %d keys in a single call", maxLookup)
	}
	if req.PropertyMask != nil {
		return nil, unimplemented("a property mask")
	}
	keys := make([]key, len(req.Keys))
	for i, k := range req.Keys {
		if keys[i], err = d.completeKey(k); err != nil {
			return nil, err
		}
	}
	r, err := s.reader(d, req.ReadOptions)
	if err != nil {
		return nil, err
	}
	res := &pb.LookupResponse{Transaction: r.begun, ReadTime: timestamp(s.versionOf(r))}
	seen, size := map[key]bool{}, 0
	for i, k := range keys {
		if seen[k] {
			continue
		}
		seen[k] = true
		if size > maxAnswer {
			res.Deferred = append(res.Deferred, req.Keys[i])
			continue
		}
		size += s.look(r, k, req.Keys[i], res)
	}
	s.counts.add(Counts{EntityReads: int64(len(res.Found) + len(res.Missing))})
	return res, nil
}

// look reads one key into the answer and returns how large it was.
func (s *Server) look(r reader, k key, asked *pb.Key, res *pb.LookupResponse) (size int) {
	switch {
	case r.tx == nil:
	case s.locking(r.tx):
		s.lock(r.tx, resource{key: k})
	default:
		r.tx.reads[k] = true
	}
	st := s.store.nodes[k].at(r.snapshot)
	if st.entity == nil {
		asked = proto.CloneOf(asked)
		asked.PartitionId = k.partition.id()
		res.Missing = append(res.Missing, &pb.EntityResult{Entity: &pb.Entity{Key: asked}, Version: s.versionOf(r)})
		return 0
	}
	res.Found = append(res.Found, st.result())
	return proto.Size(st.entity)
}
