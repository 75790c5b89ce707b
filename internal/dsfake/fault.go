package dsfake

import (
	"context"
	"path"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// Call is one request that arrived at the server.
type Call struct {
	Method  string        // Lookup, RunQuery, RunAggregationQuery, BeginTransaction, Commit, Rollback, AllocateIds, ReserveIds
	Number  int64         // 1, 2, 3 … over all methods, in the order of arrival
	Request proto.Message // *datastorepb.CommitRequest and so on; not to be changed
}

// Faults are what goes wrong. Functions are called at the same time from several
// goroutines. An error should come from package status; note that the client library
// itself repeats calls that fail with Unavailable.
//
// ctx ends when the client has given up. A function that waits for something else and
// then returns nil is a request that arrives late: it is applied although nobody waits.
type Faults struct {
	// Before is called before a call is applied; an error refuses it.
	Before func(ctx context.Context, c Call) error

	// Between is called before each mutation but the first of a commit outside of
	// a transaction, with its number 1, 2, 3 …; an error leaves it and all behind it out.
	Between func(ctx context.Context, c Call, mutation int) error

	// After is called when a call was applied; an error takes the place of the answer.
	After func(ctx context.Context, c Call) error
}

// SetFaults sets what goes wrong from now on; Faults{} is nothing.
func (s *Server) SetFaults(f Faults) { s.faults.Store(&f) }

// callKey is where a handler finds its Call.
type callKey struct{}

func (s *Server) intercept(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	c := Call{Method: path.Base(info.FullMethod), Request: req.(proto.Message)}
	c.Number = s.counts.call(c.Method)
	if size := proto.Size(c.Request); size > maxRequest {
		return nil, status.Errorf(codes.InvalidArgument, "Request payload size exceeds the limit: %d bytes, got %d.", maxRequest, size)
	}
	f := s.faults.Load()
	if f.Before != nil {
		if err := f.Before(ctx, c); err != nil {
			return nil, err
		}
	}
	res, err := handler(context.WithValue(ctx, callKey{}, c), req)
	if err == nil && f.After != nil {
		err = f.After(ctx, c)
	}
	if err != nil {
		return nil, err
	}
	return res, nil
}

// between tells whether the next mutation of a commit outside of a transaction is to
// be applied.
func (s *Server) between(ctx context.Context, mutation int) error {
	c, ok := ctx.Value(callKey{}).(Call)
	f := s.faults.Load()
	if !ok || f.Between == nil {
		return nil
	}
	return f.Between(ctx, c, mutation)
}
