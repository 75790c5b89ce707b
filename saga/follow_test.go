package saga_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/saga"
)

// TestFollow: who follows an instance sees each of its decisions in order, from before
// it is started up to its end, and can send it what it waits for.
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
		if st.Signal == "a" && len(seen) == 2 {
			send(t, l, say("a", "1", "x"))
		}
	}
	<-started
	if got, want := strings.Join(seen, " "), "running:one running:a running:a running:two completed:"; got != want {
		t.Errorf("seen %s, want %s", got, want)
	}
	for st := range s.Follow(t.Context(), l, "x") { // again, and only its begin
		if st.State != saga.Running || st.Step != "one" {
			t.Errorf("%+v", st)
		}
		break
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
