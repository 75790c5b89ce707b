package datastoresink

import (
	"context"
	"crypto/rand"
	"fmt"

	"cloud.google.com/go/datastore"

	"github.com/rollforward/rollforward/projection"
)

// Apply runs fn and moves the checkpoints in one transaction. The checkpoints are
// read first: where they refuse, fn does not run. A transaction that another one
// was in the way of, or whose outcome is not known, is repeated; each Apply leaves
// its own id in the checkpoints, by which it knows that it is done.
func (s *Sink) Apply(ctx context.Context, b projection.Batch, fn func(tx *Tx) error) error {
	if len(b.Moves) == 0 {
		return fmt.Errorf("datastoresink: apply to %s: a batch without moves", b.Name)
	}
	a := &application{sink: s, batch: b, id: rand.Text()}
	for _, m := range b.Moves {
		a.shards = append(a.shards, m.To.Shard)
	}
	ctx, cancel := context.WithTimeout(ctx, s.o.Timeout)
	defer cancel()
	late := s.turns.wait(ctx, b)
	err := s.transact(ctx, b.Name, a, late, fn)
	s.turns.taken(b, err)
	if err != nil {
		return fmt.Errorf("datastoresink: apply to %s: %w", b.Name, err)
	}
	return nil
}

// An application is an Apply under way.
type application struct {
	sink   *Sink
	batch  projection.Batch
	shards []int // of the moves
	id     string
}

func (a *application) begin(ctx context.Context, get lookup) (rows string, done bool, err error) {
	have, err := a.sink.checkpoints(ctx, get, a.batch.Name, a.shards)
	if err != nil {
		return "", false, err
	}
	for i, m := range a.batch.Moves {
		switch c := have[i]; {
		case c.Apply == a.id:
			return "", true, nil
		case c.Rows == "" || c.Version != a.batch.Version || c.Revision != int64(m.From.Revision):
			return "", false, &refusal{fmt.Errorf("%w: version %d shard %d is not at revision %d",
				projection.ErrMoved, a.batch.Version, m.To.Shard, m.From.Revision)}
		default:
			rows = c.Rows
		}
	}
	return rows, false, nil
}

func (a *application) finish(t *datastore.Transaction, rows string) error {
	keys, out := make([]*datastore.Key, len(a.shards)), make([]checkpoint, len(a.shards))
	for i, m := range a.batch.Moves {
		keys[i], out[i] = a.sink.checkpointKey(a.batch.Name, m.To.Shard), newCheckpoint(m.To)
		out[i].Rows, out[i].Version, out[i].Apply = rows, a.batch.Version, a.id
	}
	_, err := t.PutMulti(keys, out)
	return err
}
