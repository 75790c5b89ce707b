package projection_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/projection/sqlsink"
)

// TestEveryEventTakesEffectExactlyOnce: runners crash, answers get lost, two
// runners share the sink, the log grows meanwhile; whatever happens, in the end
// the read model is what each event, taken once and in order, makes of it.
func TestEveryEventTakesEffectExactlyOnce(t *testing.T) {
	t.Parallel()
	runs := 25
	if os.Getenv("ROLLFORWARD_SOAK") != "" {
		runs = 1000
	}
	for seed := range runs {
		story := rapid.Custom(drawStory).Example(seed)
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			story.tell(t)
		})
	}
}

// A story is a random course of events.
type story struct {
	Shards  int
	Batch   int
	Runners int
	Writes  []write // in order; each of several streams
	Faults  []fault // of the calls of Apply, over all runners and lives
}

type write struct {
	Accounts []int
	Amounts  []int64
	Other    bool // an event that the projection does not know, too
}

func drawStory(t *rapid.T) story {
	return story{
		Shards:  rapid.IntRange(1, 4).Draw(t, "shards"),
		Batch:   rapid.IntRange(1, 20).Draw(t, "batch"),
		Runners: rapid.IntRange(1, 3).Draw(t, "runners"),
		Writes:  rapid.SliceOfN(rapid.Custom(drawWrite), 1, 80).Draw(t, "writes"),
		Faults:  rapid.SliceOfN(rapid.SampledFrom([]fault{none, none, none, refuse, rollback, lose, die, dieLate}), 0, 60).Draw(t, "faults"),
	}
}

func drawWrite(t *rapid.T) write {
	n := rapid.IntRange(1, 3).Draw(t, "accounts")
	return write{
		Accounts: rapid.SliceOfN(rapid.IntRange(0, accounts-1), n, n).Draw(t, "account"),
		Amounts:  rapid.SliceOfN(rapid.Int64Range(-99, 99), n, n).Draw(t, "amount"),
		Other:    rapid.IntRange(0, 3).Draw(t, "other") == 0,
	}
}

const accounts = 6

func account(i int) string { return fmt.Sprintf("account/%d", i) }

func (s *story) tell(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	log := eventlogtest.Open(t, &eventlog.Options{Shards: s.Shards})
	for i := range accounts {
		appendTo(t, log, account(i), Opened{fmt.Sprint("owner ", i)})
	}
	path := filepath.Join(t.TempDir(), "read.db")
	plan, written := s.plan(), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(written)
		s.write(ctx, t, log)
	})
	for range s.Runners {
		wg.Go(func() { s.live(ctx, t, log, path, plan, written) })
	}
	wg.Wait()

	sink := openSink(t, path)
	if diff := cmp.Diff(replay(t, log), dump(t, sink)); diff != "" {
		t.Errorf("story %+v\nread model (-want +got):\n%s", *s, diff)
	}
	if handled, skipped := counts(t, sink); handled != s.events(false) || skipped != s.events(true) {
		t.Errorf("story %+v\nhandled %d, want %d; skipped %d, want %d", *s, handled, s.events(false), skipped, s.events(true))
	}
}

// events counts the events that the projection does not know, or the others.
func (s *story) events(other bool) (n uint64) {
	if !other {
		n = accounts
	}
	for _, w := range s.Writes {
		switch {
		case !other:
			n += uint64(len(w.Accounts))
		case w.Other:
			n++
		}
	}
	return n
}

// counts returns what the sink says.
func counts(t *testing.T, sink *sqlsink.Sink) (handled, skipped uint64) {
	t.Helper()
	state, err := sink.State(t.Context(), "bank")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range state.Checkpoints {
		handled += c.Handled
		skipped += c.Skipped
	}
	return handled, skipped
}

func (s *story) write(ctx context.Context, t *testing.T, log *eventlog.Log) {
	for _, w := range s.Writes {
		_, err := log.Update(ctx, func(tx *eventlog.Tx) error {
			for i, a := range w.Accounts {
				if err := tx.Append(account(a), Posted{w.Amounts[i]}); err != nil {
					return err
				}
			}
			if w.Other {
				return tx.Append(account(w.Accounts[0]), Closed{})
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// plan hands the faults out, one a call.
func (s *story) plan() func() fault {
	var mu sync.Mutex
	left := s.Faults
	return func() fault {
		mu.Lock()
		defer mu.Unlock()
		if len(left) == 0 {
			return none
		}
		f := left[0]
		left = left[1:]
		return f
	}
}

// live runs one runner after another, each in place of the one that died, until
// one has applied all that was written.
func (s *story) live(ctx context.Context, t *testing.T, log *eventlog.Log, path string, plan func() fault, written <-chan struct{}) {
	for ctx.Err() == nil {
		sink, err := sqlsink.OpenSQLite(ctx, path)
		if err != nil {
			t.Error(err)
			return
		}
		life, end := context.WithCancel(ctx)
		f := newFaulty(sink, plan, end)
		r := &sqlsink.Runner{Log: log, Sink: f, Projections: []sqlsink.Projection{bank()}, Batch: s.Batch, Backoff: time.Microsecond}
		err = finish(life, r, written)
		end()
		if err := sink.Close(); err != nil {
			t.Error(err)
		}
		if f.dead.Load() {
			continue
		}
		if err != nil {
			t.Error(err)
		}
		return
	}
}

// finish catches up until nothing more is written.
func finish(ctx context.Context, r *sqlsink.Runner, written <-chan struct{}) error {
	for last := false; ; {
		select {
		case <-written:
			last = true
		default:
		}
		if err := r.CatchUp(ctx); err != nil || last {
			return err
		}
	}
}

// replay says what dump must say, from the log alone.
func replay(t testing.TB, log *eventlog.Log) string {
	t.Helper()
	balances, statements := "", ""
	for i := range accounts {
		var owner string
		var cents int64
		for r, err := range log.Read(context.Background(), eventlog.Query{Stream: account(i)}) {
			if err != nil {
				t.Fatal(err)
			}
			var o Opened
			var p Posted
			switch r.Type {
			case o.EventType():
				err = r.Decode(&o)
				owner = o.Owner
			case p.EventType():
				err = r.Decode(&p)
				cents += p.Amount
				statements += fmt.Sprintf("%s %d %d %d\n", r.Stream, r.Version, p.Amount, cents)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		balances += fmt.Sprintf("%s %s %d \n", account(i), owner, cents)
	}
	return balances + statements
}
