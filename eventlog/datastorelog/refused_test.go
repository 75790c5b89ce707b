package datastorelog

import (
	"context"
	"errors"
	"testing"
	"time"

	"cloud.google.com/go/datastore"
	"google.golang.org/grpc/codes"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/internal/emulator"
)

// TestMutateRefusedUnheard: where the answer that refuses a mutation is lost, the
// caller hears it all the same, and the shard goes on.
func TestMutateRefusedUnheard(t *testing.T) {
	t.Parallel()
	eachLeg(t, func(t *testing.T, leg leg) {
		way := new(wire)
		l, d := on(t, leg.server(t), emulator.Project(), &Options{ClientOptions: way.options()})
		if _, err := d.Client().Put(t.Context(), counterKey("a"), &counter{1}); err != nil {
			t.Fatal(err)
		}
		way.inject(nth("Commit", 1, lose, codes.Unavailable))
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		_, err := l.Update(ctx, func(tx *eventlog.Tx) error {
			return errors.Join(tx.Append("s/1", noted{"x"}), Mutate(tx, datastore.NewInsert(counterKey("a"), &counter{2})))
		})
		if !errors.Is(err, driver.ErrBeside) {
			t.Errorf("an insert of what exists: %v", err)
		}
		if _, err := l.Append(ctx, "s/1", nil, noted{"y"}); err != nil {
			t.Errorf("behind it: %v", err)
		}
		if n, a := version(t, l, "s/1"), value(t, d, "a"); n != 1 || a != 1 {
			t.Errorf("%d events, entity %d", n, a)
		}
	})
}
