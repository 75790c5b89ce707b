package dsfake

import (
	"context"

	pb "cloud.google.com/go/datastore/apiv1/datastorepb"
	"google.golang.org/protobuf/proto"
)

// service is the API in front of a server: each call under the server's mutex.
type service struct {
	pb.UnimplementedDatastoreServer
	s *Server
}

func (v *service) Lookup(_ context.Context, req *pb.LookupRequest) (*pb.LookupResponse, error) {
	v.s.mu.Lock()
	defer v.s.mu.Unlock()
	return v.s.lookup(req)
}

func (v *service) RunQuery(_ context.Context, req *pb.RunQueryRequest) (*pb.RunQueryResponse, error) {
	v.s.mu.Lock()
	defer v.s.mu.Unlock()
	return v.s.query(req)
}

func (v *service) RunAggregationQuery(_ context.Context, req *pb.RunAggregationQueryRequest) (*pb.RunAggregationQueryResponse, error) {
	v.s.mu.Lock()
	defer v.s.mu.Unlock()
	return v.s.aggregate(req)
}

func (v *service) BeginTransaction(_ context.Context, req *pb.BeginTransactionRequest) (*pb.BeginTransactionResponse, error) {
	d, err := openDatabase(req.ProjectId, req.DatabaseId)
	if err != nil {
		return nil, err
	}
	v.s.mu.Lock()
	defer v.s.mu.Unlock()
	t, err := v.s.begin(d, req.TransactionOptions)
	if err != nil {
		return nil, err
	}
	return &pb.BeginTransactionResponse{Transaction: t.name()}, nil
}

func (v *service) Commit(ctx context.Context, req *pb.CommitRequest) (*pb.CommitResponse, error) {
	v.s.mu.Lock()
	defer v.s.mu.Unlock()
	return v.s.commit(ctx, req)
}

func (v *service) Rollback(_ context.Context, req *pb.RollbackRequest) (*pb.RollbackResponse, error) {
	d, err := openDatabase(req.ProjectId, req.DatabaseId)
	if err != nil {
		return nil, err
	}
	v.s.mu.Lock()
	defer v.s.mu.Unlock()
	t, err := v.s.find(d, req.Transaction)
	if err != nil {
		return nil, err
	}
	v.s.end(t)
	return &pb.RollbackResponse{}, nil
}

func (v *service) AllocateIds(_ context.Context, req *pb.AllocateIdsRequest) (*pb.AllocateIdsResponse, error) {
	d, err := openDatabase(req.ProjectId, req.DatabaseId)
	if err != nil {
		return nil, err
	}
	if len(req.Keys) > maxAllocated {
		return nil, invalid("cannot allocate more than %d ids in a single call", maxAllocated)
	}
	v.s.mu.Lock()
	defer v.s.mu.Unlock()
	res := &pb.AllocateIdsResponse{}
	for _, k := range req.Keys {
		encoded, complete, err := d.key(k)
		if err == nil && complete {
			err = invalid("Key path element must not be complete: [%s]", describe(k))
		}
		if err != nil {
			return nil, err
		}
		k = proto.CloneOf(k)
		k.PartitionId = encoded.partition.id()
		k.Path[len(k.Path)-1].IdType = &pb.Key_PathElement_Id{Id: v.s.store.allocate()}
		res.Keys = append(res.Keys, k)
	}
	v.s.counts.add(Counts{SmallOperations: int64(len(res.Keys))})
	return res, nil
}

func (v *service) ReserveIds(_ context.Context, req *pb.ReserveIdsRequest) (*pb.ReserveIdsResponse, error) {
	d, err := openDatabase(req.ProjectId, req.DatabaseId)
	if err != nil {
		return nil, err
	}
	v.s.mu.Lock()
	defer v.s.mu.Unlock()
	for _, k := range req.Keys {
		if _, err := d.completeKey(k); err != nil {
			return nil, err
		}
		v.s.store.taken[k.Path[len(k.Path)-1].GetId()] = true
	}
	return &pb.ReserveIdsResponse{}, nil
}
