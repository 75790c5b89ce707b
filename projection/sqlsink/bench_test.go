package sqlsink_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/projection"
	"github.com/rollforward/rollforward/projection/sqlsink"
)

type Posted struct {
	Date        string
	Description string
	Amount      int64
}

func (Posted) EventType() string { return "bank.posted" }

const insertPosting = `insert into posting values ($1, $2, $3, $4, $5)`

var postings = sqlsink.Projection{
	Name: "postings", Version: 1,
	Reset: sqlsink.Schema(`drop table if exists posting`, `create table posting (account text, version integer,
		date text not null, description text not null, cents integer not null, primary key (account, version)) without rowid`),
	Handlers: sqlsink.Handlers{projection.On(func(tx *sql.Tx, r eventlog.Record, e Posted) error {
		_, err := tx.Exec(insertPosting, r.Stream, r.Version, e.Date, e.Description, e.Amount)
		return err
	})},
}

// fill appends n events to a fresh log, of 1,000 streams.
func fill(b *testing.B, n int) *eventlog.Log {
	ctx := context.Background()
	l, err := eventlog.Open(ctx, memlog.Open(), nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	const streams, each = 1000, 10
	for i := 0; i < n; i += each {
		var events []eventlog.Event
		for j := range each {
			events = append(events, Posted{"2026-11-22", "groceries and other things", int64(i + j)})
		}
		if _, err := l.Append(ctx, fmt.Sprintf("account/%04d", i/each%streams), nil, events...); err != nil {
			b.Fatal(err)
		}
	}
	return l
}

// BenchmarkRebuild reads a log into an SQLite file, and compares with inserting
// the same rows into the same kind of file in transactions of 1,000: through the
// same sink without checkpoints, and what is left is reading and decoding.
func BenchmarkRebuild(b *testing.B) {
	const n = 100_000
	l := fill(b, n)
	ctx := context.Background()
	var ours, raw time.Duration
	for range b.N {
		sink, err := sqlsink.OpenSQLite(ctx, filepath.Join(b.TempDir(), "ours.db"))
		if err != nil {
			b.Fatal(err)
		}
		r := &sqlsink.Runner{Log: l, Sink: sink, Projections: []sqlsink.Projection{postings}}
		begin := time.Now()
		if err := r.CatchUp(ctx); err != nil {
			b.Fatal(err)
		}
		ours += time.Since(begin)
		sink.Close()

		raw += insertRows(b, l)
	}
	b.ReportMetric(float64(n*b.N)/ours.Seconds(), "events/s")
	b.ReportMetric(float64(n*b.N)/raw.Seconds(), "raw-inserts/s")
	b.ReportMetric(raw.Seconds()/ours.Seconds(), "ratio")
}

// insertRows inserts the rows of the log without a projection.
func insertRows(b *testing.B, l *eventlog.Log) time.Duration {
	type row struct {
		stream  string
		version uint64
		Posted
	}
	var rows []row
	for s := range l.Shards() { // as the projection does, so that the tree is built in the same order
		for r, err := range l.Read(context.Background(), eventlog.Query{Shards: []int{s}}) {
			if err != nil {
				b.Fatal(err)
			}
			rw := row{stream: r.Stream, version: r.Version}
			if err := r.Decode(&rw.Posted); err != nil {
				b.Fatal(err)
			}
			rows = append(rows, rw)
		}
	}
	path := filepath.Join(b.TempDir(), "raw.db")
	sink, err := sqlsink.OpenSQLite(context.Background(), path) // for the same settings
	if err != nil {
		b.Fatal(err)
	}
	sink.Close()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(WAL)&_synchronous=NORMAL&_txlock=immediate")
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	begin := time.Now()
	tx, err := db.Begin()
	if err == nil {
		err = postings.Reset(tx)
	}
	for i, rw := range rows {
		if err == nil && i%1000 == 999 {
			if err = tx.Commit(); err == nil {
				tx, err = db.Begin()
			}
		}
		if err == nil {
			_, err = tx.Exec(insertPosting, rw.stream, rw.version, rw.Date, rw.Description, rw.Amount)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	if err := tx.Commit(); err != nil {
		b.Fatal(err)
	}
	return time.Since(begin)
}
