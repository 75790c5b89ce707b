package dsfake

import (
	"context"
	"runtime"

	pb "cloud.google.com/go/datastore/apiv1/datastorepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// commit is called with the server's mutex held.
func (s *Server) commit(ctx context.Context, req *pb.CommitRequest) (*pb.CommitResponse, error) {
	d, err := openDatabase(req.ProjectId, req.DatabaseId)
	if err != nil {
		return nil, err
	}
	writes, err := s.writes(d, req)
	if err != nil {
		return nil, err
	}
	t, err := s.committing(d, req)
	if err != nil {
		return nil, err
	}
	if t == nil {
		return s.apart(ctx, writes)
	}
	res, err := s.together(t, writes)
	if req.GetSingleUseTransaction() != nil {
		s.end(t)
	}
	return res, err
}

// writes checks the mutations of a commit.
func (s *Server) writes(d database, req *pb.CommitRequest) (writes []write, err error) {
	writes = make([]write, len(req.Mutations))
	for i, m := range req.Mutations {
		if writes[i], err = s.write(d, m); err != nil {
			return nil, err
		}
	}
	return writes, sequence(writes, req.Mode != pb.CommitRequest_NON_TRANSACTIONAL)
}

// committing returns the transaction of a commit, nil if it is none.
func (s *Server) committing(d database, req *pb.CommitRequest) (*tx, error) {
	if req.Mode == pb.CommitRequest_NON_TRANSACTIONAL {
		if req.TransactionSelector != nil {
			return nil, invalid("A non-transactional commit cannot specify a transaction.")
		}
		return nil, nil
	}
	switch sel := req.TransactionSelector.(type) {
	case *pb.CommitRequest_Transaction:
		return s.usable(d, sel.Transaction)
	case *pb.CommitRequest_SingleUseTransaction:
		return s.begin(d, sel.SingleUseTransaction)
	}
	return nil, invalid("transactional commit requires a transaction")
}

// apart applies the mutations of a commit outside of a transaction one after the other;
// others see those that are there already. It ends at the first that fails.
func (s *Server) apart(ctx context.Context, writes []write) (*pb.CommitResponse, error) {
	res := &pb.CommitResponse{}
	for i, w := range writes {
		if i > 0 {
			s.mu.Unlock()
			runtime.Gosched()
			err := s.between(ctx, i)
			s.mu.Lock()
			if err != nil {
				return nil, err
			}
		}
		if err := s.await(nil, writes[i:i+1]); err != nil {
			return nil, err
		}
		if err := w.allowed(s.store.nodes[w.key].at(latest).entity != nil); err != nil {
			return nil, err
		}
		s.apply(writes[i:i+1], s.store.next(), res)
	}
	return res, nil
}

// together applies the mutations of a transaction at once, or none of them.
func (s *Server) together(t *tx, writes []write) (*pb.CommitResponse, error) {
	if t.readOnly && len(writes) > 0 {
		return nil, invalid("Cannot modify entities in a read-only transaction.")
	}
	if err := s.await(t, writes); err != nil {
		s.abort(t)
		return nil, err
	}
	if t.aborted || s.txs.open[t.id] != t { // while it waited
		return nil, invalid("The referenced transaction has expired or is no longer valid.")
	}
	if len(writes) > 0 && !s.locking(t) && s.outdated(t) {
		s.abort(t)
		return nil, status.Error(codes.Aborted, "too much contention on these datastore entities. please try again.")
	}
	exists := map[key]bool{}
	for _, w := range writes {
		there, again := exists[w.key]
		if !again {
			there = s.store.nodes[w.key].at(latest).entity != nil
		}
		if err := w.allowed(there); err != nil {
			return nil, err // it stays open
		}
		exists[w.key] = w.op != remove
	}
	s.end(t)
	version := s.store.next()
	res := &pb.CommitResponse{CommitTime: timestamp(version)}
	s.apply(writes, version, res)
	return res, nil
}

// outdated tells whether what a transaction read is no longer so.
func (s *Server) outdated(t *tx) bool {
	for k := range t.reads {
		if s.store.nodes[k].at(latest).version > t.snapshot {
			return true
		}
	}
	for _, p := range t.queries {
		if !p.same(&s.store, t.snapshot) {
			return true
		}
	}
	return false
}

// apply writes and adds to the answer.
func (s *Server) apply(writes []write, version int64, res *pb.CommitResponse) {
	var c Counts
	oldest := s.oldest()
	for _, w := range writes {
		changes := s.put(w, version, oldest)
		res.IndexUpdates += int32(changes)
		c.IndexEntries += changes
		if w.op == remove {
			c.EntityDeletes++
		} else {
			c.EntityWrites++
		}
		result := &pb.MutationResult{Version: version}
		if w.entity != nil {
			st := s.store.nodes[w.key].at(latest)
			result.Version, result.CreateTime, result.UpdateTime = st.version, timestamp(st.created), timestamp(st.version)
		}
		if w.minted {
			result.Key = w.entity.Key
		}
		res.MutationResults = append(res.MutationResults, result)
	}
	s.counts.add(c)
}

// put writes one entity unless it is what is there already.
func (s *Server) put(w write, version, oldest int64) (changes int64) {
	old := s.store.nodes[w.key].at(latest)
	switch {
	case w.entity == nil && old.entity == nil:
		return 0
	case w.entity != nil && old.entity != nil && proto.Equal(w.entity, old.entity):
		return 0
	}
	return s.store.set(w.key, w.entity, w.postings, version, oldest)
}
