package dserr_test

import (
	"errors"
	"fmt"
	"testing"

	"cloud.google.com/go/datastore"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/rollforward/rollforward/internal/dserr"
)

func TestConflict(t *testing.T) {
	t.Parallel()
	aborted := status.Error(codes.Aborted, "too much contention")
	for _, err := range []error{aborted, fmt.Errorf("get: %w", aborted), datastore.ErrConcurrentTransaction, fmt.Errorf("commit: %w", datastore.ErrConcurrentTransaction)} {
		if !dserr.Conflict(err) {
			t.Errorf("%v is a conflict", err)
		}
	}
	for _, err := range []error{nil, errors.New("Aborted"), status.Error(codes.Unavailable, "away"), datastore.ErrNoSuchEntity} {
		if dserr.Conflict(err) {
			t.Errorf("%v is no conflict", err)
		}
	}
}

func TestIgnoreMissing(t *testing.T) {
	t.Parallel()
	away := status.Error(codes.Unavailable, "away")
	gone := fmt.Errorf("key: %w", datastore.ErrNoSuchEntity)
	for _, c := range []struct{ err, want error }{
		{nil, nil},
		{away, away},
		{datastore.MultiError{nil, datastore.ErrNoSuchEntity, gone}, nil},
		{fmt.Errorf("get: %w", datastore.MultiError{datastore.ErrNoSuchEntity}), nil},
		{datastore.MultiError{nil, datastore.ErrNoSuchEntity, away}, away},
		{datastore.ErrNoSuchEntity, datastore.ErrNoSuchEntity}, // of Get: the caller asks for one
	} {
		if got := dserr.IgnoreMissing(c.err); got != c.want {
			t.Errorf("%v: %v, want %v", c.err, got, c.want)
		}
	}
}
