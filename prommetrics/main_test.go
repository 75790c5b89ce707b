package prommetrics_test

import (
	"maps"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("database/sql.(*DB).connectionOpener"))
}

// A sample is one number, or the count and sum of a histogram.
type sample struct {
	value      float64
	count, sum float64
}

// scrape returns what a metric says for these labels; there is false when it
// says nothing.
func scrape(t testing.TB, reg prometheus.Gatherer, name string, labels prometheus.Labels) (s sample, there bool) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			have := prometheus.Labels{}
			for _, l := range m.GetLabel() {
				have[l.GetName()] = l.GetValue()
			}
			if maps.Equal(have, labels) {
				h := m.GetHistogram()
				return sample{m.GetCounter().GetValue() + m.GetGauge().GetValue(), float64(h.GetSampleCount()), h.GetSampleSum()}, true
			}
		}
	}
	return sample{}, false
}

// value is scrape of a counter or a gauge that must be there.
func value(t testing.TB, reg prometheus.Gatherer, name string, labels prometheus.Labels) float64 {
	t.Helper()
	s, there := scrape(t, reg, name, labels)
	if !there {
		t.Fatalf("%s%v is not there", name, labels)
	}
	return s.value
}
