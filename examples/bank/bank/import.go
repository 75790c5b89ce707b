package bank

import (
	"context"
	"errors"
	"io"
	"iter"

	"github.com/rollforward/rollforward/eventlog"
)

// Imported counts what an import did.
type Imported struct {
	Recorded int // transactions that are new
	Present  int // transactions that were there already
	Postings int // of the new ones
}

// Import records the transactions of a journal (see ReadJournal) up to the first
// one that is refused. What comes before that one is in the log, of it and what
// follows nothing is; when the file is mended, the same import goes on there.
// Importing the same file again changes nothing.
//
// progress, if not nil, is called with what is durable so far.
func Import(ctx context.Context, log *eventlog.Log, file string, r io.Reader, progress func(Imported)) (Imported, error) {
	var total Imported
	for batch, err := range batches(ReadJournal(file, r)) {
		if err != nil {
			return total, err
		}
		done, err := recordAll(ctx, log, batch)
		total.add(done)
		if progress != nil {
			progress(total)
		}
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

// recordAll records transactions in order, as many at once as fit.
func recordAll(ctx context.Context, log *eventlog.Log, batch []*Transaction) (total Imported, err error) {
	for len(batch) > 0 && err == nil {
		var done Imported
		done, err = recordSome(ctx, log, batch)
		total.add(done)
		batch = batch[done.Recorded+done.Present:]
	}
	return total, err
}

// recordSome records transactions from the front of the batch in one Update: many
// of them share one durable write, whatever shards their accounts lie in, and
// their order is that of the file. Each runs in a savepoint of its own, so the
// one that is refused takes nothing from those before it.
func recordSome(ctx context.Context, log *eventlog.Log, batch []*Transaction) (Imported, error) {
	var done Imported
	var refused error
	streams := make([]string, len(batch))
	for i, t := range batch {
		streams[i] = t.stream()
	}
	if err := Transactions.Prefetch(ctx, log, streams...); err != nil && !permanent(err) {
		return Imported{}, batch[0].located(err)
	}
	_, err := log.Update(ctx, func(tx *eventlog.Tx) error {
		done, refused = Imported{}, nil // the function may run again
		for i, t := range batch {
			var recorded bool
			err := tx.Savepoint(func() (err error) {
				recorded, err = Record(tx, t)
				return err
			})
			switch {
			case i > 0 && errors.Is(err, eventlog.ErrTooLarge):
				return nil // perhaps only together with what came before it
			case err != nil && permanent(err):
				refused = err
				return nil // commit what came before it
			case err != nil:
				return err
			}
			done.count(t, recorded)
		}
		return nil
	})
	if errors.Is(err, eventlog.ErrTooLarge) && len(batch) > 1 {
		return recordSome(ctx, log, batch[:len(batch)/2])
	}
	if err != nil {
		return Imported{}, batch[0].located(err)
	}
	return done, refused
}

// permanent reports whether a transaction is refused for what it is.
func permanent(err error) bool {
	return Refused(err) || errors.Is(err, eventlog.ErrIDReused) ||
		errors.Is(err, eventlog.ErrName) || errors.Is(err, eventlog.ErrTooLarge)
}

func (i *Imported) count(t *Transaction, recorded bool) {
	if !recorded {
		i.Present++
		return
	}
	i.Recorded++
	i.Postings += len(t.Postings)
}

func (i *Imported) add(j Imported) {
	i.Recorded += j.Recorded
	i.Present += j.Present
	i.Postings += j.Postings
}

// Bounds of a batch: enough to make the durable write cheap, far below the
// limits of an Update.
const (
	batchTransactions = 64
	batchPostings     = 512
	batchBytes        = 64 << 10
)

// batches groups transactions. An error that ends the journal comes behind the
// last of them.
func batches(journal iter.Seq2[*Transaction, error]) iter.Seq2[[]*Transaction, error] {
	return func(yield func([]*Transaction, error) bool) {
		var batch []*Transaction
		var failure error
		postings, bytes := 0, 0
		for t, err := range journal {
			if err != nil {
				failure = err
				break
			}
			batch = append(batch, t)
			postings += len(t.Postings)
			bytes += t.size()
			if len(batch) < batchTransactions && postings < batchPostings && bytes < batchBytes {
				continue
			}
			if !yield(batch, nil) {
				return
			}
			batch, postings, bytes = nil, 0, 0
		}
		if len(batch) > 0 && !yield(batch, nil) {
			return
		}
		if failure != nil {
			yield(nil, failure)
		}
	}
}
