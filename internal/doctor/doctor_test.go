package doctor_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/internal/doctor"
)

type noted struct{}

func (noted) EventType() string { return "noted" }

func level(t *testing.T, r doctor.Report, check string) doctor.Level {
	t.Helper()
	for _, f := range r {
		if f.Check == check {
			if (f.Level == doctor.Good) != (f.Do == "") {
				t.Errorf("%+v: what is well needs nothing done, what is not needs something", f)
			}
			return f.Level
		}
	}
	t.Errorf("no finding about %s: %+v", check, r)
	return ""
}

func TestALogThatIsWell(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	if r := doctor.Log(t.Context(), l); level(t, r, "last commit") != doctor.Good || r.Err() != nil {
		t.Errorf("an empty log: %+v", r)
	}
	if _, err := l.Append(t.Context(), "a", nil, noted{}); err != nil {
		t.Fatal(err)
	}
	if r := doctor.Log(t.Context(), l); level(t, r, "last commit") != doctor.Good || level(t, r, "shards") != doctor.Good || r.Err() != nil {
		t.Errorf("a log with an event: %+v", r)
	}
}

// A log whose last commit is of a time that has not come yet, as of a machine whose clock
// is fast: here the clock of the bubble, which begins with the year 2000, is slow.
func TestACommitFromTheFuture(t *testing.T) {
	store := memlog.Open()
	l, err := eventlog.Open(t.Context(), store, nil)
	if err == nil {
		_, err = l.Append(t.Context(), "a", nil, noted{})
	}
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	synctest.Test(t, func(t *testing.T) {
		r := doctor.Log(t.Context(), l)
		if level(t, r, "last commit") != doctor.Bad || r.Err() == nil || !strings.Contains(r.Err().Error(), "last commit") {
			t.Errorf("%+v", r)
		}
	})
}

// away is a store that does not answer any more.
type away struct {
	driver.Log
	gone *atomic.Bool
}

func (a away) Tail(ctx context.Context, shard int) (driver.Revision, error) {
	if a.gone.Load() {
		return 0, context.DeadlineExceeded
	}
	return a.Log.Tail(ctx, shard)
}

func TestAStoreThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	gone := new(atomic.Bool)
	l, err := eventlog.Open(t.Context(), away{memlog.Open(), gone}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	gone.Store(true)
	if r := doctor.Log(t.Context(), l); level(t, r, "manifest") != doctor.Bad {
		t.Errorf("%+v", r)
	}
}

func TestClock(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]doctor.Level{
		0: doctor.Good, 200 * time.Millisecond: doctor.Good, -200 * time.Millisecond: doctor.Good, 300 * time.Millisecond: doctor.Warning,
		-300 * time.Millisecond: doctor.Warning, 2 * time.Second: doctor.Bad, -time.Hour: doctor.Bad,
	} {
		var r doctor.Report
		r.Clock("clock", d, "the other one")
		if got := level(t, r, "clock"); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}
