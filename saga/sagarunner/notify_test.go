package sagarunner

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"cloud.google.com/go/pubsub/v2/pstest"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/saga"
)

// A runner rings for what it commits, hears by a subscription of its own, which it
// takes along, and works all the same where there is no broker.
func TestNotify(t *testing.T) {
	s := pstest.NewServer()
	defer s.Close()
	t.Setenv("PUBSUB_EMULATOR_HOST", s.Addr)
	t.Setenv("EVENTLOG_NOTIFY", "pubsub://p/bells")
	hears := func() bool {
		list, err := s.GServer.ListSubscriptions(t.Context(), &pubsubpb.ListSubscriptionsRequest{Project: "projects/p"})
		return err == nil && len(list.Subscriptions) > 0
	}
	dir := newLog(t, start)
	work := Options{Handlers: greet.Handlers(), Beside: func(ctx context.Context, l *eventlog.Log) error {
		if _, err := greet.Await(ctx, l, "1"); err != nil {
			return err
		}
		for begin := time.Now(); !hears(); {
			if time.Since(begin) > time.Minute {
				return errors.New("it does not subscribe")
			}
		}
		return nil
	}}
	if status, stderr := run(t, t.Context(), work, "--log", dir); status != 0 || strings.Contains(stderr, "WARN") {
		t.Errorf("status %d: %s", status, stderr)
	}
	if got := state(t, dir); got != saga.Completed || len(s.Messages()) == 0 || hears() {
		t.Errorf("the saga is %s, %d bells, a subscription is left: %v", got, len(s.Messages()), hears())
	}

	t.Setenv("PUBSUB_EMULATOR_HOST", "127.0.0.1:1")
	dir = newLog(t, start)
	begin := time.Now()
	if status, stderr := run(t, t.Context(), Options{Handlers: greet.Handlers()}, "--log", dir, "--drain"); status != 0 || !strings.Contains(stderr, "not published") {
		t.Errorf("without a broker: status %d: %s", status, stderr)
	}
	if took := time.Since(begin); took > 8*time.Second || state(t, dir) != saga.Completed {
		t.Errorf("without a broker it took %v, and the saga is %s", took, state(t, dir))
	}
	if status, stderr := run(t, t.Context(), Options{}, "--log", dir, "--notify", "bells"); status != 2 || !strings.Contains(stderr, "want pubsub://PROJECT/TOPIC") {
		t.Errorf("status %d: %s", status, stderr)
	}
}
