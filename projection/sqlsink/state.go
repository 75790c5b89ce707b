package sqlsink

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/projection"
)

// State returns what the database holds of a projection.
func (s *Sink) State(ctx context.Context, name string) (projection.State, error) {
	state, err := s.state(ctx, name)
	if err == nil {
		state.Stop, err = s.stop(ctx, name)
	}
	if err != nil {
		return projection.State{}, fmt.Errorf("sqlsink: state of %s: %w", name, err)
	}
	return state, nil
}

// state reads version and checkpoints in one statement, hence at one moment.
func (s *Sink) state(ctx context.Context, name string) (projection.State, error) {
	var out projection.State
	rows, err := s.read.QueryContext(ctx, `
		select c.version, c.shard, c.revision, c.handled, c.skipped, c.last_revision, c.last_commit, c.last_time
		from rollforward_projection p
		join rollforward_checkpoint c on c.projection = p.projection and c.version = p.version
		where p.projection = $1
		order by c.shard`, name)
	if err != nil {
		return out, err
	}
	defer rows.Close()
	for rows.Next() {
		var c projection.Checkpoint
		var commit string
		var nanos int64
		err := rows.Scan(&out.Version, &c.Shard, &c.Revision, &c.Handled, &c.Skipped, &c.Last.Revision, &commit, &nanos)
		if err != nil {
			return out, err
		}
		if c.Last.Revision > 0 {
			c.Last.Time = time.Unix(0, nanos).UTC()
			if c.Last.Commit, err = eventlog.ParseID(commit); err != nil {
				return out, fmt.Errorf("shard %d: %w", c.Shard, err)
			}
		}
		out.Checkpoints = append(out.Checkpoints, c)
	}
	return out, rows.Err()
}

// Apply runs fn and moves the checkpoints in one transaction. The checkpoints
// come first: where they refuse, fn does not run, and on a database with several
// writers their rows are locked until the end.
func (s *Sink) Apply(ctx context.Context, b projection.Batch, fn func(tx *sql.Tx) error) error {
	err := s.update(ctx, func(tx *sql.Tx) error {
		for _, m := range b.Moves {
			if err := move(tx, b, m); err != nil {
				return err
			}
		}
		return fn(tx)
	})
	if err != nil {
		return fmt.Errorf("sqlsink: apply to %s: %w", b.Name, err)
	}
	return nil
}

func move(tx *sql.Tx, b projection.Batch, m projection.Move) error {
	to, commit, nanos := m.To, "", int64(0)
	if to.Last.Revision > 0 {
		commit, nanos = to.Last.Commit.String(), to.Last.Time.UnixNano()
	}
	res, err := tx.Exec(`
		update rollforward_checkpoint
		set revision = $1, handled = $2, skipped = $3, last_revision = $4, last_commit = $5, last_time = $6
		where projection = $7 and version = $8 and shard = $9 and revision = $10`,
		to.Revision, to.Handled, to.Skipped, to.Last.Revision, commit, nanos,
		b.Name, b.Version, to.Shard, m.From.Revision)
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err != nil {
		return err
	}
	if n != 1 {
		return fmt.Errorf("%w: version %d shard %d is not at revision %d", projection.ErrMoved, b.Version, to.Shard, m.From.Revision)
	}
	return nil
}

// Reset runs fn and sets the checkpoints to zero in one transaction.
func (s *Sink) Reset(ctx context.Context, r projection.Reset, fn func(tx *sql.Tx) error) error {
	err := s.update(ctx, func(tx *sql.Tx) error {
		if err := hold(tx, r); err != nil {
			return err
		}
		for _, table := range []string{"rollforward_checkpoint", "rollforward_stop"} {
			if _, err := tx.Exec(`delete from `+table+` where projection = $1`, r.Name); err != nil {
				return err
			}
		}
		for shard := range r.Shards {
			_, err := tx.Exec(`insert into rollforward_checkpoint (projection, version, shard) values ($1, $2, $3)`,
				r.Name, r.Version, shard)
			if err != nil {
				return err
			}
		}
		return fn(tx)
	})
	if err != nil {
		return fmt.Errorf("sqlsink: reset %s: %w", r.Name, err)
	}
	return nil
}

// hold takes the projection's row from version r.Held to r.Version.
func hold(tx *sql.Tx, r projection.Reset) error {
	var res sql.Result
	var err error
	if r.Held == 0 {
		res, err = tx.Exec(`insert into rollforward_projection (projection, version) values ($1, $2) on conflict do nothing`,
			r.Name, r.Version)
	} else {
		res, err = tx.Exec(`update rollforward_projection set version = $1 where projection = $2 and version = $3`,
			r.Version, r.Name, r.Held)
	}
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err == nil && n != 1 {
		err = fmt.Errorf("%w: the sink does not hold version %d", projection.ErrMoved, r.Held)
	}
	return err
}
