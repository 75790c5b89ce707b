package lease

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
)

// A runner is the value of a heartbeat. Whether it lives is told by nothing in
// it but by the changes of its cell's version.
type runner struct {
	Name     string      `json:"name"`
	Host     string      `json:"host"` // and process
	Started  time.Time   `json:"started"`
	Instance eventlog.ID `json:"instance"` // of the open log
}

// A record is the value of a lease: who has it, and since when. No runner has
// what was given back; the epoch stays.
type record struct {
	Runner string    `json:"runner,omitempty"`
	Epoch  uint64    `json:"epoch"`
	Since  time.Time `json:"since"`

	index   int
	version uint64 // of the cell; 0: absent
	bad     error  // why it cannot be read
}

func runnersPrefix(prefix string) string { return prefix + "\x01runner\x01" }
func leasesPrefix(prefix string) string  { return prefix + "\x01lease\x01" }

func runnerKey(prefix, id string) string { return runnersPrefix(prefix) + id }
func leaseKey(prefix string, index int) string {
	return fmt.Sprintf("%s%04d", leasesPrefix(prefix), index)
}

// under yields the cells under a prefix, by what follows it.
func under(ctx context.Context, l *eventlog.Log, prefix string, visit func(name string, c driver.Cell) error) error {
	to := strings.TrimSuffix(prefix, "\x01") + "\x02"
	for c, err := range l.Cells(ctx, prefix, to, 0) {
		if err == nil {
			err = visit(strings.TrimPrefix(c.Key, prefix), c)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// readLeases returns the leases from 0 to count-1.
func readLeases(ctx context.Context, l *eventlog.Log, prefix string, count int) ([]record, error) {
	list := make([]record, count)
	for i := range list {
		list[i].index = i
	}
	err := under(ctx, l, leasesPrefix(prefix), func(name string, c driver.Cell) error {
		i, err := strconv.Atoi(name)
		if err != nil || i < 0 || i >= count || c.Key != leaseKey(prefix, i) {
			return nil // of a user with more things than we have
		}
		list[i] = decodeRecord(i, c)
		return nil
	})
	return list, err
}

// decodeRecord reads a lease. Of one that is damaged the epoch is not known, and
// an epoch must not fall: nobody takes it until somebody has removed the cell.
func decodeRecord(index int, c driver.Cell) record {
	r := record{}
	if c.Version > 0 {
		if err := json.Unmarshal(c.Value, &r); err != nil {
			r = record{bad: fmt.Errorf("%w: cell %q: %w", eventlog.ErrCorrupt, c.Key, err)}
		}
	}
	r.index, r.version = index, c.Version
	return r
}

// readRunners returns the heartbeats by id.
func readRunners(ctx context.Context, l *eventlog.Log, prefix string) (map[string]beat, error) {
	found := make(map[string]beat)
	err := under(ctx, l, runnersPrefix(prefix), func(id string, c driver.Cell) error {
		b := beat{version: c.Version}
		_ = json.Unmarshal(c.Value, &b.runner) // what cannot be read lives without a name
		found[id] = b
		return nil
	})
	return found, err
}

// A beat is a heartbeat as it was read.
type beat struct {
	runner
	version uint64
}
