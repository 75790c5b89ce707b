package gcppubsub_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2/pstest"
	"github.com/ThreeDotsLabs/watermill/message"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/rollforward/rollforward/outbox/gcppubsub"
)

func texts(key string, payloads ...string) (list []*message.Message) {
	for _, p := range payloads {
		list = append(list, text(p, key))
	}
	return list
}

// TestPublishIsPipelined: the messages of a call share requests, and Publish
// returns when the server has all of them.
func TestPublishIsPipelined(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"", "a/1"} {
		done := &publishing{}
		s := fake(t, done.option())
		p := publisher(t, gcppubsub.PublisherOptions{Connection: to(t, s.Addr)})
		publish(t, p, "events", text("first", ""))
		want := numbered("m", 500)
		before := done.requests()
		publish(t, p, "events", texts(key, want...)...)
		got := payloads(s)[1:]
		if key == "" {
			slices.Sort(got)
			want = slices.Sorted(slices.Values(want))
		}
		if !slices.Equal(got, want) {
			t.Errorf("key %q: %d messages: %v", key, len(got), got)
		}
		if n := done.requests() - before; n > 20 {
			t.Errorf("key %q: 500 messages took %d requests", key, n)
		}
	}
}

// TestOrderedFailure: nothing of a key is published behind a message that was
// refused, and the next call goes on.
func TestOrderedFailure(t *testing.T) {
	t.Parallel()
	refuse := true
	done := &publishing{fail: func(p []string) error {
		if refuse && slices.Contains(p, "m3") {
			return status.Error(codes.InvalidArgument, "refused")
		}
		return nil
	}}
	s := fake(t, done.option())
	p := publisher(t, gcppubsub.PublisherOptions{Connection: to(t, s.Addr), Batch: 1})
	publish(t, p, "events", text("first", ""))
	all := texts("a/1", numbered("m", 6)...)
	err := p.Publish("events", append(all, text("other", "b/1"), text("none", ""))...)
	if status.Code(err) != codes.InvalidArgument || !strings.Contains(fmt.Sprint(err), "3 of 8 messages") {
		t.Fatalf("it says %v", err)
	}
	got := payloads(s)[1:]
	if of := slices.DeleteFunc(slices.Clone(got), func(s string) bool { return s[0] != 'm' }); !slices.Equal(of, []string{"m0", "m1", "m2"}) || len(got) != 5 {
		t.Errorf("published: %v", got)
	}
	done.mu.Lock()
	refuse = false
	done.mu.Unlock()
	publish(t, p, "events", all[3:]...)
	if got := payloads(s); !slices.Equal(got[len(got)-3:], []string{"m3", "m4", "m5"}) {
		t.Errorf("then published: %v", got)
	}
}

