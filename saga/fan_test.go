package saga_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/outbox"
	"github.com/rollforward/rollforward/saga"
)

// fanOut is a step that sends out an errand for each key in what, a list of key=do.
func fanOut(need int, what string) saga.Step[count] {
	words := strings.Fields(what)
	return saga.Step[count]{
		Name: "errands",
		Keys: saga.Items(func(*count) []string { return words }),
		Need: func(*count) int { return need },
		Child: saga.Run(errands, func(c *count, key string) errand {
			name, do, _ := strings.Cut(key, "=")
			return errand{Key: name, Do: do}
		}, func(c *count, key string, e errand) error {
			c.N++
			c.Log = append(c.Log, e.Key)
			slices.Sort(c.Log)
			return nil
		}),
	}
}

// TestFanOut: all, n of m, or the first; what is not needed, and what is in vain, goes
// back; a fan-out that is undone calls all back.
func TestFanOut(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		saga  *saga.Saga[count]
		state saga.State
		log   string
		out   string // errands that are not undone
	}{
		"all":                           {round(fanOut(0, "a b c"), adding("two")), saga.Completed, "a b c two", "a b c"},
		"all, one refuses":              {round(adding("one"), fanOut(0, "a b=refuse c"), adding("two")), saga.Compensated, "", ""},
		"all, many refuse":              {round(adding("one"), fanOut(0, "a=refuse b=refuse c=refuse"), adding("two")), saga.Compensated, "", ""},
		"all, one refuses, others wait": {round(fanOut(0, "a=wait b=refuse c=wait"), adding("two")), saga.Compensated, "", ""},
		"all of none":                   {round(fanOut(0, ""), adding("two")), saga.Completed, "two", ""},
		"one of none":                   {round(adding("one"), fanOut(1, ""), adding("two")), saga.Compensated, "one un-one", ""},
		"the first":                     {round(fanOut(1, "a=wait b c=wait"), adding("two")), saga.Completed, "b two", "b"},
		"the first of one":              {round(fanOut(1, "a"), adding("two")), saga.Completed, "a two", "a"},
		"two of four":                   {round(fanOut(2, "a=wait b c=refuse d"), adding("two")), saga.Completed, "b d two", "b d"},
		"three of four, in vain":        {round(adding("one"), fanOut(3, "a=wait b c=refuse d=refuse"), adding("two")), saga.Compensated, "", ""},
		"undone":                        {round(fanOut(0, "a b c"), refusing("two")), saga.Compensated, "", ""},
		"two of four undone":            {round(fanOut(2, "a=wait b c=refuse d"), refusing("two")), saga.Compensated, "", ""},
		"twice the same":                {round(adding("one"), fanOut(0, "a b a")), saga.Parked, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := eventlogtest.New(t)
				start(t, l, test.saga, "x", count{})
				for range 20 { // the attempts of Keys
					drain(t, l, both(test.saga, errands)...)
					time.Sleep(time.Minute)
				}
				st := status(t, l, test.saga, "x")
				if log := strings.Join(st.Data.Log, " "); st.State != test.state || test.log != "" && log != test.log {
					t.Errorf("%s: %v %v", st.State, log, st.Err)
				}
				if got := strings.Join(balance(t, l), " "); got != test.out {
					t.Errorf("out: %q, want %q", got, test.out)
				}
				leftovers(t, l)
			})
		})
	}
}

// TestFirstOfMany: when several complete before the first is counted, one counts and
// the others go back.
func TestFirstOfMany(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	s := round(fanOut(1, "a b c d e"), adding("two"))
	all := both(s, errands)
	start(t, l, s, "x", count{})
	drain(t, l, slices.DeleteFunc(slices.Clone(all), func(h outbox.Handler) bool { return strings.HasSuffix(h.Type, "/child") })...)
	if out := balance(t, l); len(out) != 5 {
		t.Errorf("out: %v", out)
	}
	drain(t, l, all...)
	st := status(t, l, s, "x")
	if out := balance(t, l); len(out) != 1 || !slices.Equal(st.Data.Log, append(out, "two")) {
		t.Errorf("out: %v, log %v", out, st.Data)
	}
	leftovers(t, l)
}

