package prommetrics

import (
	"context"
	"errors"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/rollforward/rollforward/saga"
)

// Sagas registers how many instances of sagas are in which state: rollforward_saga_….
// What a census has counted is asked of it at each scrape, which looks how far the
// shards that it holds are; each shard is reported by the census that holds it, so that
// sums over all processes are right. While the census does not run, or the store does
// not answer, healthy is 0 and the others are missing; those of a shard are missing until
// it is counted to its end. An error says that reg has such metrics already; then nothing
// was registered.
func Sagas(reg prometheus.Registerer, c *saga.Census) error {
	if c == nil {
		return errors.New("prommetrics: sagas: no census")
	}
	const part = "saga"
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName(namespace, part, name), help, labels, nil)
	}
	return register(reg, "sagas", &sagas{census: c,
		healthy:   desc("census_healthy", "1 while the census runs and nothing keeps it from counting, else 0."),
		lag:       desc("census_lag_seconds", "Age of the oldest commit that is not counted.", "shard"),
		instances: desc("instances", "Instances of a saga that are in a state now.", "saga", "state", "shard"),
	})
}

type sagas struct {
	census                  *saga.Census
	healthy, lag, instances *prometheus.Desc
}

func (s *sagas) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{s.healthy, s.lag, s.instances} {
		out <- d
	}
}

func (s *sagas) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapePatience)
	defer cancel()
	list, err := s.census.Counts(ctx)
	if err != nil || s.census.Health(ctx) != nil {
		out <- gauge(s.healthy, 0)
	} else {
		out <- gauge(s.healthy, 1)
	}
	for i := range list {
		shard := strconv.Itoa(list[i].Shard)
		out <- gauge(s.lag, list[i].Lag.Seconds(), shard)
		for name, states := range list[i].Instances {
			for state, n := range states {
				out <- gauge(s.instances, float64(n), label(name), string(state), shard)
			}
		}
	}
}
