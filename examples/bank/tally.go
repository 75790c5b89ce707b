package main

import (
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/rollforward/rollforward/examples/bank/bank"
	"github.com/rollforward/rollforward/internal/cli"
	"github.com/rollforward/rollforward/saga"
)

// A tally counts what becomes of transfers.
type tally struct {
	mu        sync.Mutex
	starts    int
	completed int
	refunded  int
	refused   int
	asked     int
	fees      int
	latencies []time.Duration // from start to end
}

// take reserves the start of one transfer, if there may be one more.
func (t *tally) take(most int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if most > 0 && t.starts == most {
		return false
	}
	t.starts++
	return true
}

// count takes the end of a transfer and returns how many there are.
func (t *tally) count(st saga.Status[bank.Transfer], latency time.Duration) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case st.State == saga.Completed:
		t.completed++
	case st.Refused == bank.Transfers.Steps[0].Name:
		t.refused++
	default:
		t.refunded++
	}
	if st.Data.Asks {
		t.asked++
	}
	if st.Data.Fee > 0 && st.State == saga.Completed {
		t.fees++
	}
	t.latencies = append(t.latencies, latency)
	return int64(len(t.latencies))
}

// String says how it stands.
func (t *tally) String() string {
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
	Asked     int     `json:"asked"`    // for approval
	Fees      int     `json:"fees"`     // that were kept
	Seconds   float64 `json:"seconds"`
	PerSecond float64 `json:"transfers_per_s"`
	P50       int64   `json:"p50_us"`
	P99       int64   `json:"p99_us"`
}

func (t *traffic) result() result {
	y := &t.tally
	r := result{Started: len(y.latencies), Completed: y.completed, Refunded: y.refunded, Refused: y.refused,
		Asked: y.asked, Fees: y.fees, Seconds: t.lasted.Seconds()}
	if n := len(y.latencies); n > 0 {
		slices.Sort(y.latencies)
		r.PerSecond = float64(n) / r.Seconds
		r.P50, r.P99 = y.latencies[n/2].Microseconds(), y.latencies[n*99/100].Microseconds()
	}
	return r
}

func (r result) write(w io.Writer, f cli.Format) error {
	return cli.WriteObject(w, f, r, []cli.Field{
		{Name: "transfers", Value: cli.Count(int64(r.Started))},
		{Name: "completed", Value: cli.Count(int64(r.Completed))},
		{Name: "refunded", Value: cli.Count(int64(r.Refunded))},
		{Name: "refused", Value: cli.Count(int64(r.Refused))},
		{Name: "asked for approval", Value: cli.Count(int64(r.Asked))},
		{Name: "fees", Value: cli.Count(int64(r.Fees))},
		{Name: "per second", Value: fmt.Sprintf("%.0f", r.PerSecond)},
		{Name: "start to end", Value: fmt.Sprintf("p50 %v, p99 %v", time.Duration(r.P50)*time.Microsecond, time.Duration(r.P99)*time.Microsecond)},
	})
}
