package eventlog

import (
	"fmt"
	"strconv"
	"time"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// relaxedJSON is the member relaxed of a record. The id of the append is the one
// that the event's begins with. An append that is not folded yet has no commit.
type relaxedJSON struct {
	Seen   driver.Revision `json:"seen"`
	Time   time.Time       `json:"time"`
	Commit ID              `json:"commit"` // that folded it
	Cell   string          `json:"cell"`   // of which it is the first of the commit
}

func (r *Record) appendRelaxed(b []byte) []byte {
	b = append(b, `{"seen":`...)
	b = strconv.AppendUint(b, uint64(r.Relaxed.Seen), 10)
	b = appendMember(b, ',', "time", r.Relaxed.Time.UTC().Format(time.RFC3339Nano))
	if r.fold != nil {
		b = appendMember(b, ',', "commit", r.fold.commit.String())
		if !r.fold.cell.id.IsZero() {
			b = appendMember(b, ',', "cell", r.fold.cell.String())
		}
	}
	return append(b, '}')
}

// into completes a record with what was read.
func (in *relaxedJSON) into(r *Record) (err error) {
	if in == nil {
		return nil
	}
	r.Relaxed = &Relaxed{ID: r.Commit(), Seen: in.Seen, Time: in.Time}
	if _, err := nanoseconds(in.Time); err != nil {
		return fmt.Errorf("relaxed: %w", err)
	}
	if in.Commit.IsZero() {
		return nil
	}
	if tx, n := in.Commit.commit(); tx.IsZero() || n >= 0 {
		return fmt.Errorf("relaxed: id %q is not that of a commit", in.Commit)
	}
	r.fold = &folded{commit: in.Commit}
	if in.Cell == "" {
		return nil
	}
	if r.fold.cell, err = parseLooseName(in.Cell); err == nil && (r.fold.cell.seen != in.Seen || r.fold.cell.id.IsZero()) {
		err = fmt.Errorf("%w that saw revision %d", errLooseName, in.Seen)
	}
	if err != nil {
		return fmt.Errorf("relaxed: cell %.100q: %w", in.Cell, err)
	}
	return nil
}

// part is the relaxed append that a record of an export belongs to; nil: none.
func (r *Record) part() (*relaxed, error) {
	if r.Relaxed == nil {
		return nil, nil
	}
	if r.fold == nil {
		return nil, fmt.Errorf("relaxed: it has no commit: it was not folded when it was read")
	}
	return &relaxed{id: r.Commit(), seen: r.Relaxed.Seen, time: r.Relaxed.Time.UnixNano(), cell: r.fold.cell}, nil
}
