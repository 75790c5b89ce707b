package outbox_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/outbox"
)

// failingAt is the plan of a broker that refuses an event until it is mended.
func failingAt(stream, version string, mended *atomic.Bool) func(*message.Message) (before, after error) {
	return func(m *message.Message) (before, after error) {
		if m.Metadata[outbox.MetadataSubject] == stream && m.Metadata[outbox.MetadataStreamVersion] == version && !mended.Load() {
			return errBroker, nil
		}
		return nil, nil
	}
}

// TestRelayHoldsAStream: an event that the broker refuses holds up its stream,
// which is to be seen everywhere; the others of its shard go on, and so does its
// stream, in order, once the fault is mended.
func TestRelayHoldsAStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := eventlogtest.New(t)
		var out strings.Builder
		var mu sync.Mutex
		var mended atomic.Bool
		b := &broker{plan: failingAt("a/1", "7", &mended)}
		r := publishing(l, b)
		r.Logger = slog.New(slog.NewTextHandler(&out, nil))
		var attempts []int
		r.Hooks.Failed = func(r eventlog.Record, attempt int, err error) {
			mu.Lock()
			defer mu.Unlock()
			if r.Version == 7 && errors.Is(err, errBroker) {
				attempts = append(attempts, attempt)
			}
		}
		for i := range 20 {
			add(t, l, "a/1", i)
		}
		stop := startRun(t, r)
		beside := streamIn(l, "b", l.ShardOf("a/1"), true)
		time.Sleep(time.Minute)
		for i := range 50 {
			add(t, l, beside, i)
			time.Sleep(time.Second)
		}
		if got := b.firsts(t, "a/1"); !slices.Equal(got, upTo(6)) {
			t.Errorf("a/1: %v", got)
		}
		if got := b.firsts(t, beside); !slices.Equal(got, upTo(50)) {
			t.Errorf("%s: %v", beside, got)
		}
		if n := b.count(); n > 6+6+50 {
			t.Errorf("%d messages", n)
		}
		s, err := r.Status(t.Context())
		if err != nil || s[l.ShardOf("a/1")].Revision != 6 {
			t.Errorf("the cursor passed what is not published: %+v, %v", s[l.ShardOf("a/1")], err)
		}
		if err := r.Health(context.Background()); !errors.Is(err, errBroker) || !strings.Contains(err.Error(), "a/1") {
			t.Errorf("health: %v", err)
		}
		mu.Lock()
		if n := len(attempts); n < 5 || n > 30 || attempts[n-1] < 5 {
			t.Errorf("attempts %v", attempts)
		}
		if !strings.Contains(out.String(), "no broker") {
			t.Error("the log says nothing")
		}
		mu.Unlock()
		mended.Store(true)
		time.Sleep(2 * time.Minute)
		if got := b.firsts(t, "a/1"); !slices.Equal(got, upTo(20)) {
			t.Errorf("mended: a/1: %v", got)
		}
		if err := r.Health(context.Background()); err != nil {
			t.Errorf("mended: %v", err)
		}
		n := b.count()
		stop()
		startRun(t, r)
		time.Sleep(time.Minute)
		if again := b.count() - n; again != 0 {
			t.Errorf("%d were published again", again)
		}
	})
}

// TestRelayPanics: a TopicOf or a Publisher that panics fails, and no more.
func TestRelayPanics(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := eventlogtest.New(t)
		var calm atomic.Bool
		b := &broker{plan: func(m *message.Message) (before, after error) {
			if m.Metadata[outbox.MetadataSubject] == "a/1" && !calm.Load() {
				panic("publisher")
			}
			return nil, nil
		}}
		r := publishing(l, b)
		r.Topic = ""
		r.TopicOf = func(r eventlog.Record) string {
			if r.Stream == "b/1" && !calm.Load() {
				panic("topic")
			}
			return "x"
		}
		for _, s := range []string{"a/1", "b/1", "c/1"} {
			add(t, l, s, 1, 2, 3)
		}
		startRun(t, r)
		time.Sleep(time.Minute)
		if err := r.Health(context.Background()); err == nil || !strings.Contains(err.Error(), "publisher") || !strings.Contains(err.Error(), "topic") {
			t.Errorf("health: %v", err)
		}
		if b.count() != 3 {
			t.Errorf("published %q", b.list())
		}
		calm.Store(true)
		time.Sleep(2 * time.Minute)
		if b.count() != 9 {
			t.Errorf("published %q", b.list())
		}
	})
}

// TestRelayTimeout: a message's context ends after Timeout, and when Run has to
// end. A call that does not heed it is reported, and left behind.
func TestRelayTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := eventlogtest.New(t)
		gate := make(chan struct{})
		b := &broker{}
		ends := 0
		b.plan = func(m *message.Message) (before, after error) {
			if m.Metadata[outbox.MetadataSubject] == "deaf/1" {
				<-gate
				return nil, nil
			}
			<-m.Context().Done()
			b.mu.Lock()
			ends++
			b.mu.Unlock()
			return m.Context().Err(), nil
		}
		r := publishing(l, b)
		r.Timeout, r.Grace = time.Second, 3*time.Second
		add(t, l, "a/1", 1)
		add(t, l, "deaf/1", 1)
		stop := startRun(t, r)
		time.Sleep(10 * time.Second)
		if err := r.Health(context.Background()); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "deaf/1: Publish does not return") {
			t.Errorf("health: %v", err)
		}
		begin := time.Now()
		stop()
		if d := time.Since(begin); d > 4*time.Second || ends < 3 {
			t.Errorf("Run ends after %v; %d ends", d, ends)
		}
		close(gate)
	})
}
