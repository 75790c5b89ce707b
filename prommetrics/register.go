package prommetrics

import (
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const namespace = "rollforward"

// register registers all collectors, or none.
func register(reg prometheus.Registerer, what string, list ...prometheus.Collector) error {
	for i, c := range list {
		if err := reg.Register(c); err != nil {
			for _, before := range list[:i] {
				reg.Unregister(before)
			}
			return fmt.Errorf("prommetrics: %s: %w", what, err)
		}
	}
	return nil
}

// label returns a declared name as Prometheus takes it: it panics on others.
func label(name string) string { return strings.ToValidUTF8(name, "\uFFFD") }

func counter(subsystem, name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Subsystem: subsystem, Name: name, Help: help})
}

func counters(subsystem, name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Subsystem: subsystem, Name: name, Help: help}, labels)
}

func histogram(subsystem, name, help string, buckets []float64) prometheus.Histogram {
	return prometheus.NewHistogram(histogramOpts(subsystem, name, help, buckets))
}

func histograms(subsystem, name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(histogramOpts(subsystem, name, help, buckets), labels)
}

func histogramOpts(subsystem, name, help string, buckets []float64) prometheus.HistogramOpts {
	return prometheus.HistogramOpts{Namespace: namespace, Subsystem: subsystem, Name: name, Help: help,
		Buckets:                         buckets,
		NativeHistogramBucketFactor:     1.1,
		NativeHistogramMaxBucketNumber:  160,
		NativeHistogramMinResetDuration: time.Hour,
	}
}

// The classic buckets: from a fast disk to a store that hangs, and from one to as
// many as share a write.
var (
	durations = prometheus.ExponentialBuckets(50e-6, 2, 19) // to 13 s
	sizes     = prometheus.ExponentialBuckets(1, 2, 12)     // to 2,048
)
