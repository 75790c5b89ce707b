package saga_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/outbox"
	"github.com/rollforward/rollforward/saga"
)

func startCensus(t testing.TB, c *saga.Census) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// counts adds up what these say, as in "round running 1"; each shard is to be
// reported by one of them. Zeros are left out.
func counts(t testing.TB, all ...*saga.Census) []string {
	t.Helper()
	sum, by := map[string]int{}, map[int]bool{}
	shards := 0
	for _, c := range all {
		list, err := c.Counts(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		shards = c.Log.Shards()
		for _, s := range list {
			if by[s.Shard] {
				t.Errorf("shard %d is reported twice", s.Shard)
			}
			by[s.Shard] = true
			for name, states := range s.Instances {
				if len(states) != 7 {
					t.Errorf("shard %d: %s has the states %v", s.Shard, name, states)
				}
				for state, n := range states {
					sum[fmt.Sprint(name, " ", state)] += n
				}
			}
		}
	}
	if len(by) != shards {
		t.Errorf("%d shards are reported, want %d", len(by), shards)
	}
	return lines(sum)
}

// listed is what counts must be.
func listed(t testing.TB, l *eventlog.Log) []string {
	t.Helper()
	sum := map[string]int{}
	for i, err := range saga.List(context.Background(), l, "") {
		if err != nil {
			t.Fatal(err)
		}
		sum[fmt.Sprint(i.Saga, " ", i.State)]++
	}
	return lines(sum)
}

// recount lets a census count the whole log, and holds it against the list.
func recount(t testing.TB, l *eventlog.Log) {
	t.Helper()
	c := &saga.Census{Log: l}
	stop := startCensus(t, c)
	defer stop()
	time.Sleep(3 * time.Second)
	if diff := cmp.Diff(listed(t, l), counts(t, c)); diff != "" {
		t.Errorf("the states that events tell (-listed +counted):\n%s", diff)
	}
}

func lines(sum map[string]int) (list []string) {
	for what, n := range sum {
		if n != 0 {
			list = append(list, fmt.Sprint(what, " ", n))
		}
	}
	slices.Sort(list)
	return list
}

// expectCounts waits for a sweep and holds what is counted against want and the list.
func expectCounts(t testing.TB, when, want string, all ...*saga.Census) {
	t.Helper()
	time.Sleep(3 * time.Second)
	synctest.Wait()
	got := counts(t, all...)
	if diff := cmp.Diff(listed(t, all[0].Log), got); diff != "" {
		t.Errorf("%s (-listed +counted):\n%s", when, diff)
	}
	if s := strings.Join(got, ", "); s != want {
		t.Errorf("%s: counted %s, want %s", when, s, want)
	}
}

// TestCensus: each number goes up and down with what the instances do.
func TestCensus(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := eventlogtest.New(t)
		var mu sync.Mutex
		broken := true
		undo := func(tx *eventlog.Tx, c *count) error {
			mu.Lock()
			defer mu.Unlock()
			if broken {
				return outbox.Abort(errors.New("stuck"))
			}
			return nil
		}
		sticky := with(adding("sticky"), func(s *saga.Step[count]) { s.Undo = undo })
		s := round(adding("one"), sendOut(""), hear("a"), sticky, hear("b"), refusing("last"))
		good := round(adding("one"), hear("a"))
		good.Name = "good"
		all := append(both(s, errands), good.Handlers()...)
		c := &saga.Census{Log: l}
		if err := c.Health(t.Context()); !errors.Is(err, outbox.ErrNotRunning) {
			t.Errorf("before it runs: %v", err)
		}
		stop := startCensus(t, c)
		expectCounts(t, "at first", "", c)

		send(t, l, say("a", "", "early"))
		drain(t, l, all...)
		expectCounts(t, "a signal came first", "round awaited 1", c)
		start(t, l, s, "x", count{})
		expectCounts(t, "started", "round running 1", c)
		drain(t, l, all...)
		expectCounts(t, "its child has completed", "errand completed 1, round running 1", c)
		for i := range 5 {
			start(t, l, good, fmt.Sprint(i), count{})
		}
		drain(t, l, all...)
		expectCounts(t, "others run", "errand completed 1, good running 5, round running 1", c)
		send(t, l, saga.Signal{Saga: "good", ID: "0", Name: "a"}, saga.Signal{Saga: "good", ID: "1", Name: "a", Data: word{"no"}},
			saga.Cancel{Saga: "good", ID: "2"})
		drain(t, l, all...)
		expectCounts(t, "three have ended", "errand completed 1, good cancelled 1, good compensated 1, good completed 1, good running 2, round running 1", c)
		send(t, l, saga.Cancel{Saga: "good", ID: "3"}, saga.Cancel{Saga: "good", ID: "4"}, say("b", "", "go"))
		drain(t, l, all...)
		const rest = ", good cancelled 3, good compensated 1, good completed 1, round "
		expectCounts(t, "parked", "errand completed 1"+rest+"parked 1", c)
		send(t, l, saga.Retry{Saga: "round", ID: "x"})
		drain(t, l, all...)
		expectCounts(t, "parked again", "errand completed 1"+rest+"parked 1", c)
		mu.Lock()
		broken = false
		mu.Unlock()
		retry := []outbox.Step{saga.Retry{Saga: "round", ID: "x"}}
		deaf := slices.DeleteFunc(slices.Clone(all), func(h outbox.Handler) bool { return strings.HasPrefix(h.Type, "$saga/errand") })
		send(t, l, retry...)
		drain(t, l, deaf...)
		expectCounts(t, "it goes back", "errand completed 1"+rest+"compensating 1", c)
		drain(t, l, all...)
		expectCounts(t, "with its child", "errand cancelled 1"+rest+"compensated 1", c)

		if err := c.Health(t.Context()); err != nil {
			t.Errorf("health: %v", err)
		}
		stop()
		if _, err := c.Counts(t.Context()); !errors.Is(err, outbox.ErrNotRunning) {
			t.Errorf("after its end: %v", err)
		}
		start(t, l, good, "9", count{})
		c = &saga.Census{Log: l}
		startCensus(t, c)
		expectCounts(t, "the next one", "errand cancelled 1, good cancelled 3, good compensated 1, good completed 1, good running 1, round compensated 1", c)
	})
}

