package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/examples/bank/bank"
	"github.com/rollforward/rollforward/internal/cli"
	"github.com/rollforward/rollforward/saga"
)

// Traffic is many clients who make transfers at a time, each one after the
// other. A runner of the bank's sagas must run beside it.
type traffic struct {
	log      *eventlog.Log
	clients  int
	duration time.Duration
	most     int                   // transfers to start; 0: no limit
	pick     func() bank.Transfer  // what to do next
	started  func(id string) error // after each acknowledged start
	ended    func(n int64)         // after each end, with how many there are

	mu        sync.Mutex
	begin     time.Time
	lasted    time.Duration
	starts    int
	completed int
	refunded  int
	refused   int
	latencies []time.Duration // from start to end
}

// run starts transfers until stopping ends or the duration or the number is
// reached, and waits for the end of each. The first error ends all.
func (t *traffic) run(stopping, work context.Context) error {
	t.begin = time.Now()
	stopping, stop := context.WithTimeout(stopping, t.duration)
	defer stop()
	var wg sync.WaitGroup
	errs := make([]error, t.clients)
	for i := range errs {
		wg.Go(func() {
			if errs[i] = t.client(stopping, work); errs[i] != nil {
				stop()
			}
		})
	}
	wg.Wait()
	t.lasted = time.Since(t.begin)
	i := slices.IndexFunc(errs, func(err error) bool { return err != nil })
	if i < 0 {
		return nil
	}
	return errs[i]
}

func (t *traffic) client(stopping, work context.Context) error {
	for stopping.Err() == nil && t.take() {
		transfer, begin := t.pick(), time.Now()
		if _, err := t.log.Update(work, transfer.Start); err != nil {
			return err
		}
		if t.started != nil {
			if err := t.started(transfer.ID); err != nil {
				return err
			}
		}
		st, err := bank.Transfers.Await(work, t.log, transfer.ID)
		if err != nil {
			return err
		}
		t.count(st, time.Since(begin))
	}
	return nil
}

// take reserves the start of one transfer.
func (t *traffic) take() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.most > 0 && t.starts == t.most {
		return false
	}
	t.starts++
	return true
}

func (t *traffic) count(st saga.Status[bank.Transfer], latency time.Duration) {
	t.mu.Lock()
	switch {
	case st.State == saga.Completed:
		t.completed++
	case st.Refused == bank.Transfers.Steps[0].Name:
		t.refused++
	default:
		t.refunded++
	}
	t.latencies = append(t.latencies, latency)
	n := len(t.latencies)
	t.mu.Unlock()
	if t.ended != nil {
		t.ended(int64(n))
	}
}

// tally says how it stands.
func (t *traffic) tally() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return fmt.Sprintf("%5s completed, %4s refunded, %4s refused", cli.Count(int64(t.completed)),
		cli.Count(int64(t.refunded)), cli.Count(int64(t.refused)))
}

// A result is what became of the traffic.
type result struct {
	Started   int     `json:"started"`
	Completed int     `json:"completed"`
	Refunded  int     `json:"refunded"` // after the debit
	Refused   int     `json:"refused"`  // before any money moved
	Seconds   float64 `json:"seconds"`
	PerSecond float64 `json:"transfers_per_s"`
	P50       int64   `json:"p50_us"`
	P99       int64   `json:"p99_us"`
}

func (t *traffic) result() result {
	r := result{Started: len(t.latencies), Completed: t.completed, Refunded: t.refunded, Refused: t.refused, Seconds: t.lasted.Seconds()}
	if n := len(t.latencies); n > 0 {
		slices.Sort(t.latencies)
		r.PerSecond = float64(n) / r.Seconds
		r.P50, r.P99 = t.latencies[n/2].Microseconds(), t.latencies[n*99/100].Microseconds()
	}
	return r
}

func (r result) write(w io.Writer, f cli.Format) error {
	return cli.WriteObject(w, f, r, []cli.Field{
		{Name: "transfers", Value: cli.Count(int64(r.Started))},
		{Name: "completed", Value: cli.Count(int64(r.Completed))},
		{Name: "refunded", Value: cli.Count(int64(r.Refunded))},
		{Name: "refused", Value: cli.Count(int64(r.Refused))},
		{Name: "per second", Value: fmt.Sprintf("%.0f", r.PerSecond)},
		{Name: "start to end", Value: fmt.Sprintf("p50 %v, p99 %v", time.Duration(r.P50)*time.Microsecond, time.Duration(r.P99)*time.Microsecond)},
	})
}