// TestOrderedFailuresSideBySide: of every call, and however many share a key and
// fail meanwhile, the front is published, without a hole.
func TestOrderedFailuresSideBySide(t *testing.T) {
	t.Parallel()
	n := 0
	done := &publishing{fail: func([]string) error {
		if n++; n%7 == 0 {
			return status.Error(codes.InvalidArgument, "refused")
		}
		return nil
	}}
	s := fake(t, done.option())
	p := publisher(t, gcppubsub.PublisherOptions{Connection: to(t, s.Addr), Batch: 1})
	publish(t, p, "events", text("first", ""))
	const writers, calls, each = 6, 10, 5
	var mu sync.Mutex
	failed := make(map[string]bool)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for c := range calls {
				prefix := fmt.Sprintf("%d.%d.", w, c)
				if err := p.Publish("events", texts("hot", numbered(prefix, each)...)...); err != nil {
					mu.Lock()
					failed[prefix] = true
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	got := make(map[string][]string)
	for _, m := range payloads(s)[1:] {
		prefix := m[:strings.LastIndexByte(m, '.')+1]
		got[prefix] = append(got[prefix], m)
	}
	if len(failed) == 0 || len(failed) == writers*calls {
		t.Errorf("%d calls failed: the test shows nothing", len(failed))
	}
	for w := range writers {
		for c := range calls {
			prefix := fmt.Sprintf("%d.%d.", w, c)
			if want := numbered(prefix, each)[:len(got[prefix])]; !slices.Equal(got[prefix], want) || failed[prefix] == (len(want) == each) {
				t.Errorf("call %s, failed %v: %v", prefix, failed[prefix], got[prefix])
			}
		}
	}
}

func TestPublishRefuses(t *testing.T) {
	t.Parallel()
	s := fake(t)
	p := publisher(t, gcppubsub.PublisherOptions{Connection: to(t, s.Addr)})
	bad := text("x", "")
	bad.Metadata["google"] = "x"
	if err := p.Publish("events", text("good", ""), bad); !errors.Is(err, gcppubsub.ErrMessage) || len(s.Messages()) != 0 {
		t.Errorf("%v; %d messages", err, len(s.Messages()))
	}
	for _, name := range []string{"", "a", "goog-x", "1abc", "a/b", "projects/p/subscriptions/abc", strings.Repeat("x", 256)} {
		if err := p.Publish(name, text("x", "")); err == nil || !strings.Contains(err.Error(), "no name in topics") {
			t.Errorf("topic %q: %v", name, err)
		}
	}
	if err := p.Publish("events"); err != nil {
		t.Errorf("nothing: %v", err)
	}
	publish(t, p, "projects/q/topics/far", text("far", ""))
	if m := s.Messages(); len(m) != 1 || m[0].Topic != "projects/q/topics/far" {
		t.Errorf("%+v", m)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if err := p.Publish("events", text("x", "")); !errors.Is(err, gcppubsub.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	for _, o := range []gcppubsub.PublisherOptions{{Batch: -1}, {Delay: -1}, {Connection: gcppubsub.Connection{Grace: -1}}} {
		if _, err := gcppubsub.OpenPublisher(t.Context(), "p", &o); err == nil {
			t.Errorf("%+v is accepted", o)
		}
	}
	if _, err := gcppubsub.OpenPublisher(t.Context(), "", &gcppubsub.PublisherOptions{Connection: to(t, s.Addr)}); err == nil || !strings.Contains(err.Error(), "GOOGLE_CLOUD_PROJECT") {
		t.Errorf("no project: %v", err)
	}
}

// TestTopicsOnDemand: a topic that is missing is made, or the error says why not.
func TestTopicsOnDemand(t *testing.T) {
	t.Parallel()
	s := fake(t)
	c := to(t, s.Addr)
	c.MustExist = true
	err := publisher(t, gcppubsub.PublisherOptions{Connection: c}).Publish("events", text("x", ""))
	if err == nil || !strings.Contains(err.Error(), "gcppubsub: publish to events: the topic does not exist, and must not be made (MustExist)") {
		t.Errorf("it says %v", err)
	}
	p := publisher(t, gcppubsub.PublisherOptions{Connection: to(t, s.Addr)})
	publish(t, p, "events", texts("a/1", numbered("m", 3)...)...)
	if got := payloads(s); !slices.Equal(got, numbered("m", 3)) {
		t.Errorf("published %v", got)
	}
}

// TestPublishEndsWithTheContext of the message, when nobody answers, and the key
// goes on as soon as somebody does.
func TestPublishEndsWithTheContext(t *testing.T) {
	t.Parallel()
	addr := freeAddress(t)
	p := publisher(t, gcppubsub.PublisherOptions{Connection: to(t, addr), Timeout: time.Second})
	late := text("late", "a/1")
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	late.SetContext(ctx)
	begin := time.Now()
	if err := p.Publish("events", late); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) > 900*time.Millisecond {
		t.Errorf("%v after %v", err, time.Since(begin))
	}
	s := pstest.NewServerWithAddress(addr)
	defer s.Close()
	for err := errors.New("not yet"); err != nil; { // the first ones may still find the server away
		if err = p.Publish("events", text("next", "a/1")); time.Since(begin) > patience {
			t.Fatal(err)
		}
	}
	if got := payloads(s); got[len(got)-1] != "next" {
		t.Errorf("published %v", got)
	}
}

// TestPublishWaitsForTheServer: one that is away for a moment costs time and no
// message.
func TestPublishWaitsForTheServer(t *testing.T) {
	t.Parallel()
	addr := freeAddress(t)
	p := publisher(t, gcppubsub.PublisherOptions{Connection: to(t, addr)})
	done := make(chan error, 1)
	go func() { done <- p.Publish("events", texts("a/1", numbered("m", 10)...)...) }()
	select {
	case err := <-done:
		t.Fatalf("without a server it says %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	s := pstest.NewServerWithAddress(addr)
	defer s.Close()
	begin := time.Now()
	if err := <-done; err != nil || !slices.Equal(payloads(s), numbered("m", 10)) {
		t.Errorf("%v: %v", err, payloads(s))
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("the server was there for %v", took)
	}
}

// TestCloseWithoutServer: it ends what waits, after the grace, and tells.
func TestCloseWithoutServer(t *testing.T) {
	t.Parallel()
	c := to(t, freeAddress(t))
	c.Grace = 200 * time.Millisecond
	begun := make(chan struct{})
	p := publisher(t, gcppubsub.PublisherOptions{Connection: c, Timeout: time.Hour, Key: func(string, *message.Message) string {
		close(begun)
		return "a/1"
	}})
	done := make(chan error, 1)
	go func() { done <- p.Publish("events", text("x", "")) }()
	<-begun
	begin := time.Now()
	if err := p.Close(); err != nil || time.Since(begin) > 5*time.Second {
		t.Errorf("%v after %v", err, time.Since(begin))
	}
	if err := <-done; err == nil {
		t.Error("what was not published is no error")
	}
}
