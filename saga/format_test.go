package saga_test

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/outbox"
	"github.com/rollforward/rollforward/saga"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// vary is what is another one each time: ids, the nanoseconds of times, and the places of
// steps in their transactions, which they share with others.
var vary = []struct {
	pattern *regexp.Regexp
	is      string
}{
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "ID"},
	{regexp.MustCompile(`\.[0-9]+Z`), ".Z"},
	{regexp.MustCompile(`"(sent|timer|deadline)":[0-9]+`), `"$1":1`},
}

func plain(s string) string {
	for _, v := range vary {
		s = v.pattern.ReplaceAllString(s, v.is)
	}
	return s
}

// TestStoredFormat: what is stored stays readable. A change of the golden file
// is a change of the format.
func TestStoredFormat(t *testing.T) {
	t.Parallel()
	var got string
	synctest.Test(t, func(t *testing.T) { got = everything(t) })
	file := filepath.Join("testdata", "stored.golden")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

// everything lets sagas store whatever they can, and returns it: the streams of the
// instances, and a step of the outbox of each type.
func everything(t *testing.T) string {
	l := eventlogtest.New(t)
	p := &provider{}
	stuck := with(adding("stuck"), func(s *saga.Step[count]) {
		s.Policy.Attempts = 1
		s.Undo = func(*eventlog.Tx, *count) error { return outbox.Abort(fmt.Errorf("stuck")) }
	})
	s := round(adding("one"), stuck, p.pay(), with(hear("a"), func(s *saga.Step[count]) { s.Timeout = time.Hour }),
		saga.Step[count]{Name: "branch", Next: func(*count) string { return "many" }, Routes: []string{"many"}},
		fanOut(1, "a b=wait"), sendOut(""), saga.Step[count]{Name: "pause", Wait: time.Minute}, refusing("last"))
	s.Deadline = 24 * time.Hour
	s.Steps[5].Name = "many"
	slow := round(with(adding("slow"), func(s *saga.Step[count]) {
		s.Timeout, s.Policy = time.Second, outbox.Policy{Attempts: -1}
		s.Do = func(*eventlog.Tx, *count) error { return fmt.Errorf("slow") }
	}))
	slow.Name = "slow"
	v1, v2 := round(hear("a")), round2(saga.Step[count2]{Name: "b", Signal: saga.On("a", func(*count2, word) error { return nil })})
	v1.Name, v2.Name = "moves", "moves"
	v2.Migrations = []saga.Migration[count2]{{From: 1, Steps: map[string]string{"a": "b"}}}
	all := append(append(both(s, errands), slow.Handlers()...), v2.Handlers()...)
	deaf := slices.DeleteFunc(slices.Clone(all), func(h outbox.Handler) bool { return strings.HasSuffix(h.Type, "/child") })
	pass := func(steps ...outbox.Step) {
		send(t, l, steps...)
		drainApart(t, l, deaf...) // so that children get as far as they can
		drainApart(t, l, all...)
	}
	start(t, l, s, "x", count{})
	start(t, l, slow, "x", count{})
	start(t, l, v1, "x", count{})
	pass(say("z", "", "nobody waits"))
	pass(say("a", "1", "hi"), saga.Retry{Saga: "round", ID: "x", By: "ann", Reason: "for nothing"})
	for range 3 {
		time.Sleep(time.Minute)
		pass()
	}
	pass(saga.Signal{Saga: "moves", ID: "x", Name: "a"})
	pass(saga.Fork{Saga: "round", ID: "x", As: "y", Step: "pause", By: "ann", Reason: "to see"})
	pass(saga.Cancel{Saga: "round", ID: "y", By: "ann"}, saga.Retry{Saga: "round", ID: "x", By: "ann"})
	pass(saga.Skip{Saga: "round", ID: "x", By: "ann", Reason: "paid by hand"}, say("late", "", ""))
	recount(t, l)
	return dump(t, l)
}

func dump(t *testing.T, l *eventlog.Log) string {
	var b strings.Builder
	for i, err := range l.Streams(context.Background(), "$saga-") {
		if err != nil {
			t.Fatal(err)
		}
		var children []string // that end side by side
		for r, err := range l.Read(context.Background(), eventlog.Query{Stream: i.Stream}) {
			if err != nil {
				t.Fatal(err)
			}
			line := strings.TrimSpace(fmt.Sprint(r.Stream, " ", r.Type, " ", plain(string(r.Data)), " ", plain(strings.Join(r.Tags, " ")))) + "\n"
			if r.Type == "$saga.child" {
				children = append(children, line)
				continue
			}
			slices.Sort(children)
			b.WriteString(strings.Join(append(children, line), ""))
			children = nil
		}
	}
	steps := map[string]string{}
	for r, err := range l.Read(context.Background(), eventlog.Query{Types: []string{"$step.enqueued", "$step.rolled"}, System: true}) {
		var step struct {
			Type, Target string
			Data         any
		}
		if err == nil {
			err = r.Decode(&step)
		}
		if err != nil {
			t.Fatal(err)
		}
		line := plain(fmt.Sprint(step.Type, " ", step.Target, " ", step.Data))
		if old := steps[step.Type]; old == "" || line < old { // their order over the shards is nobody's business
			steps[step.Type] = line
		}
	}
	for _, typ := range slices.Sorted(maps.Keys(steps)) {
		fmt.Fprintln(&b, steps[typ])
	}
	return b.String()
}
