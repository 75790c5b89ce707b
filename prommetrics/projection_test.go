package prommetrics_test

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"path/filepath"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	_ "modernc.org/sqlite"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/projection"
	"github.com/rollforward/rollforward/projection/sqlsink"
	"github.com/rollforward/rollforward/prommetrics"
)

var errRefused = errors.New("refused")

// postings refuses negative amounts.
var postings = sqlsink.Projection{Name: "postings", Version: 1,
	Reset: sqlsink.Schema(`drop table if exists posting`, `create table posting (cents integer)`),
	Handlers: sqlsink.Handlers{projection.On(func(tx *sql.Tx, _ eventlog.Record, e posted) error {
		if e.Cents < 0 {
			return errRefused
		}
		_, err := tx.Exec(`insert into posting values ($1)`, e.Cents)
		return err
	})},
}

func newSink(t testing.TB) *sqlsink.Sink {
	t.Helper()
	s, err := sqlsink.OpenSQLite(context.Background(), filepath.Join(t.TempDir(), "read.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Each number of a projection goes up and comes down with what it measures.
func TestProjections(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		l, sink := eventlogtest.New(t), newSink(t)
		r := &sqlsink.Runner{Log: l, Sink: sink, Projections: []sqlsink.Projection{postings}, Attempts: 1}
		if err := prommetrics.Projections(reg, r); err != nil {
			t.Fatal(err)
		}
		shard := strconv.Itoa(l.ShardOf("a"))
		expect := func(when string, healthy, events, seconds, handled, skipped float64) {
			t.Helper()
			here := prometheus.Labels{"projection": "postings", "shard": shard}
			result := func(r string) prometheus.Labels {
				return prometheus.Labels{"projection": "postings", "shard": shard, "result": r}
			}
			got := []float64{
				value(t, reg, "rollforward_projection_healthy", prometheus.Labels{"projection": "postings"}),
				value(t, reg, "rollforward_projection_lag_events", here),
				math.Round(value(t, reg, "rollforward_projection_lag_seconds", here)),
				value(t, reg, "rollforward_projection_events_total", result("handled")),
				value(t, reg, "rollforward_projection_events_total", result("skipped")),
			}
			for i, want := range []float64{healthy, events, seconds, handled, skipped} {
				if got[i] != want {
					t.Errorf("%s: healthy, events, seconds, handled, skipped: %v, want number %d to be %v", when, got, i+1, want)
				}
			}
		}
		add := func(e ...eventlog.Event) {
			t.Helper()
			if _, err := l.Append(t.Context(), "a", nil, e...); err != nil {
				t.Fatal(err)
			}
		}
		expect("at first", 1, 0, 0, 0, 0)
		add(posted{1}, posted{2}, eventlog.Raw{Type: "other", Data: []byte("{}")})
		time.Sleep(90 * time.Second) // of the bubble
		expect("behind", 1, 3, 90, 0, 0)
		if err := r.CatchUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		expect("caught up", 1, 0, 0, 2, 1)
		add(posted{-1})
		if err := r.CatchUp(t.Context()); !errors.Is(err, errRefused) {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		expect("stopped", 0, 1, 5, 2, 1)
		r.Projections = []sqlsink.Projection{lenient()}
		if err := r.CatchUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		expect("mended", 1, 0, 0, 3, 1)
		if err := sink.Close(); err != nil {
			t.Fatal(err)
		}
		if got := value(t, reg, "rollforward_projection_healthy", prometheus.Labels{"projection": "postings"}); got != 0 {
			t.Error("healthy without a read model")
		}
		if _, there := scrape(t, reg, "rollforward_projection_lag_events", prometheus.Labels{"projection": "postings", "shard": shard}); there {
			t.Error("a lag without a read model")
		}
	})
}

// lenient is postings that refuse nothing.
func lenient() sqlsink.Projection {
	p := postings
	p.Handlers = sqlsink.Handlers{projection.On(func(*sql.Tx, eventlog.Record, posted) error { return nil })}
	return p
}

// A sink that does not answer does not keep a scrape for ever.
func TestScrapeLosesPatience(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		r := &projection.Runner[int]{Log: eventlogtest.New(t), Sink: stuck{}, Projections: []projection.Projection[int]{{Name: "p\xff", Version: 1}}}
		if err := prommetrics.Projections(reg, r); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		if got := value(t, reg, "rollforward_projection_healthy", prometheus.Labels{"projection": "p\uFFFD"}); got != 0 {
			t.Error("healthy")
		}
		if took := time.Since(begin); took > 9*time.Second { // scrapes end after 10 s
			t.Errorf("it took %v", took)
		}
	})
}

// stuck is a sink that answers only when it is told to give up.
type stuck struct{ projection.Sink[int] }

func (stuck) State(ctx context.Context, _ string) (projection.State, error) {
	<-ctx.Done()
	return projection.State{}, ctx.Err()
}
