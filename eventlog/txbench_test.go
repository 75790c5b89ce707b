package eventlog_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/internal/sys"
)

// BenchmarkSavepoints: a transaction as a batch of steps makes it, of 128
// savepoints with three events each.
func BenchmarkSavepoints(b *testing.B) {
	for name, f := range map[string]func(tx *eventlog.Tx, n int) error{
		"append": appendStep,
		"load": func(tx *eventlog.Tx, n int) error {
			if _, err := account.Load(tx, "account/1"); err != nil {
				return err
			}
			return appendStep(tx, n)
		},
		"rows": func(tx *eventlog.Tx, n int) error {
			return join(notes.Put(tx, fmt.Sprint(n), "x"), appendStep(tx, n))
		},
		"streams": func(tx *eventlog.Tx, n int) error {
			return join(tx.Append(fmt.Sprint("{account}/", n), Posted{1}), appendStep(tx, n))
		},
	} {
		b.Run(name, func(b *testing.B) {
			l := benchLog(b)
			b.ReportAllocs()
			for b.Loop() {
				update(b, l, func(tx *eventlog.Tx) error {
					for n := range 128 {
						if err := tx.Savepoint(func() error { return f(tx, n) }); err != nil {
							return err
						}
					}
					return nil
				})
			}
		})
	}
}

// benchLog is a log that is not checked in the end, which would count.
func benchLog(b *testing.B) *eventlog.Log {
	l, err := eventlog.Open(b.Context(), memlog.Open(), &eventlog.Options{Shards: 1})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := l.Close(); err != nil {
			b.Error(err)
		}
	})
	return l
}

// appendStep appends an effect, a next step, and that this one is done.
func appendStep(tx *eventlog.Tx, n int) error {
	id := tx.NextID().String()
	return join(
		tx.Append("account/1", Posted{int64(n)}),
		tx.Append("$steps/0", sys.Event{Type: "$step.enqueued", Data: benchPayload[:120]}),
		tx.Append("$outcomes/0", sys.Event{Type: "$step.done", Data: []byte("{}"), Tags: []string{"$step/" + id}}),
	)
}

// BenchmarkYoungTags: that nothing has a tag that is younger than what the window
// knows, as a condition.
func BenchmarkYoungTags(b *testing.B) {
	born := time.Now().Add(time.Hour)
	tags := make([]string, 128)
	for i := range tags {
		tags[i] = fmt.Sprint("$step/0190a2f2-6038-758e-ac7c-", i)
	}
	l := benchLog(b)
	b.ReportAllocs()
	for b.Loop() {
		update(b, l, func(tx *eventlog.Tx) error {
			for _, tag := range tags {
				for _, err := range tx.Read(eventlog.Query{Tag: tag, Shards: []int{0}, Born: born}) {
					return join(err, errNo)
				}
			}
			return nil
		})
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(tags)), "ns/tag")
}
