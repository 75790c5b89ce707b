package prommetrics

import (
	"errors"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/rollforward/rollforward/outbox"
)

var outcomes = []outbox.Outcome{outbox.StepDone, outbox.StepFailed, outbox.StepRefused, outbox.StepDead, outbox.StepExpired}

// Outbox registers how a runner rolls steps forward: rollforward_outbox_…. It is
// called before the runner runs, and adds to r's Hooks: those that are there
// already are called as before. What is there now (backlogs, ages, leases) is
// asked of the runner at each scrape, without the store; each shard is reported
// by the runner that holds it, so that sums over all runners are right. An error
// says that reg has such metrics already; then nothing was changed.
func Outbox(reg prometheus.Registerer, r *outbox.Runner) error {
	if r == nil {
		return errors.New("prommetrics: outbox: no runner")
	}
	const part = "outbox"
	var (
		steps = counters(part, "steps_total", "Outcomes of steps: done, failed (an attempt, there will be another one), "+
			"refused (for good, and the handler dealt with it), dead (a dead letter), expired (came too late).", "type", "outcome")
		shards   = counters(part, "shard_steps_total", "The same by the shard that the steps were emitted in.", "shard", "outcome")
		linked   = counters(part, "linked_steps_total", "Steps that were done in the commit that emitted them.", "type")
		duration = histograms(part, "step_duration_seconds", "Time that the handler of a step took.", durations, "type")
		latency  = histograms(part, "step_latency_seconds", "Time from a step's commit, or from when it was due, to the commit of its effect.", durations, "type")
		batch    = histograms(part, "batch_steps", "Steps that shared a commit.", sizes, "shard")
		commit   = histograms(part, "commit_duration_seconds", "Time from the look at a batch's first step to its durable commit.", durations, "shard")
		troubles = counters(part, "store_errors_total", "Errors of the store, by shard; leases for those that concern the leases.", "shard")
	)
	err := register(reg, "outbox", steps, shards, linked, duration, latency, batch, commit, troubles, newOutboxNow(r))
	if err != nil {
		return err
	}
	// What was never counted is there as 0: a query sees no rise in what appears.
	for _, h := range r.Handlers {
		for _, o := range outcomes {
			steps.WithLabelValues(label(h.Type), string(o))
		}
	}
	before := r.Hooks
	r.Hooks.Shard = func(i outbox.ShardInfo) {
		for _, o := range outcomes {
			shards.WithLabelValues(strconv.Itoa(i.Shard), string(o))
		}
		if before.Shard != nil {
			before.Shard(i)
		}
	}
	r.Hooks.Step = func(i outbox.StepInfo) {
		typ := label(i.Type)
		steps.WithLabelValues(typ, string(i.Outcome)).Inc()
		shards.WithLabelValues(strconv.Itoa(i.Shard), string(i.Outcome)).Inc()
		if i.Linked {
			linked.WithLabelValues(typ).Inc()
		} else { // a linked step is not timed by itself
			duration.WithLabelValues(typ).Observe(i.Duration.Seconds())
			if i.Outcome == outbox.StepDone {
				latency.WithLabelValues(typ).Observe(i.Age.Seconds())
			}
		}
		if before.Step != nil {
			before.Step(i)
		}
	}
	r.Hooks.Batch = func(i outbox.BatchInfo) {
		shard := strconv.Itoa(i.Shard)
		batch.WithLabelValues(shard).Observe(float64(i.Steps))
		commit.WithLabelValues(shard).Observe(i.Duration.Seconds())
		if before.Batch != nil {
			before.Batch(i)
		}
	}
	r.Hooks.Trouble = func(shard int, err error) {
		name := "leases"
		if shard >= 0 {
			name = strconv.Itoa(shard)
		}
		troubles.WithLabelValues(name).Inc()
		if before.Trouble != nil {
			before.Trouble(shard, err)
		}
	}
	return nil
}
