package sagarunner

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/internal/daemon"
	"github.com/rollforward/rollforward/outbox"
	"github.com/rollforward/rollforward/saga"
)

// A census that fails says so, and ends nothing else.
func TestCensusFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, err := eventlog.Open(t.Context(), memlog.Open(), nil)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		c := &saga.Census{Log: l}
		stop := keep(t.Context(), slog.New(slog.NewTextHandler(&out, nil)), c.Run, "the sagas are not counted any more")
		synctest.Wait()
		if err := c.Health(t.Context()); err != nil {
			t.Errorf("health: %v", err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if !strings.Contains(out.String(), "the sagas are not counted any more") || c.Health(t.Context()) == nil {
			t.Errorf("it does not say that it failed: %s", &out)
		}
		stop()
	})
}

// Who does not listen counts nothing.
func TestNobodyAsks(t *testing.T) {
	t.Parallel()
	if c, err := new(site).census(new(daemon.Daemon), new(outbox.Runner)); c != nil || err != nil {
		t.Errorf("%+v, %v", c, err)
	}
}
