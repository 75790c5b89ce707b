package daemon

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/rollforward/rollforward/internal/cli"
)

// A daemon says how it fares from its start to its end.
func TestHealth(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.expect("/health/ready", 503, `{"status":"not ready","reasons":["starting"]}`)
	r.expect("/health/live", 200, `{"status":"live"}`)
	var reasons atomic.Pointer[[]error]
	reasons.Store(&[]error{errors.New(`balances stopped: "x" < 1`), errors.New("the sink is down")})
	r.Ready(func() []error { return *reasons.Load() })
	r.expect("/health/ready", 503, `{"status":"not ready","reasons":["balances stopped: \"x\" < 1","the sink is down"]}`)
	r.expect("/health/live", 200, `{"status":"live"}`)
	reasons.Store(&[]error{})
	r.expect("/health/ready", 200, `{"status":"ready"}`)
	r.stop()
	<-r.ctx.Done()
	r.expect("/health/ready", 503, `{"status":"not ready","reasons":["shutting down"]}`)
	r.expect("/health/live", 200, `{"status":"live"}`)
	r.end()
	if log := r.stderr.String(); !strings.Contains(log, `"worker: stopping"`) {
		t.Errorf("it does not say that it was told to stop: %s", log)
	}
	if _, err := net.Dial("tcp", r.Addr); err == nil {
		t.Error("it listens after its end")
	}
}

func TestAnswersAreForMachines(t *testing.T) {
	t.Parallel()
	r := start(t)
	res, _ := r.ask("GET", "/health/ready")
	if typ, cache := res.Header.Get("Content-Type"), res.Header.Get("Cache-Control"); typ != "application/json" || cache != "no-store" {
		t.Errorf("content type %q, cache control %q", typ, cache)
	}
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{"HEAD", "/health/live", 200}, {"HEAD", "/health/ready", 503},
		{"POST", "/health/ready", 405}, {"DELETE", "/metrics", 405},
		{"GET", "/", 404}, {"GET", "/health", 404}, {"GET", "/eventlog", 404}, {"GET", "/healthz", 404},
	} {
		if res, _ := r.ask(c.method, c.path); res.StatusCode != c.status {
			t.Errorf("%s %s: %d, want %d", c.method, c.path, res.StatusCode, c.status)
		}
	}
	r.end()
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	r := start(t)
	n := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "n", Help: "N.", Buckets: []float64{1}, NativeHistogramBucketFactor: 1.1})
	r.Metrics.MustRegister(n)
	n.Observe(3)
	res, body := r.ask("GET", "/metrics")
	if res.StatusCode != 200 || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/plain") {
		t.Errorf("%d %v", res.StatusCode, res.Header)
	}
	for _, want := range []string{"n_bucket{le=\"1\"} 0\n", "n_sum 3\n", "\ngo_goroutines ", "\nprocess_start_time_seconds ", "\ngo_build_info{"} {
		if !strings.Contains(body, want) {
			t.Errorf("%q is not there", want)
		}
	}
	res, body = r.ask("GET", "/metrics", "Accept", "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited")
	if res.StatusCode != 200 || !strings.HasPrefix(res.Header.Get("Content-Type"), "application/vnd.google.protobuf") || body == "" {
		t.Errorf("native histograms: %d %v", res.StatusCode, res.Header)
	}
	r.end()
}

// A part whose metrics cannot be had does not hide those of the others.
func TestMetricsInPart(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.Metrics.MustRegister(broken{})
	if res, body := r.ask("GET", "/metrics"); res.StatusCode != 200 || !strings.Contains(body, "\ngo_goroutines ") {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	r.end()
	if !strings.Contains(r.stderr.String(), "it is broken") {
		t.Errorf("the log does not say so: %s", &r.stderr)
	}
}

type broken struct{}

var brokenDesc = prometheus.NewDesc("broken", "Broken.", nil, nil)

func (broken) Describe(out chan<- *prometheus.Desc) { out <- brokenDesc }
func (broken) Collect(out chan<- prometheus.Metric) {
	out <- prometheus.NewInvalidMetric(brokenDesc, errors.New("it is broken"))
}

// Whoever sends half a request does not hold up the end.
func TestSlowClient(t *testing.T) {
	t.Parallel()
	r := start(t)
	conn, err := net.Dial("tcp", r.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET /health/live HTTP/1.1\r\nHost:"); err != nil {
		t.Fatal(err)
	}
	r.expect("/health/live", 200, `{"status":"live"}`) // the other one has been accepted before
	r.stop()
	r.end()
	if err := conn.SetReadDeadline(time.Now().Add(3 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection is open: %v", err)
	}
}

// A daemon that is not to be seen any more ends, and says why.
func TestListenerIsLost(t *testing.T) {
	t.Parallel()
	var stderr stream
	status := command(t.Context(), &stderr, func(ctx context.Context, d *Daemon) error {
		if err := d.side.listener.Close(); err != nil {
			t.Error(err)
		}
		<-ctx.Done()
		return nil
	}, "--listen", "127.0.0.1:0")
	if got := stderr.String(); status != cli.Failed || !strings.Contains(got, "worker: listening on 127.0.0.1:") {
		t.Errorf("status %d: %s", status, got)
	}
}
