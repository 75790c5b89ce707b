package dsdoctor

import (
	"context"
	"time"

	pb "cloud.google.com/go/datastore/apiv1/datastorepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/rollforward/rollforward/internal/doctor"
	"github.com/rollforward/rollforward/internal/jitter"
)

// permissions tries what a log does: write, query, delete.
func (x *examination) permissions(ctx context.Context) bool {
	for _, try := range []struct {
		what string
		do   func() error
	}{
		{"write", func() error { return x.commit(ctx, patience, nil, x.put(0)) }},
		{"query", func() error { return x.query(ctx) }},
		{"delete", func() error { return x.commit(ctx, patience, nil, x.remove()) }},
	} {
		if err := try.do(); err != nil {
			x.report.Add("permissions", doctor.Bad, x.advice(err), "cannot %s: %s", try.what, said(err))
			return false
		}
	}
	x.report.Add("permissions", doctor.Good, "", "these credentials can read, write, query and delete")
	return true
}

func (x *examination) query(ctx context.Context) error {
	ctx, cancel := x.call(ctx, patience)
	defer cancel()
	_, err := x.api.RunQuery(ctx, &pb.RunQueryRequest{ProjectId: x.Project, DatabaseId: x.ID, PartitionId: x.key.PartitionId,
		QueryType: &pb.RunQueryRequest_Query{Query: &pb.Query{Kind: []*pb.KindExpression{{Name: x.key.Path[0].Kind}}}}})
	return err
}

// impatience is how long a write waits that is expected to find a lock.
const impatience = 700 * time.Millisecond

// concurrency lets a transaction read an entity and somebody else write it: an optimistic
// database takes the write and aborts the transaction, a pessimistic one lets the write
// wait. A database that does neither loses updates.
func (x *examination) concurrency(ctx context.Context) {
	const check = "concurrency"
	tx, err := x.begin(ctx)
	if err == nil {
		_, err = x.lookup(ctx, tx)
	}
	if err != nil {
		x.report.Add(check, doctor.Bad, x.advice(err), "a transaction: %s", said(err))
		return
	}
	outside := x.commit(ctx, impatience, nil, x.put(1))
	switch inside := x.finish(ctx, tx, outside); {
	case outside == nil && status.Code(inside) == codes.Aborted:
		x.report.Add(check, doctor.Good, "", "optimistic: a transaction is aborted when what it has read was changed")
	case status.Code(outside) == codes.DeadlineExceeded && inside == nil:
		x.report.Add(check, doctor.Good, "", "pessimistic: a write waits for the transactions that have read what it changes")
	case outside == nil && inside == nil:
		x.report.Add(check, doctor.Bad, "do not use this server", "a transaction took no notice that what it had read was changed")
	case outside != nil:
		x.report.Add(check, doctor.Unknown, x.advice(outside), "a write beside a transaction: %s", said(outside))
	default:
		x.report.Add(check, doctor.Unknown, x.advice(inside), "the commit of a transaction: %s", said(inside))
	}
	x.clean(ctx, outside != nil)
}

func (x *examination) begin(ctx context.Context) ([]byte, error) {
	ctx, cancel := x.call(ctx, patience)
	defer cancel()
	res, err := x.api.BeginTransaction(ctx, &pb.BeginTransactionRequest{ProjectId: x.Project, DatabaseId: x.ID})
	return res.GetTransaction(), err
}

// finish commits the transaction, or lets go of what it has locked when a write waits.
func (x *examination) finish(ctx context.Context, tx []byte, outside error) error {
	if outside == nil {
		return x.commit(ctx, patience, tx, x.put(2))
	}
	ctx, cancel := x.call(context.WithoutCancel(ctx), patience)
	defer cancel()
	_, err := x.api.Rollback(ctx, &pb.RollbackRequest{ProjectId: x.Project, DatabaseId: x.ID, Transaction: tx})
	return err
}

// clean deletes the scratch entity, also when a write is still on its way to it: a
// server may apply what its caller has given up.
func (x *examination) clean(ctx context.Context, late bool) {
	for end := time.Now().Add(2 * time.Second); late && time.Now().Before(end) && ctx.Err() == nil; {
		res, err := x.lookup(ctx, nil)
		late = err == nil && len(res.Found) == 0
		if late {
			jitter.Pause(ctx, 50*time.Millisecond)
		}
	}
	if err := x.commit(context.WithoutCancel(ctx), patience, nil, x.remove()); err != nil {
		x.report.Add("clean up", doctor.Warning, "delete the entities of kind RollforwardDoctor", "%s", said(err))
	}
}
