package saga_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/saga"
)

func ExampleSaga_Diagram() {
	text, err := booking.Diagram()
	fmt.Print(text, err)
	// Output:
	// ---
	// title: "booking, version 1"
	// ---
	// flowchart TD
	//   start([start]) --> s0
	//   s0["hotel<br>can be undone"]
	//   s1["flight"]
	//   done([completed])
	//   s0 --> s1
	//   s1 --> done
	// <nil>
}

// TestDiagram: each kind of step has its shape, each way its arrow; an instance shows
// what is done, how often, and where it stands. Names may be anything.
func TestDiagram(t *testing.T) {
	t.Parallel()
	p := &provider{}
	s := round(with(adding(`"one" <b>#1`), func(s *saga.Step[count]) {
		s.Next = func(c *count) string { return map[bool]string{true: `"one" <b>#1`, false: "pay"}[c.N < 3] }
		s.Routes = []string{`"one" <b>#1`, "pay"}
	}), p.pay(), saga.Step[count]{Name: "branch", Next: func(*count) string { return "a" }, Routes: []string{"a", saga.End}},
		with(hear("a"), func(s *saga.Step[count]) { s.Timeout, s.OnTimeout = time.Hour, "pause" }),
		fanOut(1, "x"), sendOut(""), saga.Step[count]{Name: "pause", Wait: time.Hour})
	l := eventlogtest.New(t)
	start(t, l, s, "x", count{})
	drain(t, l, s.Handlers()...)
	got, err := s.DiagramOf(t.Context(), l, "x")
	if err != nil {
		t.Fatal(err)
	}
	want := `---
title: "round/x, version 1: running"
---
flowchart TD
  start([start]) --> s0
  s0["#quot;one#quot; #lt;b#gt;#35;1<br>can be undone<br>3 times"]
  s1[/"pay<br>call"/]
  s2{"branch"}
  s3{{"a<br>signal a<br>timeout 1h0m0s"}}
  s4[["errands<br>many sagas errand"]]
  s5[["errand<br>saga errand"]]
  s6(["pause<br>wait"])
  done([completed])
  s0 --> s0
  s0 --> s1
  s1 --> s2
  s2 --> s3
  s2 --> done
  s3 --> s4
  s3 -. timeout .-> s6
  s4 --> s5
  s5 --> s6
  s6 --> done
  classDef finished fill:#cfc,stroke:#393
  classDef undone fill:#eee,stroke:#999
  classDef refused fill:#fcc,stroke:#c33
  classDef skipped fill:#ffe,stroke:#990
  classDef current fill:#cdf,stroke:#36c,stroke-width:3px
  class s0 finished
  class s1 finished
  class s3 current
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	send(t, l, saga.Cancel{Saga: "round", ID: "x"})
	drain(t, l, s.Handlers()...)
	got, err = s.DiagramOf(t.Context(), l, "x")
	if err != nil || !strings.Contains(got, "class s0 undone") || !strings.Contains(got, "class s3 skipped") || !strings.Contains(got, "cancelled") {
		t.Errorf("%s (%v)", got, err)
	}
	if _, err := s.DiagramOf(t.Context(), l, "nobody"); err == nil {
		t.Error("a diagram of nobody")
	}
	if _, err := round().Diagram(); err == nil {
		t.Error("a diagram of nothing")
	}
}
