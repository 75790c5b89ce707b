package saga_test

import (
	"strings"
	"testing"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/saga"
)

// TestReplay: what a changed definition would do otherwise with recorded instances is
// found; one that does the same has no differences; nothing is written.
func TestReplay(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	steps := func() saga.Steps[count] {
		return saga.Steps[count]{adding("one"),
			with(hear("a"), func(s *saga.Step[count]) { s.Timeout = time.Hour }),
			with(adding("two"), func(s *saga.Step[count]) {
				s.Next, s.Routes = func(c *count) string {
					if c.Limit == 1 {
						return saga.End
					}
					return "three"
				}, []string{"three", saga.End}
			}), refusing("three")}
	}
	base := &saga.Saga[count]{Name: "round", Version: 1, Steps: steps()}
	for id, limit := range map[string]int{"x": 0, "y": 1} {
		start(t, l, base, id, count{Limit: limit})
		send(t, l, saga.Signal{Saga: "round", ID: id, Name: "a", Data: word{"hi"}})
	}
	drain(t, l, base.Handlers()...)
	before, err := l.Position(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		change func(*saga.Saga[count])
		says   string
	}{
		"the same":         {func(*saga.Saga[count]) {}, ""},
		"other policies":   {func(s *saga.Saga[count]) { s.Steps[0].Policy.Attempts = 7 }, ""},
		"another order":    {func(s *saga.Saga[count]) { s.Steps[0], s.Steps[1] = s.Steps[1], s.Steps[0] }, "now: signal step a"},
		"another step":     {func(s *saga.Saga[count]) { s.Steps = append(saga.Steps[count]{adding("zero")}, s.Steps...) }, "now: change step zero"},
		"a step is gone":   {func(s *saga.Saga[count]) { s.Steps = s.Steps[:3]; s.Steps[2].Routes = []string{saga.End} }, "which is none of its Routes"},
		"another stream":   {func(s *saga.Saga[count]) { s.Steps[0].On = func(*count) string { return "note/other" } }, "on note/other"},
		"another branch":   {func(s *saga.Saga[count]) { s.Steps[2].Next = func(*count) string { return saga.End } }, "recorded: change step three"},
		"another answer":   {func(s *saga.Saga[count]) { s.Steps[1].Signal = saga.On("a", func(*count, word) error { return nil }) }, `recorded: data {"N":1`},
		"no Undo any more": {func(s *saga.Saga[count]) { s.Steps[0].Undo = nil }, "nothing to undo"},
		"another version":  {func(s *saga.Saga[count]) { s.Version = 2 }, "no migration"},
		"kept beside":      {func(s *saga.Saga[count]) { s.Version, s.Earlier = 2, []saga.Definition{base} }, ""},
		"migrates":         {func(s *saga.Saga[count]) { s.Version, s.Migrations = 2, []saga.Migration[count]{{From: 1}} }, ""},
		"migrates to names": {func(s *saga.Saga[count]) {
			s.Version, s.Migrations = 2, []saga.Migration[count]{{From: 1, Steps: map[string]string{"one": "eins"}}}
			s.Steps[0].Name = "eins"
		}, ""},
	} {
		s := &saga.Saga[count]{Name: "round", Version: 1, Steps: steps()}
		test.change(s)
		var list []string
		for d, err := range saga.Replay(t.Context(), l, s) {
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			list = append(list, d.String())
		}
		all := strings.Join(list, "\n")
		if (test.says == "") != (all == "") || !strings.Contains(all, test.says) {
			t.Errorf("%s: %q expected, got\n%s", name, test.says, all)
		}
	}
	type lossy struct{ N int }
	small := &saga.Saga[lossy]{Name: "round", Version: 1, Steps: saga.Steps[lossy]{{
		Name: "one", On: func(*lossy) string { return "note/one" }, Do: func(*eventlog.Tx, *lossy) error { return nil },
	}}}
	n := 0
	for d, err := range saga.Replay(t.Context(), l, small) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; !strings.Contains(d.String(), `now: data {"N"`) && !strings.Contains(d.Now, "step") {
			t.Errorf("%v", d)
		}
	}
	if n == 0 {
		t.Error("that data loses its fields was not found")
	}
	if after, err := l.Position(t.Context()); err != nil || after.String() != before.String() {
		t.Errorf("the log moved from %v to %v (%v)", before, after, err)
	}
	for _, err := range saga.Replay(t.Context(), l, &saga.Saga[count]{}) {
		if err == nil {
			t.Error("an invalid definition was replayed")
		}
	}
}
