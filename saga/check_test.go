package saga_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/outbox"
	"github.com/rollforward/rollforward/saga"
)

// TestDefinitions: what makes no sense is refused when the program starts, and the error
// says where and why.
func TestDefinitions(t *testing.T) {
	t.Parallel()
	type step = saga.Step[count]
	call := func(context.Context, string, *count) error { return nil }
	child := saga.Run(errands, func(*count, string) errand { return errand{} }, nil)
	noUndo := &saga.Saga[errand]{Name: "x", Steps: saga.Steps[errand]{{Name: "go", On: (*errand).stream, Do: func(*eventlog.Tx, *errand) error { return nil }}}}
	one := adding("one")
	for says, s := range map[string]*saga.Saga[count]{
		"name":                                      {Steps: saga.Steps[count]{one}},
		`"a/b"`:                                     {Name: "a/b", Steps: saga.Steps[count]{one}},
		"no steps":                                  round(),
		"version -1":                                {Name: "x", Version: -1, Steps: saga.Steps[count]{one}},
		"Deadline is -1ns":                          {Name: "x", Deadline: -1, Steps: saga.Steps[count]{one}},
		"Deadline is 2562047h":                      {Name: "x", Deadline: 1<<63 - 1, Steps: saga.Steps[count]{one}},
		`step 0 (""): the name`:                     round(step{On: one.On, Do: one.Do}),
		`step 0 ("$x"): the name`:                   round(step{Name: "$x", On: one.On, Do: one.Do}),
		`step 0 ("a/b"): the name`:                  round(step{Name: "a/b", On: one.On, Do: one.Do}),
		`step 1 ("one"): the name is taken`:         round(one, one),
		"it does nothing":                           round(step{Name: "x"}),
		"a change needs On and Do":                  round(step{Name: "x", Do: one.Do}),
		"change needs On":                           round(step{Name: "x", On: one.On}),
		"needs On and Do":                           round(step{Name: "x", Undo: one.Undo, On: one.On}),
		"a Recall without a Call":                   round(step{Name: "x", Recall: call}),
		"one of Wait and Until":                     round(step{Name: "x", Wait: time.Hour, Until: func(*count) time.Time { return time.Time{} }}),
		"Wait is -1h0m0s":                           round(step{Name: "x", Wait: -time.Hour}),
		"a signal needs a name":                     round(step{Name: "x", Signal: saga.On("", func(*count, int) error { return nil })}),
		"a signal needs a name and":                 round(step{Name: "x", Signal: saga.On[count, int]("x", nil)}),
		"Keys and Need are for a Child":             round(step{Name: "x", Keys: saga.Numbers(func(*count) int { return 1 })}),
		"makes its input":                           round(step{Name: "x", Child: saga.Run[count](errands, nil, nil)}),
		"are for a Child":                           round(step{Name: "x", Child: saga.Run((*saga.Saga[errand])(nil), func(*count, string) errand { return errand{} }, nil)}),
		"Need is for a fan-out":                     round(step{Name: "x", Child: child, Need: func(*count) int { return 1 }}),
		`step "go" of the child x has no Undo`:      round(step{Name: "x", Child: saga.Run(noUndo, func(*count, string) errand { return errand{} }, nil)}),
		"it is a change and a call":                 round(with(one, func(s *step) { s.Call = call })),
		"it is a change and a wait":                 round(with(one, func(s *step) { s.Wait = 1 })),
		"it is a call and a child":                  round(step{Name: "x", Call: call, Child: child}),
		"it is a wait and a signal":                 round(with(hear("x"), func(s *step) { s.Wait = 1 })),
		"Next and Routes":                           round(with(one, func(s *step) { s.Routes = []string{saga.End} })),
		"Next and Routes need each other":           round(with(one, func(s *step) { s.Next = func(*count) string { return "" } })),
		`there is no step "two" to go on at`:        round(with(one, func(s *step) { s.Next, s.Routes = func(*count) string { return "" }, []string{"two"} })),
		`two routes to "one"`:                       round(with(one, func(s *step) { s.Next, s.Routes = func(*count) string { return "" }, []string{"one", "one"} })),
		"Timeout is -1ns":                           round(with(one, func(s *step) { s.Timeout = -1 })),
		"a wait has no Timeout":                     round(step{Name: "x", Wait: 1, Timeout: 1}),
		"a branch has no Timeout":                   round(step{Name: "x", Next: func(*count) string { return saga.End }, Routes: []string{saga.End}, Timeout: 1}),
		"OnTimeout without Timeout":                 round(with(one, func(s *step) { s.OnTimeout = saga.End })),
		`no step "two" to go on at after the timeo`: round(with(one, func(s *step) { s.Timeout, s.OnTimeout = 1, "two" })),
	} {
		err := refusal(s)
		if !errors.Is(err, saga.ErrDefinition) || !strings.Contains(err.Error(), says) {
			t.Errorf("%q expected, got %v", says, err)
		}
	}
	good := round(one)
	for says, change := range map[string]func(*saga.Saga[count]){
		"an earlier version is nil":           func(s *saga.Saga[count]) { s.Earlier = []saga.Definition{nil} },
		"an earlier version is called errand": func(s *saga.Saga[count]) { s.Earlier = []saga.Definition{errands} },
		"version 2 is named twice":            func(s *saga.Saga[count]) { s.Earlier = []saga.Definition{s} },
		"version 1 is named twice": func(s *saga.Saga[count]) {
			s.Earlier, s.Migrations = []saga.Definition{good}, []saga.Migration[count]{{From: 1}}
		},
		"version 2 is older than 3": func(s *saga.Saga[count]) { s.Migrations = []saga.Migration[count]{{From: 3}} },
		`there is no step "eins" for "one"`: func(s *saga.Saga[count]) {
			s.Migrations = []saga.Migration[count]{{From: 1, Steps: map[string]string{"one": "eins"}}}
		},
		"no steps": func(s *saga.Saga[count]) { s.Earlier = []saga.Definition{round()} },
	} {
		s := round(one)
		s.Version = 2
		change(s)
		if err := refusal(s); !errors.Is(err, saga.ErrDefinition) || !strings.Contains(err.Error(), says) {
			t.Errorf("%q expected, got %v", says, err)
		}
	}
	for _, s := range []*saga.Saga[count]{good, round(hear("a")), round(step{Name: "x", Child: child}), round(step{Name: "x", Call: call, Recall: saga.NoRecall[count]}),
		round(with(one, func(s *step) { s.Undo, s.Policy = saga.NoUndo[count], outbox.Policy{Attempts: -1} }))} {
		if err := refusal(s); err != nil {
			t.Error(err)
		}
	}
}

// refusal is what Handlers says to a definition.
func refusal(s *saga.Saga[count]) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = p.(error)
		}
	}()
	s.Handlers()
	return nil
}
