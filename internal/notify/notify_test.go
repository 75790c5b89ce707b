package notify_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"cloud.google.com/go/pubsub/v2/pstest"
	"github.com/spf13/cobra"
	"go.uber.org/goleak"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/internal/cli"
	"github.com/rollforward/rollforward/internal/notify"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreTopFunction("go.opencensus.io/stats/view.(*worker).start"), // started by its init
		// The library's own ends with its next tick, at most ten seconds later.
		goleak.IgnoreTopFunction("cloud.google.com/go/pubsub/v2.(*messageIterator).streamKeepAliveHandler"))
}

type said struct{ Text string }

func (said) EventType() string { return "test.said" }

// command runs a command line with --notify, and fn in it.
func command(t *testing.T, l *eventlog.Log, fn func(b *notify.Bells), args ...string) (status int, stderr string) {
	t.Helper()
	var f notify.Flag
	cmd := &cobra.Command{Use: "talk", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) (err error) {
		b, err := f.Open(cmd, l, nil)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, b.Close()) }()
		fn(b)
		return nil
	}}
	f.AddFlag(cmd)
	var out bytes.Buffer
	cmd.SetErr(&out)
	return cli.Run(t.Context(), cmd, args), out.String()
}

// say appends.
func say(t *testing.T, l *eventlog.Log, text string) {
	t.Helper()
	if _, err := l.Append(context.Background(), "talk/1", nil, said{text}); err != nil {
		t.Error(err)
	}
}

// TestFlag: what one command commits wakes another one at once, however short the
// one lives, and whether the topic is named by the flag or by the variable.
func TestFlag(t *testing.T) {
	s := pstest.NewServer()
	defer s.Close()
	t.Setenv("PUBSUB_EMULATOR_HOST", s.Addr)
	t.Setenv("GOOGLE_CLOUD_PROJECT", "p")
	t.Setenv("EVENTLOG_NOTIFY", "pubsub:///bells")
	store := memlog.NewStore()
	open := func() *eventlog.Log {
		d := drivertest.NewFaulty(store.Open(), func(drivertest.Call) drivertest.Fault { return drivertest.Fault{Kind: drivertest.Hide} })
		l, err := eventlog.Open(t.Context(), d, &eventlog.Options{Poll: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		})
		return l
	}
	reader, writer := open(), open()
	say(t, writer, "first")
	status, stderr := command(t, reader, func(b *notify.Bells) {
		if wake, topic := b.Wake(); wake == nil || topic != "bells" {
			t.Errorf("the runners hear %v of %q", wake, topic)
		}
		b.Listen()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		n := 0
		for r, err := range reader.Read(ctx, eventlog.Query{Stream: "talk/1", Follow: true}) {
			if err != nil {
				t.Fatalf("it heard %d events: %v", n, err)
			}
			if n++; n == 3 {
				return
			}
			if n == 1 {
				await(t, s)
			}
			for _, more := range []string{"--notify=pubsub://p/bells", "--notify="}[n-1 : n] {
				if status, stderr := command(t, writer, func(b *notify.Bells) {
					b.Ring()
					say(t, writer, r.Type)
				}, more); status != cli.OK || stderr != "" {
					t.Errorf("status %d: %s", status, stderr)
				}
			}
		}
	})
	if status != cli.OK || stderr != "" {
		t.Errorf("status %d: %s", status, stderr)
	}
}

// await waits until somebody has subscribed.
func await(t *testing.T, s *pstest.Server) {
	t.Helper()
	for begin := time.Now(); time.Since(begin) < time.Minute; {
		list, err := s.GServer.ListSubscriptions(t.Context(), &pubsubpb.ListSubscriptionsRequest{Project: "projects/p"})
		if err == nil && len(list.Subscriptions) > 0 {
			return
		}
	}
	t.Fatal("nobody subscribes")
}

// TestNoBroker: one that is away costs a command a moment and a warning.
func TestNoBroker(t *testing.T) {
	t.Setenv("PUBSUB_EMULATOR_HOST", "127.0.0.1:1")
	l := eventlogtest.New(t)
	begin := time.Now()
	status, stderr := command(t, l, func(b *notify.Bells) {
		b.Listen()
		b.Ring()
		say(t, l, "to nobody")
	}, "--notify", "pubsub://p/bells")
	if took := time.Since(begin); status != cli.OK || !strings.Contains(stderr, "a notification was not published") || took > 4*time.Second {
		t.Errorf("status %d after %v: %s", status, took, stderr)
	}
}

func TestWithout(t *testing.T) {
	t.Setenv("EVENTLOG_NOTIFY", "")
	l := eventlogtest.New(t)
	status, stderr := command(t, l, func(b *notify.Bells) {
		b.Ring()
		b.Listen()
		if wake, topic := b.Wake(); b != nil || wake != nil || topic != "" {
			t.Errorf("%v, %v of %q", b, wake, topic)
		}
	})
	if status != cli.OK || stderr != "" {
		t.Errorf("status %d: %s", status, stderr)
	}
}

func TestMisuse(t *testing.T) {
	t.Setenv("PUBSUB_EMULATOR_HOST", "127.0.0.1:1")
	t.Setenv("GOOGLE_CLOUD_PROJECT", "")
	l := eventlogtest.New(t)
	never := func(*notify.Bells) { t.Error("it works") }
	if status, stderr := command(t, l, never, "--notify", "kafka://bells"); status != cli.Misused || !strings.Contains(stderr, `--notify (EVENTLOG_NOTIFY): gcppubsub: "kafka://bells": not of the form`) {
		t.Errorf("status %d: %s", status, stderr)
	}
	if status, stderr := command(t, l, never, "--notify", "pubsub:///bells"); status != cli.Failed || !strings.Contains(stderr, "which project?") {
		t.Errorf("status %d: %s", status, stderr)
	}
	status, stderr := command(t, l, func(b *notify.Bells) {
		if wake, _ := b.Wake(); wake != nil {
			t.Error("it hears by a subscription that must not be made")
		}
		b.Listen()
	}, "--notify", "pubsub://p/bells?create=false")
	if status != cli.OK || strings.Count(stderr, "nothing wakes this process") != 2 {
		t.Errorf("status %d: %s", status, stderr)
	}
}
