package datastorelog

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"cloud.google.com/go/datastore"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/internal/emulator"
)

// TestApart: namespaces, kinds and projects have logs of their own.
func TestApart(t *testing.T) {
	t.Parallel()
	eachLeg(t, func(t *testing.T, leg leg) {
		s, project := leg.server(t), emulator.Project()
		logs := []*Log{
			s.open(t, project, nil), s.open(t, project, &Options{Namespace: "tenant"}), s.open(t, project, &Options{Namespace: "tenant2"}),
			s.open(t, project, &Options{Kind: "Other"}), s.open(t, emulator.Project(), nil),
		}
		for i, l := range logs {
			w := driver.Write{Batches: []driver.Batch{commits(0, 1)}, Cells: []driver.CellOp{putCell("c", new(uint64), uint64(i)+1)}}
			if err := l.Write(t.Context(), w); err != nil {
				t.Errorf("log %d: %v", i, err)
			}
		}
		for i, l := range logs {
			for c, err := range l.Cells(t.Context(), "", "", 0) {
				if err != nil || c.Version != uint64(i)+1 {
					t.Errorf("log %d: cell %+v, %v", i, c, err)
				}
			}
			holdsOnce(t, l, driver.Write{Batches: []driver.Batch{commits(0, 1)}}, 1)
		}
	})
}

func TestEnvironment(t *testing.T) {
	t.Setenv(emulatorEnv, "http://env:1")
	t.Setenv(projectEnv, "env-project")
	o, err := (*Options)(nil).withDefaults()
	if err != nil || o.Emulator != "env:1" || o.Kind != DefaultKind || o.Timeout != defaultTimeout {
		t.Errorf("%+v, %v", o, err)
	}
	if o, err = (&Options{Emulator: "own:1"}).withDefaults(); err != nil || o.Emulator != "own:1" {
		t.Errorf("%+v, %v", o, err)
	}
	if p, err := projectOf("", &o); p != "env-project" || err != nil {
		t.Errorf("project %q, %v", p, err)
	}
	if p, err := projectOf("own", &o); p != "own" || err != nil {
		t.Errorf("project %q, %v", p, err)
	}
	t.Setenv(projectEnv, "")
	t.Setenv("DATASTORE_PROJECT_ID", "")
	if _, err := projectOf("", &Options{}); err == nil {
		t.Error("no project was taken")
	}
}

func TestNewerFormat(t *testing.T) {
	t.Parallel()
	s, project := legs[0].server(t), emulator.Project()
	l := s.open(t, project, nil)
	key := datastore.NameKey(l.kinds.log, "log", nil)
	if _, err := l.client.Put(t.Context(), key, &identity{Format: 2}); err != nil {
		t.Fatal(err)
	}
	var newer *FormatError
	if _, err := Open(t.Context(), project, s.with(nil)); !errors.As(err, &newer) || newer.Found != 2 {
		t.Errorf("opened a log of format 2: %v", err)
	}
}

func TestOptionsRefused(t *testing.T) {
	t.Parallel()
	for _, o := range []Options{{Timeout: -1}, {RampUp: 9}, {Kind: "__x"}} {
		if _, err := Open(t.Context(), "p", &o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
}

func TestParseURL(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct {
		project string
		o       Options
	}{
		"datastore://":                           {"", Options{Kind: "K"}},
		"datastore://p":                          {"p", Options{Kind: "K"}},
		"datastore://p/":                         {"p", Options{Kind: "K"}},
		"datastore://p/(default)":                {"p", Options{Kind: "K"}},
		"datastore://p/db":                       {"p", Options{Kind: "K", Database: "db"}},
		"datastore:///db":                        {"", Options{Kind: "K", Database: "db"}},
		"datastore://p/db?namespace=a%20b":       {"p", Options{Kind: "K", Database: "db", Namespace: "a b"}},
		"datastore://p?kind=L&emulator=h:1":      {"p", Options{Kind: "L", Emulator: "h:1"}},
		"datastore://my-project.example/d?kind=": {"my-project.example", Options{Database: "d"}},
	} {
		project, o, err := ParseURL(text, &Options{Kind: "K"})
		if err != nil || project != want.project {
			t.Errorf("%s: project %q, %v", text, project, err)
			continue
		}
		if diff := cmp.Diff(want.o, *o, cmpopts.IgnoreFields(Options{}, "Hooks")); diff != "" {
			t.Errorf("%s (- expected, + is):\n%s", text, diff)
		}
	}
	for _, text := range []string{"", "p", "http://p", "datastore:p", "datastore://p/a/b", "datastore://u@p", "datastore://p:80/d", "datastore://p?x=1", "datastore://p?kind=a&kind=b", "datastore://p#f", "datastore://%zz"} {
		if _, _, err := ParseURL(text, nil); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}

// TestRampUp holds the pace of a new log, by the clock: 500 operations a second,
// half as many more every five minutes.
func TestRampUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRamp(&Options{}, time.Now())
		took := func(n int) time.Duration {
			begin := time.Now()
			for range n / 10 {
				if err := r.wait(t.Context(), 10); err != nil {
					t.Fatal(err)
				}
			}
			return time.Since(begin)
		}
		took(500) // what a second may do at once
		for step, perSecond := range []int{500, 750, 1125, 1687} {
			time.Sleep(time.Until(r.created.Add(time.Duration(step)*rampStep + 30*time.Second)))
			took(2 * perSecond)
			if d := took(10 * perSecond); d < 9900*time.Millisecond || d > 10100*time.Millisecond {
				t.Errorf("10 s at step %d took %s", step, d)
			}
		}
		if err := r.wait(t.Context(), 5000); err != nil { // more than a second may do
			t.Error(err)
		}
		time.Sleep(rampEnd)
		if d := took(100_000); d > 0 {
			t.Errorf("an old log waits %s", d)
		}
	})
	for _, c := range []struct {
		o  Options
		on bool
	}{
		{Options{}, true}, {Options{Emulator: "h:1"}, false}, {Options{Emulator: "h:1", RampUp: RampUpOn}, true}, {Options{RampUp: RampUpOff}, false},
	} {
		if got := newRamp(&c.o, time.Now()) != nil; got != c.on {
			t.Errorf("emulator %q, option %d: limited %v", c.o.Emulator, c.o.RampUp, got)
		}
	}
}
