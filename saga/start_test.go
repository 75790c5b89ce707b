package saga_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/outbox"
	"github.com/rollforward/rollforward/saga"
)

func TestStartIsIdempotent(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	open(t, l, "account/a", 100)
	open(t, l, "account/b", 0)
	in := Transfer{"account/a", "account/b", 10}
	start(t, l, &transfer, "1", in)
	start(t, l, &transfer, "1", in)
	drain(t, l, transfer.Handlers()...)
	start(t, l, &transfer, "1", in)
	drain(t, l, transfer.Handlers()...)
	if got := postings(t, l, "account/a"); !slices.Equal(got, []int64{100, -10}) {
		t.Errorf("postings %v", got)
	}
	in.Amount++
	_, err := l.Update(t.Context(), func(tx *eventlog.Tx) error { return transfer.Start(tx, "1", in) })
	if !errors.Is(err, eventlog.ErrIDReused) || !strings.Contains(err.Error(), "transfer/1") {
		t.Errorf("got %v", err)
	}
	_, err = l.Update(t.Context(), func(tx *eventlog.Tx) error { // twice in one transaction
		if err := transfer.Start(tx, "2", in); err != nil {
			return err
		}
		return transfer.Start(tx, "2", in)
	})
	if err != nil {
		t.Error(err)
	}
	drain(t, l, transfer.Handlers()...)
	if got := postings(t, l, "account/a"); !slices.Equal(got, []int64{100, -10, -11}) {
		t.Errorf("postings %v", got)
	}
}

func TestStartRefuses(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	ok := saga.Step[trip]{Name: "one", On: on("note/1"), Do: note("note/1", "one")}
	tests := map[string]struct {
		saga *saga.Saga[trip]
		id   string
		want error
	}{
		"no name":        {&saga.Saga[trip]{Steps: saga.Steps[trip]{ok}}, "1", saga.ErrDefinition},
		"a slash":        {&saga.Saga[trip]{Name: "a/b", Steps: saga.Steps[trip]{ok}}, "1", saga.ErrDefinition},
		"no steps":       {tripOf(), "1", saga.ErrDefinition},
		"no step name":   {tripOf(saga.Step[trip]{On: ok.On, Do: ok.Do}), "1", saga.ErrDefinition},
		"no On":          {tripOf(saga.Step[trip]{Name: "x", Do: ok.Do}), "1", saga.ErrDefinition},
		"no Do":          {tripOf(saga.Step[trip]{Name: "x", On: ok.On}), "1", saga.ErrDefinition},
		"the same twice": {tripOf(ok, ok), "1", saga.ErrDefinition},
		"too much":       {tripOf(ok), "1", eventlog.ErrTooLarge},
		"no id":          {tripOf(ok), "", saga.ErrID},
		"a broken id":    {tripOf(ok), "\x00", eventlog.ErrName},
		"no target":      {tripOf(saga.Step[trip]{Name: "x", On: on(""), Do: ok.Do}), "1", outbox.ErrStep},
	}
	for name, test := range tests {
		_, err := l.Update(t.Context(), func(tx *eventlog.Tx) error {
			in := trip{}
			if name == "too much" {
				in.Seen = []string{strings.Repeat("x", saga.MaxData)}
			}
			err := test.saga.Start(tx, test.id, in)
			if !errors.Is(err, test.want) {
				t.Errorf("%s: got %v, want %v", name, err, test.want)
			}
			return nil // a refused start leaves nothing behind
		})
		if err != nil {
			t.Fatal(err)
		}
		if errors.Is(test.want, saga.ErrDefinition) {
			func() {
				defer func() {
					if p := recover(); p == nil {
						t.Errorf("%s: Handlers does not panic", name)
					}
				}()
				test.saga.Handlers()
			}()
		}
	}
	if p, err := l.Position(t.Context()); err != nil || !p.IsZero() {
		t.Errorf("the log is at %v (%v)", p, err)
	}
}
