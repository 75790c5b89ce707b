package saga_test

import (
	"context"
	"fmt"
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

// clients calls fn n times from benchClients goroutines and returns the rate.
func clients(b *testing.B, n int, fn func(i int) error) float64 {
	b.Helper()
	var next atomic.Int64
	var wg sync.WaitGroup
	begin := time.Now()
	for range benchClients {
		wg.Go(func() {
			for i := int(next.Add(1)); i <= n; i = int(next.Add(1)) {
				if err := fn(i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return float64(n) / time.Since(begin).Seconds()
}

// BenchmarkTransfer compares transfers from start to end with plain appends of
// the same events, 64 clients each, embedded and durable, in the same run.
func BenchmarkTransfer(b *testing.B) {
	l := benchLog(b)
	ctx, stop := context.WithCancel(b.Context())
	var work sync.WaitGroup
	work.Go(func() {
		if err := (&outbox.Runner{Log: l, Handlers: transfer.Handlers(), Targets: 64}).Run(ctx); err != nil {
			b.Error(err)
		}
	})
	b.ResetTimer()
	transfers := clients(b, b.N, func(i int) error {
		id := fmt.Sprint(i)
		in := Transfer{fmt.Sprintf("account/%d", i%benchAccounts), fmt.Sprintf("account/%d", (i*7+1)%benchAccounts), 1}
		if _, err := l.Update(ctx, func(tx *eventlog.Tx) error { return transfer.Start(tx, id, in) }); err != nil {
			return err
		}
		st, err := transfer.Await(ctx, l, id)
		if err == nil && st.State != saga.Completed {
			err = fmt.Errorf("transfer %s: %v", id, st.Err)
		}
		return err
	})
	b.StopTimer()
	stop()
	work.Wait()
	appends := clients(b, 20_000, func(i int) error {
		_, err := l.Append(b.Context(), fmt.Sprintf("account/%d", i%benchAccounts), nil, Posted{1})
		return err
	})
	b.ReportMetric(transfers, "transfers/s")
	b.ReportMetric(appends, "appends/s")
	b.ReportMetric(transfers/appends, "ratio")
}
