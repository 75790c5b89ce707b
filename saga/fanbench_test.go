package saga_test

import (
	"testing"
	"time"

	"github.com/rollforward/rollforward/outbox"
	"github.com/rollforward/rollforward/saga"
)

// BenchmarkFanOut runs a fan-out of b.N children, from the start of the parent to its
// end, embedded and durable.
func BenchmarkFanOut(b *testing.B) {
	l := benchLog(b)
	s := many(b.N, -1)
	start(b, l, s, "x", count{})
	begin := time.Now()
	if err := (&outbox.Runner{Log: l, Handlers: both(s, small), Targets: 64}).Drain(b.Context()); err != nil {
		b.Fatal(err)
	}
	if st := status(b, l, s, "x"); st.State != saga.Completed {
		b.Fatalf("%s: %v", st.State, st.Err)
	}
	b.ReportMetric(float64(b.N)/time.Since(begin).Seconds(), "children/s")
}