// TestKeysThatFail: an error of Keys is tried again, then parks the instance, and Retry
// goes on; Abort refuses the step.
func TestKeysThatFail(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, abort := range []bool{false, true} {
			l := eventlogtest.New(t)
			fails := true
			step := fanOut(0, "a b")
			keys := step.Keys
			step.Keys = func(tx *eventlog.Tx, c *count, after string, n int) ([]string, error) {
				switch {
				case fails && after != "" && abort:
					return nil, outbox.Abort(errors.New("no keys"))
				case fails && after != "":
					return nil, errors.New("no keys")
				case after == "":
					n = 1
				}
				return keys(tx, c, after, n)
			}
			s := round(adding("one"), step, adding("two"))
			start(t, l, s, "x", count{})
			for range 20 {
				drain(t, l, both(s, errands)...)
				time.Sleep(time.Minute)
			}
			st := status(t, l, s, "x")
			if abort {
				if st.State != saga.Compensated || !strings.Contains(st.Err.Error(), "no keys") || len(balance(t, l)) > 0 {
					t.Errorf("%s: %v", st.State, st.Err)
				}
				continue
			}
			if st.State != saga.Parked || !strings.Contains(st.Err.Error(), "no keys") {
				t.Errorf("%s: %v", st.State, st.Err)
			}
			fails = false
			send(t, l, saga.Retry{Saga: "round", ID: "x"})
			drain(t, l, both(s, errands)...)
			if st := status(t, l, s, "x"); st.State != saga.Completed || st.Data.N != 4 {
				t.Errorf("%s: %v %v", st.State, st.Data, st.Err)
			}
			leftovers(t, l)
		}
	})
}

// small is a child of one step, for many.
var small = &saga.Saga[errand]{Name: "small", Version: 1, Steps: saga.Steps[errand]{{
	Name: "go",
	On:   func(e *errand) string { return "errand/" + e.Key[max(0, len(e.Key)-2):] },
	Do: func(tx *eventlog.Tx, e *errand) error {
		if e.Do == "refuse" {
			return outbox.Abort(errors.New("no"))
		}
		return tx.Append("errand/"+e.Key[max(0, len(e.Key)-2):], noted{"go"})
	},
	Undo: func(tx *eventlog.Tx, e *errand) error {
		return tx.Append("errand/"+e.Key[max(0, len(e.Key)-2):], noted{"come back"})
	},
}}}

func many(n int, refuse int) *saga.Saga[count] {
	return &saga.Saga[count]{Name: "round", Version: 1, Steps: saga.Steps[count]{{
		Name: "many",
		Keys: saga.Numbers(func(*count) int { return n }),
		Child: saga.Run(small, func(_ *count, key string) errand {
			e := errand{Key: key}
			if key == strconv.Itoa(refuse) {
				e.Do = "refuse"
			}
			return e
		}, nil),
	}}}
}

// TestManyChildren: a fan-out is spread in chunks, so that it may be of any size; and it
// is called back in chunks.
func TestManyChildren(t *testing.T) {
	t.Parallel()
	for _, refuse := range []int{-1, 1199} {
		t.Run(fmt.Sprint(refuse), func(t *testing.T) {
			t.Parallel()
			l := eventlogtest.New(t)
			s := many(1200, refuse)
			start(t, l, s, "x", count{})
			drain(t, l, both(s, small)...)
			st := status(t, l, s, "x")
			went, back := 0, 0
			for r, err := range l.Read(t.Context(), eventlog.Query{Category: "errand"}) {
				if err != nil {
					t.Fatal(err)
				}
				if strings.Contains(string(r.Data), "go") {
					went++
				} else {
					back++
				}
			}
			if refuse < 0 && (st.State != saga.Completed || went != 1200 || back != 0) {
				t.Errorf("%s: %d went, %d came back: %v", st.State, went, back, st.Err)
			}
			if refuse >= 0 && (st.State != saga.Compensated || went != back) {
				t.Errorf("%s: %d went, %d came back: %v", st.State, went, back, st.Err)
			}
			leftovers(t, l)
		})
	}
}

// TestLargeChildren: data and inputs that each just fit are spread over as many commits as
// it takes, and taken out again; what is too large refuses the step.
func TestLargeChildren(t *testing.T) {
	t.Parallel()
	for size, want := range map[int]saga.State{saga.MaxData - 100: saga.Completed, saga.MaxData: saga.Compensated} {
		l := eventlogtest.New(t)
		large := &saga.Saga[count]{Name: "round", Version: 1, Steps: saga.Steps[count]{adding("one"), {
			Name: "many",
			Keys: saga.Numbers(func(*count) int { return 6 }),
			Child: saga.Run(small, func(c *count, key string) errand { return errand{Key: key, Do: strings.Repeat("x", size)} },
				func(c *count, _ string, e errand) error { c.N += len(e.Do); return nil }),
		}, adding("two")}}
		start(t, l, large, "x", count{Log: []string{strings.Repeat("y", saga.MaxData-200)}})
		drain(t, l, both(large, small)...)
		st := status(t, l, large, "x")
		if st.State != want || want == saga.Completed && st.Data.N != 6*size+2 || want != saga.Completed && !strings.Contains(st.Err.Error(), "too large") {
			t.Errorf("%d bytes: %s: %d %v", size, st.State, st.Data.N, st.Err)
		}
		leftovers(t, l)
	}
}
