// Package dserr says what errors of Datastore's client mean, for what is kept there.
package dserr

import (
	"errors"

	"cloud.google.com/go/datastore"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Conflict reports whether a transaction, or a read inside of it, gave way to another
// one. Nothing was written then.
func Conflict(err error) bool {
	return errors.Is(err, datastore.ErrConcurrentTransaction) || status.Code(err) == codes.Aborted
}

// IgnoreMissing drops from an error of GetMulti that there are no such entities, which
// leaves them as they were. It returns the first error of another kind.
func IgnoreMissing(err error) error {
	var each datastore.MultiError
	if !errors.As(err, &each) {
		return err
	}
	for _, e := range each {
		if e != nil && !errors.Is(e, datastore.ErrNoSuchEntity) {
			return e
		}
	}
	return nil
}
