package datastorelog

import (
	"context"
	"errors"
	"testing"
	"time"

	"cloud.google.com/go/datastore"
	"google.golang.org/grpc/codes"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/emulator"
)

// TestUpdateEndsWithItsContext: whose ctx ends while the service is away does not wait
// for it.
func TestUpdateEndsWithItsContext(t *testing.T) {
	t.Parallel()
	eachLeg(t, func(t *testing.T, leg leg) {
		way := new(wire)
		s := leg.removable(t)
		l, _ := on(t, s, emulator.Project(), &Options{ClientOptions: way.options(), Timeout: 3 * time.Second})
		ctx, cancel := context.WithCancel(t.Context())
		var end time.Time
		way.inject(func(method string, n int) (mishap, codes.Code) {
			switch {
			case method == "Commit" && n == 1:
				s.set(true)
				return drop, codes.Unavailable
			case method == "Lookup" && n == 1: // the look at what came of it, which will hang
				end = time.Now()
				time.AfterFunc(100*time.Millisecond, cancel)
			}
			return fine, codes.OK
		})
		_, err := Update(ctx, l, func(tx *eventlog.Tx, dtx *datastore.Transaction) error {
			if _, err := dtx.Put(counterKey("c"), &counter{1}); err != nil {
				return err
			}
			return tx.Append("s/1", noted{"x"})
		})
		if d := time.Since(end); !errors.Is(err, eventlog.ErrUnknown) || !errors.Is(err, context.Canceled) || d > 1500*time.Millisecond {
			t.Errorf("%v after %s", err, d)
		}
		s.set(false)
	})
}
