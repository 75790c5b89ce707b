package projector

import (
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"cloud.google.com/go/pubsub/v2/pstest"

	"github.com/rollforward/rollforward/internal/cli"
	"github.com/rollforward/rollforward/projection/sqlsink"
)

// A projector hears by a subscription of its own, which it takes along.
func TestNotify(t *testing.T) {
	s := pstest.NewServer()
	defer s.Close()
	t.Setenv("PUBSUB_EMULATOR_HOST", s.Addr)
	subscriptions := func() int {
		list, err := s.GServer.ListSubscriptions(t.Context(), &pubsubpb.ListSubscriptionsRequest{Project: "projects/p"})
		if err != nil {
			t.Fatal(err)
		}
		return len(list.Subscriptions)
	}
	log := newDir(t, 3)
	p := serve(t, "up to date", []sqlsink.Projection{count}, "--log", log, "--notify", "pubsub://p/bells")
	for begin := time.Now(); subscriptions() == 0; {
		if time.Since(begin) > time.Minute {
			t.Fatal("it does not subscribe")
		}
	}
	if status := p.stop(); status != cli.OK || subscriptions() != 0 {
		t.Errorf("status %d, %d subscriptions are left: %s", status, subscriptions(), p.stderr)
	}
	status, _ := commandOf(t.Context(), nil, listenFor("x"), "--log", log, "--notify", "bells")
	if status != cli.Misused {
		t.Errorf("status %d", status)
	}
	if status, stderr := commandOf(t.Context(), nil, listenFor("x"), "run", "--help"); status != cli.OK || !strings.Contains(stderr, "--notify") {
		t.Errorf("its help does not name --notify: %s", stderr)
	}
}
