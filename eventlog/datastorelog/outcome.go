package datastorelog

import (
	"context"
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/internal/dserr"
)

// What the answer of a Commit says of the Write. A Commit is sent once; where
// somebody on the way repeats it all the same, the mark of a block tells whose it
// is.
//
//	OK                                    done
//	AlreadyExists                         a place or a cell was taken: look whose it is, else refuse or try again
//	Aborted                               a conflict, nothing was written: look, refuse or try again
//	InvalidArgument, of a transaction     it had ended, or was refused; with blocks: look, and if ours is not there
//	                                      nothing was written; without blocks: unknown
//	InvalidArgument, else; NotFound,      refused, nothing was written: the error
//	FailedPrecondition, OutOfRange,
//	PermissionDenied, Unauthenticated,
//	ResourceExhausted, Unimplemented
//	anything else, not sent               nothing was written: the error, or ctx's
//	anything else, sent                   unknown (Unavailable, DeadlineExceeded, Canceled, Internal, Unknown …)
//
// Everything before a Commit (Lookup, RunQuery, BeginTransaction) writes nothing.
type outcome uint8

const (
	done    outcome = iota
	taken           // a place or a cell is taken: nothing was written, if not by ourselves
	clash           // a conflict: nothing was written
	over            // the transaction had ended
	refused         // nothing was written
	unknown
)

// outcomeOf classes the answer of a Commit.
func outcomeOf(err error, transaction, wasSent bool) outcome {
	switch code := status.Code(err); {
	case err == nil:
		return done
	case dserr.Conflict(err):
		return clash
	case code == codes.AlreadyExists:
		return taken
	case code == codes.InvalidArgument && transaction:
		return over
	case !wasSent, definite(code):
		return refused
	}
	return unknown
}

func definite(code codes.Code) bool {
	switch code {
	case codes.InvalidArgument, codes.NotFound, codes.FailedPrecondition, codes.OutOfRange, codes.PermissionDenied,
		codes.Unauthenticated, codes.ResourceExhausted, codes.Unimplemented:
		return true
	}
	return false
}

// refusedFor reports that the service refused a Commit for what is in it. Of the
// log's own part that is not to be expected.
func refusedFor(err error) bool {
	switch status.Code(err) {
	case codes.InvalidArgument, codes.NotFound, codes.FailedPrecondition, codes.OutOfRange:
		return !expired(err)
	}
	return false
}

// expired tells a transaction that had ended from one that the service refuses.
func expired(err error) bool {
	return status.Code(err) == codes.InvalidArgument && strings.Contains(strings.ToLower(status.Convert(err).Message()), "transaction")
}

func exists(err error) bool { return status.Code(err) == codes.AlreadyExists }

// inDoubt is the answer to a Write whose outcome is not known.
func inDoubt(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w: %w", driver.ErrUnknown, ctx.Err(), unreachable(err))
	}
	return fmt.Errorf("%w: %w", driver.ErrUnknown, unreachable(err))
}

// unreachable says in clear words what gRPC says of a service that does not
// answer.
func unreachable(err error) error {
	switch status.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded:
		return fmt.Errorf("the service does not answer: %w", err)
	}
	return err
}

// tooLarge reports that an answer was larger than the connection takes.
func tooLarge(err error) bool { return status.Code(err) == codes.ResourceExhausted }
