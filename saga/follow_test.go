package saga_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/saga"
)

// TestFollow: who follows an instance from before it is started sees each of its
// decisions in order, and can send it what it waits for; who comes later sees where it
// stands.
func TestFollow(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	s := round(adding("one"), hear("a"), adding("two"))
	defer run(t, l, s.Handlers()...)()
	started := make(chan struct{})
	go func() {
		defer close(started)
		start(t, l, s, "x", count{})
	}()
	var seen []string
	for st, err := range s.Follow(t.Context(), l, "x") {
		if err != nil {
			t.Fatal(err)
		}
		seen = append(seen, string(st.State)+":"+st.Step)
		if st.Signal == "a" {
			send(t, l, say("a", "", "x"))
		}
	}
	<-started
	if got, want := strings.Join(seen, " "), "running:one running:a running:two completed:"; got != want {
		t.Errorf("seen %s, want %s", got, want)
	}
	seen = nil
	for st, err := range s.Follow(t.Context(), l, "x") {
		if err != nil {
			t.Fatal(err)
		}
		seen = append(seen, string(st.State))
	}
	if got := strings.Join(seen, " "); got != string(saga.Completed) {
		t.Errorf("later: %s", got)
	}
}

// TestFollowNobody: it waits for the start until its ctx ends.
func TestFollowNobody(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for st, err := range round(adding("one")).Follow(ctx, l, "x") {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%+v, %v", st, err)
		}
	}
}
