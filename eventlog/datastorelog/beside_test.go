package datastorelog

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"cloud.google.com/go/datastore"
	"google.golang.org/grpc/codes"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/internal/emulator"
)

// A counter is an entity of the user's.
type counter struct{ N int64 }

func counterKey(name string) *datastore.Key { return datastore.NameKey("Counter", name, nil) }

func value(t *testing.T, d *Log, name string) int64 {
	t.Helper()
	var c counter
	if err := d.Client().Get(t.Context(), counterKey(name), &c); err != nil && !errors.Is(err, datastore.ErrNoSuchEntity) {
		t.Fatal(err)
	}
	return c.N
}

// on opens a log on a server.
func on(t testing.TB, s server, project string, o *Options) (*eventlog.Log, *Log) {
	t.Helper()
	d := s.open(t, project, o)
	l, err := eventlog.Open(t.Context(), d, &eventlog.Options{Shards: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l, d
}

func version(t *testing.T, l *eventlog.Log, stream string) (n int) {
	t.Helper()
	for _, err := range l.Read(t.Context(), eventlog.Query{Stream: stream}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

// TestMutate: entities of the user's are written with the events, or neither is.
func TestMutate(t *testing.T) {
	t.Parallel()
	eachLeg(t, func(t *testing.T, leg leg) {
		l, d := on(t, leg.server(t), emulator.Project(), nil)
		mutate := func(stream string, mutations ...*datastore.Mutation) error {
			_, err := l.Update(t.Context(), func(tx *eventlog.Tx) error {
				if err := tx.Append(stream, noted{"x"}); err != nil {
					return err
				}
				_ = tx.Savepoint(func() error {
					return errors.Join(Mutate(tx, datastore.NewUpsert(counterKey("undone"), &counter{9})), errors.New("no"))
				})
				return Mutate(tx, mutations...)
			})
			return err
		}
		insert := datastore.NewInsert(counterKey("a"), &counter{1})
		if err := mutate("s/1", insert, datastore.NewUpsert(counterKey("b"), &counter{2})); err != nil {
			t.Fatal(err)
		}
		if a, b, v := value(t, d, "a"), value(t, d, "b"), version(t, l, "s/1"); a != 1 || b != 2 || v != 1 {
			t.Errorf("entities %d and %d, %d events", a, b, v)
		}
		if err := mutate("s/1", datastore.NewUpsert(counterKey("b"), &counter{3}), insert); !errors.Is(err, driver.ErrBeside) || errors.Is(err, eventlog.ErrUnavailable) {
			t.Errorf("an insert of what exists: %v", err)
		}
		if err := mutate("s/1", datastore.NewUpdate(counterKey("absent"), &counter{3})); !errors.Is(err, driver.ErrBeside) || errors.Is(err, eventlog.ErrUnavailable) {
			t.Errorf("an update of what does not exist: %v", err)
		}
		if err := mutate("s/1", datastore.NewInsert(nil, &counter{3})); !errors.Is(err, driver.ErrBeside) {
			t.Errorf("a mutation without a key: %v", err)
		}
		if b, v, undone := value(t, d, "b"), version(t, l, "s/1"), value(t, d, "undone"); b != 2 || v != 1 || undone != 0 {
			t.Errorf("after refusals: entity %d, %d events, undone %d", b, v, undone)
		}
		// Alone it is a commit without events, by whose place the outcome is known.
		if _, err := l.Update(t.Context(), func(tx *eventlog.Tx) error { return Mutate(tx, datastore.NewDelete(counterKey("a"))) }); err != nil || value(t, d, "a") != 0 {
			t.Errorf("a mutation alone: %v", err)
		}
	})
}

// increment counts an entity and a stream up together.
func increment(t *testing.T, l *eventlog.Log, stream string) error {
	_, err := Update(t.Context(), l, func(tx *eventlog.Tx, dtx *datastore.Transaction) error {
		var c counter
		if err := dtx.Get(counterKey(stream), &c); err != nil && !errors.Is(err, datastore.ErrNoSuchEntity) {
			return err
		}
		c.N++
		if _, err := dtx.Put(counterKey(stream), &c); err != nil {
			return err
		}
		return tx.Append(stream, noted{fmt.Sprint(c.N)})
	})
	return err
}

// inStep checks that the n-th event of a stream says n, and that the entity says
// how many there are.
func inStep(t *testing.T, l *eventlog.Log, d *Log, stream string, want int64) {
	t.Helper()
	n := int64(0)
	for r, err := range l.Read(t.Context(), eventlog.Query{Stream: stream}) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; string(r.Data) != fmt.Sprintf(`{"ID":"%d"}`, n) {
			t.Errorf("event %d of %s says %s", n, stream, r.Data)
		}
	}
	if c := value(t, d, stream); c != n || n != want {
		t.Errorf("%s: the entity says %d, there are %d events, expected %d", stream, c, n, want)
	}
}

// TestUpdateWithOthers: Updates of two processes and a stranger, who knows nothing
// of the log, count one entity up.
func TestUpdateWithOthers(t *testing.T) {
	t.Parallel()
	eachLeg(t, func(t *testing.T, leg leg) {
		s, project := leg.server(t), emulator.Project()
		one, d := on(t, s, project, nil)
		two, _ := on(t, s, project, nil)
		const each = 2
		var wg sync.WaitGroup
		for i, l := range []*eventlog.Log{one, two, one} {
			wg.Go(func() {
				for range each {
					if err := increment(t, l, fmt.Sprint("s/", i%2)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Go(func() { // touches what they read, and changes nothing
			for range each {
				_, err := d.Client().RunInTransaction(t.Context(), func(dtx *datastore.Transaction) error {
					var c counter
					if err := dtx.Get(counterKey("s/0"), &c); err != nil && !errors.Is(err, datastore.ErrNoSuchEntity) {
						return err
					}
					_, err := dtx.Put(counterKey("s/0"), &c)
					return err
				}, datastore.MaxAttempts(3))
				t.Logf("stranger: %v", err)
			}
		})
		wg.Wait()
		inStep(t, one, d, "s/0", 2*each)
		inStep(t, one, d, "s/1", each)
	})
}

// TestUpdateLostAnswers breaks Commits in each way: the entity and the events stay
// in step, and Update knows.
func TestUpdateLostAnswers(t *testing.T) {
	t.Parallel()
	eachLeg(t, func(t *testing.T, leg leg) {
		way := new(wire)
		l, d := on(t, leg.server(t), emulator.Project(), &Options{ClientOptions: way.options()})
		n := int64(0)
		for _, m := range []mishap{lose, drop, late, twice, fail} {
			for _, code := range []codes.Code{codes.Unavailable, codes.Internal} {
				way.inject(nth("Commit", 1, m, code))
				err := increment(t, l, "s/1")
				way.late.Wait()
				way.inject(nil)
				if m == fail && err == nil {
					t.Error("what was not sent succeeded")
				}
				if m != fail {
					n++
				}
				if err != nil && m != fail {
					t.Errorf("mishap %d with %s: %v", m, code, err)
				}
				inStep(t, l, d, "s/1", n)
			}
		}
		if err := increment(t, l, "s/1"); err != nil {
			t.Error(err)
		}
		inStep(t, l, d, "s/1", n+1)
	})
}

// TestUpdateThatGaveUp: a Commit that is still under way when Update has answered
// that nothing was written does not happen later.
func TestUpdateThatGaveUp(t *testing.T) {
	t.Parallel()
	eachLeg(t, func(t *testing.T, leg leg) {
		way := &wire{gate: make(chan struct{})}
		l, d := on(t, leg.server(t), emulator.Project(), &Options{ClientOptions: way.options()})
		way.inject(func(method string, n int) (mishap, codes.Code) {
			switch {
			case method == "Commit" && n == 1:
				return late, codes.Unavailable
			case method == "Rollback": // nor is it given up
				return fail, codes.Unavailable
			}
			return fine, codes.OK
		})
		runs, no := 0, errors.New("no")
		_, err := Update(t.Context(), l, func(tx *eventlog.Tx, dtx *datastore.Transaction) error {
			if runs++; runs > 1 {
				return no
			}
			if _, err := dtx.Put(counterKey("late"), &counter{1}); err != nil {
				return err
			}
			return tx.Append("s/late", noted{"1"})
		})
		if !errors.Is(err, no) || runs != 2 {
			t.Errorf("%v after %d runs", err, runs)
		}
		close(way.gate)
		way.late.Wait()
		if n, c := version(t, l, "s/late"), value(t, d, "late"); n != 0 || c != 0 {
			t.Errorf("what came to nothing happened later: %d events, entity %d", n, c)
		}
	})
}

func TestOtherStores(t *testing.T) {
	t.Parallel()
	l, err := eventlog.Open(t.Context(), memlog.Open(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := increment(t, l, "s/1"); !errors.Is(err, ErrOtherStore) {
		t.Errorf("Update: %v", err)
	}
	_, err = l.Update(t.Context(), func(tx *eventlog.Tx) error {
		if err := Mutate(tx); !errors.Is(err, ErrOtherStore) {
			t.Errorf("Mutate: %v", err)
		}
		return tx.Beside(mutated{})
	})
	if !errors.Is(err, driver.ErrBeside) {
		t.Errorf("a store in memory took entities: %v", err)
	}
}
