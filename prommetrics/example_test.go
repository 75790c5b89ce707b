package prommetrics_test

import (
	"context"
	"fmt"
	"log"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/outbox"
	"github.com/rollforward/rollforward/prommetrics"
	"github.com/rollforward/rollforward/saga"
)

func ExampleLog() {
	ctx := context.Background()
	reg := prometheus.NewRegistry()
	hooks, err := prommetrics.Log(reg)
	if err != nil {
		log.Fatal(err)
	}
	l, err := eventlog.Open(ctx, memlog.Open(), &eventlog.Options{Hooks: hooks})
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	if _, err := l.Append(ctx, "account/ada", nil, posted{500}, posted{250}); err != nil {
		log.Fatal(err)
	}
	families, err := reg.Gather() // promhttp.HandlerFor(reg, …) serves them
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "rollforward_eventlog_events_total" {
			fmt.Println(f.GetName(), f.GetMetric()[0].GetCounter().GetValue())
		}
	}
	// Output: rollforward_eventlog_events_total 2
}

func ExampleOutbox() {
	ctx := context.Background()
	l, err := eventlog.Open(ctx, memlog.Open(), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	reg := prometheus.NewRegistry()
	runner := &outbox.Runner{Log: l, Handlers: []outbox.Handler{creditHandler}}
	if err := prommetrics.Outbox(reg, runner); err != nil {
		log.Fatal(err)
	}
	_, err = l.Update(ctx, func(tx *eventlog.Tx) error { return outbox.Enqueue(tx, credit{To: "account/ada", N: 1}) })
	if err != nil {
		log.Fatal(err)
	}
	if err := runner.Drain(ctx); err != nil {
		log.Fatal(err)
	}
	families, err := reg.Gather()
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "rollforward_outbox_batch_steps" {
			fmt.Println(f.GetName(), f.GetMetric()[0].GetHistogram().GetSampleSum())
		}
	}
	// Output: rollforward_outbox_batch_steps 1
}

func ExampleSagas() {
	ctx, stop := context.WithCancel(context.Background())
	l, err := eventlog.Open(ctx, memlog.Open(), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	reg := prometheus.NewRegistry()
	census := &saga.Census{Log: l}
	if err := prommetrics.Sagas(reg, census); err != nil {
		log.Fatal(err)
	}
	if _, err := l.Update(ctx, func(tx *eventlog.Tx) error { return visit.Start(tx, "1", "ada") }); err != nil {
		log.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- census.Run(ctx) }() // beside the runner of the sagas

	for running := 0.0; running == 0; { // until it has counted
		families, err := reg.Gather()
		if err != nil {
			log.Fatal(err)
		}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				if f.GetName() == "rollforward_saga_instances" && m.GetGauge().GetValue() > 0 {
					running = m.GetGauge().GetValue()
					fmt.Println(m.GetLabel()[0].GetValue(), m.GetLabel()[2].GetValue(), running)
				}
			}
		}
	}
	stop()
	fmt.Println(<-done)
	// Output:
	// visit running 1
	// <nil>
}
