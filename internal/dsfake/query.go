package dsfake

import (
	pb "cloud.google.com/go/datastore/apiv1/datastorepb"
)

// query is called with the server's mutex held.
func (s *Server) query(req *pb.RunQueryRequest) (*pb.RunQueryResponse, error) {
	switch {
	case req.GetGqlQuery() != nil:
		return nil, unimplemented("GQL")
	case req.ExplainOptions != nil:
		return nil, unimplemented("explain")
	case req.PropertyMask != nil:
		return nil, unimplemented("a property mask")
	}
	q := req.GetQuery()
	pl, r, err := s.reading(req.ProjectId, req.DatabaseId, req.PartitionId, q, req.ReadOptions)
	if err != nil {
		return nil, err
	}
	limit := int64(latest)
	if q.Limit != nil {
		limit = int64(q.Limit.Value)
	}
	batch, err := s.batch(pl, r, int64(q.Offset), limit)
	if err != nil {
		return nil, err
	}
	return &pb.RunQueryResponse{Batch: batch, Transaction: r.begun}, nil
}

// reading plans a query and enters it into its transaction.
func (s *Server) reading(project, id string, in *pb.PartitionId, q *pb.Query, o *pb.ReadOptions) (pl *plan, r reader, err error) {
	d, err := openDatabase(project, id)
	if err != nil {
		return nil, r, err
	}
	p, err := d.partition(in)
	if err != nil {
		return nil, r, err
	}
	if q == nil {
		return nil, r, invalid("A request has no query.")
	}
	if pl, err = p.plan(q); err != nil {
		return nil, r, err
	}
	if r, err = s.reader(d, o); err != nil {
		return nil, r, err
	}
	switch {
	case r.tx == nil:
	case s.locking(r.tx):
		s.lock(r.tx, resource{scan: indexName{partition: p, kind: pl.kind}})
	case !r.tx.readOnly:
		r.tx.queries = append(r.tx.queries, pl)
	}
	return pl, r, nil
}

// batch is what of a query fits into one answer.
func (s *Server) batch(pl *plan, r reader, offset, limit int64) (*pb.QueryResultBatch, error) {
	entries, err := pl.run(&s.store, r.snapshot)
	if err != nil {
		return nil, err
	}
	b := &pb.QueryResultBatch{
		EntityResultType: pl.kindOf, MoreResults: pb.QueryResultBatch_NO_MORE_RESULTS, EndCursor: pl.start,
		SnapshotVersion: s.versionOf(r), ReadTime: timestamp(s.versionOf(r)),
	}
	for e := range entries {
		if int64(b.SkippedResults) < offset {
			b.SkippedResults++
			b.EndCursor = pl.cursor(e)
			b.SkippedCursor = b.EndCursor
			continue
		}
		if b.MoreResults = full(len(b.EntityResults), limit); b.MoreResults != pb.QueryResultBatch_NO_MORE_RESULTS {
			break
		}
		b.EndCursor = pl.cursor(e)
		b.EntityResults = append(b.EntityResults, pl.result(e, r.snapshot))
	}
	if limit == 0 {
		b.MoreResults = pb.QueryResultBatch_MORE_RESULTS_AFTER_LIMIT
	}
	s.bill(pl, b)
	return b, nil
}

// full says why no further result fits in.
func full(results int, limit int64) pb.QueryResultBatch_MoreResultsType {
	switch {
	case int64(results) >= limit:
		return pb.QueryResultBatch_MORE_RESULTS_AFTER_LIMIT
	case results >= maxBatch:
		return pb.QueryResultBatch_NOT_FINISHED
	}
	return pb.QueryResultBatch_NO_MORE_RESULTS
}

// result is an entry as the query shows it.
func (pl *plan) result(e *entry, snapshot int64) *pb.EntityResult {
	st := e.node.at(snapshot)
	res := st.result()
	switch pl.kindOf {
	case pb.EntityResult_KEY_ONLY:
		res = &pb.EntityResult{Entity: &pb.Entity{Key: st.entity.Key}}
	case pb.EntityResult_PROJECTION:
		res = &pb.EntityResult{Entity: &pb.Entity{Key: st.entity.Key, Properties: map[string]*pb.Value{pl.index.property: indexed(e.value)}}}
	}
	res.Cursor = pl.cursor(e)
	return res
}

// bill counts what one answer of a query costs; that it goes on is not known here, so a
// query in several answers is billed for each.
func (s *Server) bill(pl *plan, b *pb.QueryResultBatch) {
	n := int64(len(b.EntityResults)) + int64(b.SkippedResults)
	if pl.kindOf == pb.EntityResult_FULL {
		s.counts.add(Counts{EntityReads: max(1, n)})
		return
	}
	s.counts.add(Counts{EntityReads: 1, SmallOperations: n})
}
