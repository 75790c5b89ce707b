package dsfake

import (
	pb "cloud.google.com/go/datastore/apiv1/datastorepb"
)

// aggregate counts the results of a query; it is called with the server's mutex held.
func (s *Server) aggregate(req *pb.RunAggregationQueryRequest) (*pb.RunAggregationQueryResponse, error) {
	a := req.GetAggregationQuery()
	if a == nil || req.ExplainOptions != nil {
		return nil, unimplemented("GQL or explain")
	}
	q := a.GetNestedQuery()
	pl, r, err := s.reading(req.ProjectId, req.DatabaseId, req.PartitionId, q, req.ReadOptions)
	if err != nil {
		return nil, err
	}
	entries, err := pl.run(&s.store, r.snapshot)
	if err != nil {
		return nil, err
	}
	n := -int64(q.Offset)
	for range entries {
		if q.Limit != nil && n >= int64(q.Limit.Value) {
			break
		}
		n++
	}
	n = max(n, 0)
	props := map[string]*pb.Value{}
	for _, g := range a.Aggregations {
		c := g.GetCount()
		if c == nil {
			return nil, unimplemented("an aggregation other than count")
		}
		counted := n
		if c.UpTo != nil {
			counted = min(n, c.UpTo.Value)
		}
		props[g.Alias] = &pb.Value{ValueType: &pb.Value_IntegerValue{IntegerValue: counted}}
	}
	s.counts.add(Counts{EntityReads: max(1, (n+999)/1000)})
	return &pb.RunAggregationQueryResponse{Transaction: r.begun, Batch: &pb.AggregationResultBatch{
		AggregationResults: []*pb.AggregationResult{{AggregateProperties: props}},
		MoreResults:        pb.QueryResultBatch_NO_MORE_RESULTS,
		ReadTime:           timestamp(s.versionOf(r)),
	}}, nil
}
