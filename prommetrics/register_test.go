package prommetrics_test

import (
	"context"
	"errors"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/outbox"
	"github.com/rollforward/rollforward/projection/sqlsink"
	"github.com/rollforward/rollforward/prommetrics"
	"github.com/rollforward/rollforward/saga"
)

// registerAll registers every part and makes each metric say something.
func registerAll(t *testing.T, reg prometheus.Registerer) {
	t.Helper()
	hooks(t, reg).Snapshot("account", 1)
	r := &sqlsink.Runner{Log: eventlogtest.New(t), Sink: newSink(t), Projections: []sqlsink.Projection{postings}}
	if err := r.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := prommetrics.Projections(reg, r); err != nil {
		t.Fatal(err)
	}
	registerOutbox(t, reg)
	registerSagas(t, reg)
}

func registerSagas(t *testing.T, reg prometheus.Registerer) {
	t.Helper()
	l := eventlogtest.New(t)
	if _, err := l.Update(t.Context(), func(tx *eventlog.Tx) error { return visit.Start(tx, "1", "a") }); err != nil {
		t.Fatal(err)
	}
	c := &saga.Census{Log: l}
	if err := prommetrics.Sagas(reg, c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(count(t, c))
	patience, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		list, err := c.Counts(patience)
		if len(list) == l.Shards() {
			return
		}
		if err != nil && !errors.Is(err, outbox.ErrNotRunning) {
			t.Fatal(err)
		}
		runtime.Gosched()
	}
}

func registerOutbox(t *testing.T, reg prometheus.Registerer) {
	t.Helper()
	l := eventlogtest.New(t)
	swept := make(chan struct{}, 1)
	r := &outbox.Runner{Log: l, Handlers: []outbox.Handler{creditHandler}}
	r.Hooks.Sweep = func(outbox.SweepInfo) {
		select {
		case swept <- struct{}{}:
		default:
		}
	}
	if err := prommetrics.Outbox(reg, r); err != nil {
		t.Fatal(err)
	}
	r.Hooks.Trouble(-1, errRefused)
	if _, err := l.Update(t.Context(), func(tx *eventlog.Tx) error { return outbox.Enqueue(tx, credit{"a", 2}) }); err != nil {
		t.Fatal(err)
	}
	if err := r.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-swept
	run(t, r)
	<-swept // it has its shards
}

// docs/metrics.md has a row for each metric, and says of it what it says itself.
func TestDocumented(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	registerAll(t, reg)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, f := range families {
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, l.GetName())
		}
		want = append(want, row(f.GetName(), f.GetType().String(), labels, f.GetHelp()))
	}
	text, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]*)` \\| ([^|]*) \\| ([^|]*) ?\\| ([^|]*) \\|$").FindAllStringSubmatch(string(text), -1) {
		if strings.HasPrefix(m[1], "rollforward_datastore_") {
			continue // of datastoremetrics
		}
		got = append(got, row(m[1], m[2], strings.FieldsFunc(m[3], func(r rune) bool { return r == ',' || r == ' ' }), m[4]))
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("docs/metrics.md (-the metrics +the document):\n%s", diff)
	}
}

func row(name, typ string, labels []string, help string) string {
	slices.Sort(labels)
	return strings.Join([]string{name, strings.ToLower(typ), strings.Join(labels, " "), help}, " | ")
}

// Names and types are as Prometheus wants them, and histograms are of both kinds.
func TestGoodPractice(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	registerAll(t, reg)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	for _, f := range families {
		if h := f.GetMetric()[0].GetHistogram(); h != nil && (len(h.GetBucket()) == 0 || h.GetSchema() == 0) {
			t.Errorf("%s: %d classic buckets, native schema %d", f.GetName(), len(h.GetBucket()), h.GetSchema())
		}
	}
}

// What is there already is refused, as a whole; another label makes room.
func TestRegisteredTwice(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	taken := prometheus.NewCounter(prometheus.CounterOpts{Name: "rollforward_eventlog_snapshot_bytes_total", Help: "Somebody else's."})
	reg.MustRegister(taken)
	if _, err := prommetrics.Log(reg); err == nil || !strings.Contains(err.Error(), "prommetrics: log: ") {
		t.Errorf("a name that is taken: %v", err)
	}
	if list, err := reg.Gather(); err != nil || len(list) != 1 {
		t.Errorf("%d metrics are left, want 1; %v", len(list), err)
	}
	reg = prometheus.NewRegistry()
	for _, name := range []string{"bank", "shop"} {
		registerAll(t, prometheus.WrapRegistererWith(prometheus.Labels{"log": name}, reg))
	}
	var already prometheus.AlreadyRegisteredError
	if _, err := prommetrics.Log(prometheus.WrapRegistererWith(prometheus.Labels{"log": "bank"}, reg)); !errors.As(err, &already) {
		t.Errorf("the same once more: %v", err)
	}
}

func TestRunnerMustBeComplete(t *testing.T) {
	t.Parallel()
	for _, r := range []*sqlsink.Runner{nil, {}, {Log: eventlogtest.New(t)}, {Sink: newSink(t)}} {
		if err := prommetrics.Projections(prometheus.NewRegistry(), r); err == nil {
			t.Errorf("%+v was taken", r)
		}
	}
}
