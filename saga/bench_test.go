package saga_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/pebblelog"
	"github.com/rollforward/rollforward/outbox"
	"github.com/rollforward/rollforward/saga"
)

const (
	benchAccounts = 1000
	benchClients  = 64
)

func benchLog(b *testing.B) *eventlog.Log {
	b.Helper()
	d, err := pebblelog.Open(b.TempDir(), nil)
	if err != nil {
		b.Fatal(err)
	}
	l, err := eventlog.Open(b.Context(), d, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := l.Close(); err != nil {
			b.Error(err)
		}
	})
	_, err = l.Update(b.Context(), func(tx *eventlog.Tx) error {
		for i := range benchAccounts {
			if err := tx.Append(fmt.Sprintf("account/%d", i), Opened{}, Posted{1 << 40}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return l
}

// clients calls fn from benchClients goroutines, n times or for as long as a time, and
// returns the rate.
func clients(b *testing.B, n int, long time.Duration, fn func(i int) error) float64 {
	b.Helper()
	var next, done atomic.Int64
	var wg sync.WaitGroup
	begin := time.Now()
	for range benchClients {
		wg.Go(func() {
			for i := int(next.Add(1)); i <= n && (long == 0 || time.Since(begin) < long); i = int(next.Add(1)) {
				if err := fn(i); err != nil {
					b.Error(err)
					return
				}
				done.Add(1)
			}
		})
	}
	wg.Wait()
	return float64(done.Load()) / time.Since(begin).Seconds()
}

// transfer3 is a transfer of three steps: debit, credit, and a fee.
var transfer3 = saga.Saga[Transfer]{Name: "transfer", Version: 1, Steps: append(transfer.Steps[:2:2], saga.Step[Transfer]{
	Name: "fee",
	On:   func(t *Transfer) string { return t.From + "/fees" },
	Do:   func(tx *eventlog.Tx, t *Transfer) error { return tx.Append(t.From+"/fees", Posted{1}) },
})}

// BenchmarkTransfer runs transfers in three steps, from start to end, and compares with
// 64 clients that append one event at a time, for as long; embedded and durable, in the
// same run: events of 256 bytes on conditions, as `eventlog bench` does ("ratio"), and the
// tiny events that the transfers are made of, without ("posting-ratio"). In "waiting" each of 64 clients waits for the end of its transfer before it
// starts the next; in "streaming" they start one after the other, and all are brought to
// their end meanwhile; in "backlog" they start all, and then all are brought to their end.
func BenchmarkTransfer(b *testing.B) {
	b.Run("waiting", func(b *testing.B) {
		compare(b, func(l *eventlog.Log) float64 {
			defer runBench(b, l, outbox.Hooks{})()
			return clients(b, b.N, 0, func(i int) error {
				if err := startBench(b, l, i); err != nil {
					return err
				}
				st, err := transfer3.Await(b.Context(), l, fmt.Sprint(i))
				if err == nil && st.State != saga.Completed {
					err = fmt.Errorf("transfer %d: %v", i, st.Err)
				}
				return err
			})
		})
	})
	b.Run("streaming", func(b *testing.B) {
		compare(b, func(l *eventlog.Log) float64 {
			left, last := b.N, make(chan struct{})
			stop := runBench(b, l, outbox.Hooks{Step: func(s outbox.StepInfo) {
				if s.Type != "$saga/transfer/fee/do" || s.Outcome != outbox.StepDone {
					return
				}
				if left--; left == 0 {
					close(last)
				}
			}})
			begin := time.Now()
			clients(b, b.N, 0, func(i int) error { return startBench(b, l, i) })
			<-last
			rate := float64(b.N) / time.Since(begin).Seconds()
			stop()
			endBench(b, l)
			return rate
		})
	})
	b.Run("backlog", func(b *testing.B) {
		compare(b, func(l *eventlog.Log) float64 {
			begin := time.Now()
			clients(b, b.N, 0, func(i int) error { return startBench(b, l, i) })
			drainBench(b, l)
			rate := float64(b.N) / time.Since(begin).Seconds()
			endBench(b, l)
			return rate
		})
	})
}

func compare(b *testing.B, run func(l *eventlog.Log) float64) {
	l := benchLog(b)
	notes := newNoteBench(b, l)
	b.ResetTimer()
	transfers := run(l)
	b.StopTimer()
	long := time.Duration(float64(b.N) / transfers * float64(time.Second))
	appends := notes.append(b, long)
	postings := clients(b, math.MaxInt, long, func(i int) error {
		_, err := l.Append(b.Context(), fmt.Sprintf("account/%d", i%benchAccounts), nil, Posted{1})
		return err
	})
	b.ReportMetric(transfers, "transfers/s")
	b.ReportMetric(appends, "appends/s")
	b.ReportMetric(transfers/appends, "ratio")
	b.ReportMetric(postings, "postings/s")
	b.ReportMetric(transfers/postings, "posting-ratio")
}

// noteBench appends as `eventlog bench` does: events of 256 bytes, each to one of 10,000
// streams of which its client knows the version: that is the condition.
type noteBench struct {
	log      *eventlog.Log
	versions [benchClients][]uint64
	texts    []Note
}

type Note struct{ Text string }

func (Note) EventType() string { return "bench.note" }

func newNoteBench(b *testing.B, l *eventlog.Log) *noteBench {
	n := &noteBench{log: l, texts: make([]Note, 4096)}
	r := rand.New(rand.NewPCG(1, 2))
	for i := range n.texts {
		for len(n.texts[i].Text) < 256-len(`{"Text":""}`) {
			n.texts[i].Text += strconv.Itoa(r.IntN(1e6)) + "transfer account amount "[:6+r.IntN(18)]
		}
		n.texts[i].Text = n.texts[i].Text[:256-len(`{"Text":""}`)]
	}
	for c := range n.versions {
		n.versions[c] = make([]uint64, 10_000/benchClients)
	}
	n.append(b, 500*time.Millisecond) // the streams are there, as for the transfers the accounts are
	return n
}

func (n *noteBench) append(b *testing.B, long time.Duration) float64 {
	var client, done atomic.Int64
	begin := time.Now()
	var wg sync.WaitGroup
	for range benchClients {
		wg.Go(func() {
			c := int(client.Add(1)) - 1
			r := rand.New(rand.NewPCG(uint64(c), 3))
			for time.Since(begin) < long {
				k := r.IntN(len(n.versions[c]))
				version := &n.versions[c][k]
				_, err := n.log.Append(b.Context(), fmt.Sprintf("note/%d/%d", c, k), &eventlog.AppendOptions{Expect: eventlog.Exactly(*version)}, n.texts[r.IntN(len(n.texts))])
				if err != nil {
					b.Error(err)
					return
				}
				*version++
				done.Add(1)
			}
		})
	}
	wg.Wait()
	return float64(done.Load()) / time.Since(begin).Seconds()
}

func startBench(b *testing.B, l *eventlog.Log, i int) error {
	in := Transfer{fmt.Sprintf("account/%d", i%benchAccounts), fmt.Sprintf("account/%d", (i*7+1)%benchAccounts), 1}
	_, err := l.Update(b.Context(), func(tx *eventlog.Tx) error { return transfer3.Start(tx, fmt.Sprint(i), in) })
	return err
}

func drainBench(b *testing.B, l *eventlog.Log) {
	if err := (&outbox.Runner{Log: l, Handlers: transfer3.Handlers()}).Drain(b.Context()); err != nil {
		b.Error(err)
	}
}

// endBench checks that all transfers are at their end.
func endBench(b *testing.B, l *eventlog.Log) {
	drainBench(b, l) // what is to be told to them still
	ended := 0
	for st, err := range transfer3.Instances(b.Context(), l) {
		if err != nil || st.State != saga.Completed {
			b.Fatal(st.State, st.Err, err)
		}
		ended++
	}
	if ended != b.N {
		b.Errorf("%d of %d transfers", ended, b.N)
	}
}

func runBench(b *testing.B, l *eventlog.Log, hooks outbox.Hooks) (stop func()) {
	ctx, cancel := context.WithCancel(b.Context())
	var work sync.WaitGroup
	work.Go(func() {
		if err := (&outbox.Runner{Log: l, Handlers: transfer3.Handlers(), Hooks: hooks}).Run(ctx); err != nil {
			b.Error(err)
		}
	})
	return func() { cancel(); work.Wait() }
}
