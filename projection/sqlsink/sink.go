package sqlsink

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/rollforward/rollforward/projection"
)

// The parts of package projection for this sink's transaction.
type (
	Projection = projection.Projection[*sql.Tx]
	Handlers   = projection.Handlers[*sql.Tx]
	Runner     = projection.Runner[*sql.Tx]
)

// A Sink keeps read models in an SQL database. It is a
// projection.Sink[*sql.Tx].
type Sink struct {
	write *sql.DB
	read  *sql.DB
	own   bool // Close closes the databases
}

var _ projection.Sink[*sql.Tx] = (*Sink)(nil)

// New returns a sink in db and creates its tables where they are missing. db
// stays the caller's. Handlers of different shards run in as many transactions
// side by side as db allows; those of one shard of a projection never.
//
// ErrFormat: the tables were made by a newer version of this package.
func New(ctx context.Context, db *sql.DB) (*Sink, error) {
	s := &Sink{write: db, read: db}
	if err := s.create(ctx); err != nil {
		return nil, fmt.Errorf("sqlsink: %w", err)
	}
	return s, nil
}

// DB returns the database for queries. That of OpenSQLite refuses to write.
func (s *Sink) DB() *sql.DB { return s.read }

// Close releases what OpenSQLite opened. A database given to New stays open.
func (s *Sink) Close() error {
	if !s.own {
		return nil
	}
	if err := errors.Join(s.read.Close(), s.write.Close()); err != nil {
		return fmt.Errorf("sqlsink: close: %w", err)
	}
	return nil
}

// Schema returns a Projection.Reset that runs the statements, in order: first
// those that drop what there may be, then those that create.
func Schema(statements ...string) func(tx *sql.Tx) error {
	return func(tx *sql.Tx) error {
		for _, s := range statements {
			if _, err := tx.Exec(s); err != nil {
				return fmt.Errorf("%.60q: %w", s, err)
			}
		}
		return nil
	}
}

// update runs fn in a transaction.
func (s *Sink) update(ctx context.Context, fn func(tx *sql.Tx) error) error {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // after a commit it does nothing
	if err := fn(tx); err != nil {
		return err
	}
	return tx.Commit()
}
