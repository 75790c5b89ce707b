// Package floors holds the direction of imports: driver <- eventlog <- outbox
// <- saga, eventlog <- projection, all of them <- prommetrics, and backends only
// where a program names them.
package floors

import (
	"bytes"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/rollforward/rollforward/"

// deps returns everything that a package's own code needs, tests not counted.
func deps(t *testing.T, pkg string) []string {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", module+pkg)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list -deps %s: %v\n%s", pkg, err, &stderr)
	}
	return strings.Fields(string(out))
}

func TestImportsPointOneWay(t *testing.T) {
	const (
		watermill = "github.com/ThreeDotsLabs/watermill"
		pebble    = "github.com/cockroachdb/pebble"
		grpc      = "google.golang.org/grpc"
		google    = "cloud.google.com/go"
		sqlite    = "modernc.org/sqlite"
		cobra     = "github.com/spf13/cobra"
		testingPk = "testing"
	)
	// the parts know no Prometheus: prommetrics knows the parts
	prometheus := []string{"github.com/prometheus", module + "prommetrics"}
	backends := append([]string{module + "eventlog/memlog", module + "eventlog/pebblelog", pebble, grpc, google, sqlite}, prometheus...)
	forTests := []string{module + "internal/dsfake", module + "internal/emulator", module + "internal/race"}
	for pkg, forbidden := range map[string][]string{
		"eventlog/driver":           append([]string{module + "eventlog", watermill, cobra, testingPk}, backends...),
		"eventlog":                  append([]string{module + "outbox", module + "saga", module + "projection", watermill, cobra, testingPk}, backends...),
		"eventlog/sequencer":        append([]string{module + "outbox", module + "saga", module + "projection", watermill, cobra, testingPk}, backends...),
		"eventlog/memlog":           append([]string{pebble, grpc, google, sqlite, watermill, cobra, testingPk}, prometheus...),
		"eventlog/pebblelog":        {grpc, google, sqlite, watermill, cobra, testingPk, module + "outbox", module + "saga", module + "projection"},
		"eventlog/remotelog":        {grpc, google, sqlite, watermill, cobra, testingPk, module + "outbox", module + "saga", module + "projection"},
		"outbox":                    append([]string{module + "saga", module + "projection", cobra, testingPk}, backends...),
		"outbox/gcppubsub":          append([]string{module + "saga", module + "projection", module + "eventlog/memlog", module + "eventlog/pebblelog", pebble, sqlite, google + "/datastore", cobra, testingPk}, prometheus...),
		"saga":                      append([]string{module + "projection", cobra, testingPk}, backends...),
		"projection":                append([]string{module + "outbox", module + "saga", cobra, testingPk}, backends...),
		"projection/sqlsink":        append([]string{module + "outbox", module + "saga", module + "eventlog/pebblelog", grpc, google, sqlite, cobra, testingPk}, prometheus...),
		"projection/datastoresink":  append([]string{module + "outbox", module + "saga", module + "eventlog/memlog", module + "eventlog/pebblelog", pebble, sqlite, cobra, testingPk}, prometheus...),
		"projection/projectiontest": {module + "outbox", module + "saga", module + "eventlog/pebblelog", pebble, grpc, google, cobra},
		"eventlog/eventlogtest":     {pebble, grpc, google, sqlite, watermill, cobra},
		"prommetrics":               {module + "eventlog/memlog", module + "eventlog/pebblelog", pebble, grpc, google, sqlite, cobra, testingPk},
		"cmd/eventlog":              {testingPk},
		"eventlog/datastorelog":     append([]string{module + "outbox", module + "saga", module + "projection", module + "internal/dsfake", module + "internal/emulator", module + "eventlog/pebblelog", pebble, sqlite, watermill, cobra, testingPk}, prometheus...),
	} {
		t.Run(pkg, func(t *testing.T) {
			t.Parallel()
			for _, dep := range deps(t, pkg) {
				for _, f := range slices.Concat(forbidden, forTests) {
					if dep == f || f != module+"eventlog" && f != testingPk && strings.HasPrefix(dep, f+"/") {
						t.Errorf("%s imports %s", pkg, dep)
					}
				}
			}
		})
	}
}
