package datastoremetrics_test

import (
	"context"
	"fmt"
	"log"
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/rollforward/rollforward/eventlog/datastorelog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/internal/dsfake"
	"github.com/rollforward/rollforward/prommetrics/datastoremetrics"
)

func TestHooks(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewPedanticRegistry()
	hooks, err := datastoremetrics.Hooks(reg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := datastoremetrics.Hooks(reg); err == nil {
		t.Error("registered twice")
	}
	hooks.Call(datastorelog.CallInfo{Method: "Commit", Code: "OK", Usage: datastorelog.Usage{Reads: 1, Writes: 2, Deletes: 3, IndexEntries: 4, Small: 5}})
	hooks.Lost(7)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]float64)
	for _, f := range families {
		if row := fmt.Sprintf("| `%s` | %s |", f.GetName(), strings.ToLower(f.GetType().String())); !strings.Contains(string(doc), row) || !strings.Contains(string(doc), f.GetHelp()) {
			t.Errorf("docs/metrics.md lacks %s … %s", row, f.GetHelp())
		}
		m := f.GetMetric()[0]
		got[strings.TrimPrefix(f.GetName(), "rollforward_datastore_")] = m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
	}
	want := map[string]float64{"calls_total": 1, "call_duration_seconds": 1, "entity_reads_total": 1, "entity_writes_total": 2,
		"entity_deletes_total": 3, "index_entries_total": 4, "small_operations_total": 5, "races_lost_total": 1}
	if !maps.Equal(got, want) {
		t.Errorf("%v, expected %v", got, want)
	}
}

func Example() {
	ctx := context.Background()
	reg := prometheus.NewRegistry()
	hooks, err := datastoremetrics.Hooks(reg)
	if err != nil {
		log.Fatal(err)
	}
	server := dsfake.New(nil) // stands for the service
	defer server.Close()
	store, err := datastorelog.Open(ctx, "my-project", &datastorelog.Options{
		ClientOptions: server.ClientOptions(), Hooks: hooks,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	err = store.Write(ctx, driver.Write{Batches: []driver.Batch{{First: 1, Commits: []driver.Commit{{Revision: 1, Data: []byte("hello")}}}}})
	if err != nil {
		log.Fatal(err)
	}
	families, err := reg.Gather()
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "rollforward_datastore_entity_writes_total" {
			fmt.Println(f.GetName(), f.GetMetric()[0].GetCounter().GetValue())
		}
	}
	// Output: rollforward_datastore_entity_writes_total 2
}