// TestCensusLag: what is not counted yet is as old as the first of it.
func TestCensusLag(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := eventlogtest.Open(t, &eventlog.Options{Shards: 1})
		c := &saga.Census{Log: l, Sweep: time.Minute, Lease: time.Hour}
		startCensus(t, c)
		time.Sleep(2 * time.Minute)
		s := round(hear("a"))
		for i := range 3 {
			start(t, l, s, fmt.Sprint(i), count{})
			time.Sleep(10 * time.Second)
		}
		list, err := c.Counts(t.Context())
		if err != nil || len(list) != 1 || list[0].Lag.Round(time.Second) != 30*time.Second || len(list[0].Instances) != 0 {
			t.Errorf("behind: %+v, %v", list, err)
		}
		time.Sleep(time.Minute)
		list, err = c.Counts(t.Context())
		if err != nil || list[0].Lag != 0 || list[0].Instances["round"][saga.Running] != 3 || list[0].Revision != 3 {
			t.Errorf("caught up: %+v, %v", list, err)
		}
	})
}

// TestCensusStoredFormat: what is stored stays readable.
func TestCensusStoredFormat(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := eventlogtest.Open(t, &eventlog.Options{Shards: 1})
		s := round(hear("a"))
		start(t, l, s, "x", count{})
		start(t, l, s, "y", count{})
		stop := startCensus(t, &saga.Census{Log: l})
		time.Sleep(2 * time.Second)
		stop()
		value, _, err := l.ReadCell(t.Context(), "$census\x01counts\x010000")
		if want := `{"revision":2,"epoch":1,"sagas":{"round":{"running":2}}}`; err != nil || string(value) != want {
			t.Errorf("%s, want %s (%v)", value, want, err)
		}
	})
}

// TestCensusRefusesNonsense.
func TestCensusRefusesNonsense(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	for _, c := range []*saga.Census{{}, {Log: l, Sweep: -1}, {Log: l, Sweep: 2 * time.Hour}, {Log: l, Lease: -1}, {Log: l, Lease: time.Millisecond}} {
		if err, run := c.Check(), c.Run(t.Context()); err == nil || run == nil {
			t.Errorf("%+v: %v, %v", c, err, run)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		l, err := eventlog.Open(t.Context(), memlog.Open(), nil)
		if err != nil {
			t.Fatal(err)
		}
		c := &saga.Census{Log: l}
		done := make(chan error, 1)
		go func() { done <- c.Run(context.Background()) }()
		synctest.Wait()
		if err := c.Run(t.Context()); err == nil {
			t.Error("it runs twice")
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-done; !errors.Is(err, eventlog.ErrClosed) {
			t.Errorf("the log is closed: %v", err)
		}
	})
}
