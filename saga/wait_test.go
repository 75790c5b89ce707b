package saga_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/saga"
)

// TestWait: a wait takes as long as it says, by the log's clock, also when nobody runs
// meanwhile.
func TestWait(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		step  saga.Step[count]
		takes time.Duration
	}{
		"a time":   {saga.Step[count]{Name: "wait", Wait: 24 * time.Hour}, 24 * time.Hour},
		"until":    {saga.Step[count]{Name: "wait", Until: func(c *count) time.Time { return time.Unix(int64(c.Limit), 0) }}, 40 * time.Hour},
		"the past": {saga.Step[count]{Name: "wait", Until: func(*count) time.Time { return time.Unix(0, 0) }}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := eventlogtest.New(t)
				s := round(adding("one"), test.step, adding("two"))
				begin := time.Now()
				start(t, l, s, "x", count{Limit: int(begin.Add(40 * time.Hour).Unix())})
				drain(t, l, s.Handlers()...)
				if test.takes > 0 {
					st := status(t, l, s, "x")
					if st.State != saga.Running || st.Step != "wait" || st.Due.Sub(begin).Round(time.Second) != test.takes {
						t.Errorf("%+v", st)
					}
					time.Sleep(test.takes - time.Second)
					drain(t, l, s.Handlers()...)
					if st := status(t, l, s, "x"); st.State != saga.Running {
						t.Errorf("a second before: %+v", st)
					}
					time.Sleep(2 * time.Second)
					drain(t, l, s.Handlers()...)
				}
				if st := status(t, l, s, "x"); st.State != saga.Completed || strings.Join(st.Data.Log, " ") != "one two" {
					t.Errorf("%+v", st)
				}
				leftovers(t, l)
			})
		})
	}
}

// TestDeadline: an instance that is not through in time goes back, wherever it stands,
// also when it is parked; one that ends in time leaves no timer behind.
func TestDeadline(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		saga *saga.Saga[count]
		want saga.State
	}{
		"in time":               {round(adding("one")), saga.Completed},
		"in a wait":             {round(adding("one"), saga.Step[count]{Name: "wait", Wait: 48 * time.Hour}), saga.Compensated},
		"in a wait of a minute": {round(adding("one"), saga.Step[count]{Name: "wait", Wait: time.Minute}), saga.Completed},
		"for a signal":          {round(adding("one"), saga.Step[count]{Name: "sig", Signal: saga.On("go", func(*count, int) error { return nil })}), saga.Compensated},
		"parked":                {round(with(adding("one"), func(s *saga.Step[count]) { s.Next, s.Routes = func(*count) string { return "" }, []string{saga.End} })), saga.Compensated},
		"refused before":        {round(adding("one"), refusing("two")), saga.Compensated},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := eventlogtest.New(t)
				test.saga.Deadline = 24 * time.Hour
				start(t, l, test.saga, "x", count{})
				for _, pause := range []time.Duration{0, time.Hour, 24 * time.Hour, time.Hour} {
					time.Sleep(pause)
					drain(t, l, test.saga.Handlers()...)
				}
				st := status(t, l, test.saga, "x")
				if st.State != test.want || st.State == saga.Compensated && !slices.Equal(st.Data.Log, []string{"one", "un-one"}) {
					t.Errorf("%+v", st)
				}
				if late := st.Changed.Sub(st.Started) > 23*time.Hour; late != (st.Cause == saga.CauseDeadline) || late && !errors.Is(st.Err, saga.ErrDeadline) {
					t.Errorf("%+v", st)
				}
				leftovers(t, l)
			})
		})
	}
}
