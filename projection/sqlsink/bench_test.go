package sqlsink_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
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

// BenchmarkRebuild reads a log into an SQLite file through a projection, and
// compares, in the same run, with what SQLite can do: the same rows inserted
// into the same kind of file with one prepared statement, in transactions of
// 1,000, with nothing read or decoded meanwhile.
func BenchmarkRebuild(b *testing.B) {
	const n = 100_000
	l := fill(b, n)
	list := decode(b, l)
	var ours, raw time.Duration
	for b.Loop() {
		raw += insertRows(b, list)
		ours += project(b, l)
	}
	b.ReportMetric(float64(n*b.N)/ours.Seconds(), "events/s")
	b.ReportMetric(float64(n*b.N)/raw.Seconds(), "raw-inserts/s")
	b.ReportMetric(raw.Seconds()/ours.Seconds(), "ratio")
}

func project(b *testing.B, l *eventlog.Log) time.Duration {
	sink, err := sqlsink.OpenSQLite(b.Context(), filepath.Join(b.TempDir(), "ours.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer sink.Close()
	r := &sqlsink.Runner{Log: l, Sink: sink, Projections: []sqlsink.Projection{postings}}
	begin := time.Now()
	if err := r.CatchUp(b.Context()); err != nil {
		b.Fatal(err)
	}
	return time.Since(begin)
}

type row struct {
	stream  string
	version uint64
	Posted
}

// decode returns the log's rows in the order in which a projection meets them.
func decode(b *testing.B, l *eventlog.Log) (list []row) {
	for shard := range l.Shards() {
		for r, err := range l.Read(b.Context(), eventlog.Query{Shards: []int{shard}}) {
			next := row{stream: r.Stream, version: r.Version}
			if err == nil {
				err = r.Decode(&next.Posted)
			}
			if err != nil {
				b.Fatal(err)
			}
			list = append(list, next)
		}
	}
	return list
}

func insertRows(b *testing.B, list []row) time.Duration {
	db, err := sql.Open("sqlite", filepath.Join(b.TempDir(), "raw.db")+"?_journal_mode=WAL&_synchronous=NORMAL&_txlock=immediate")
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	begin := time.Now()
	if err := inTransaction(db, postings.Reset); err != nil {
		b.Fatal(err)
	}
	for chunk := range slices.Chunk(list, 1000) {
		err := inTransaction(db, func(tx *sql.Tx) error {
			insert, err := tx.Prepare(insertPosting)
			for _, r := range chunk {
				if err == nil {
					_, err = insert.Exec(r.stream, r.version, r.Date, r.Description, r.Amount)
				}
			}
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	return time.Since(begin)
}

func inTransaction(db *sql.DB, fn func(tx *sql.Tx) error) error {
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := fn(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// BenchmarkReadYourWrites appends an event and waits until the read model has
// it, one after another: the latency of the whole way without the log's own
// disk.
func BenchmarkReadYourWrites(b *testing.B) {
	l := fill(b, 0)
	sink, err := sqlsink.OpenSQLite(b.Context(), filepath.Join(b.TempDir(), "ours.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer sink.Close()
	r := &sqlsink.Runner{Log: l, Sink: sink, Projections: []sqlsink.Projection{postings}}
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	for b.Loop() {
		p, err := l.Append(ctx, "account/0001", nil, Posted{"2026-11-22", "groceries and other things", 1})
		if err == nil {
			err = r.WaitFor(ctx, p)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	cancel()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}
