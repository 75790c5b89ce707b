package dsfake_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cloud.google.com/go/datastore"
	pb "cloud.google.com/go/datastore/apiv1/datastorepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/rollforward/rollforward/internal/dsfake"
)

// row is an entity of a user of the client library.
type row struct{ N int }

func client(t *testing.T, s fakeServer) *datastore.Client {
	t.Helper()
	c, err := s.Client(t.Context(), "project", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// inBubble runs a test with server and client in a bubble whose clock stands still
// while anybody has something to do.
func inBubble(t *testing.T, opts *dsfake.Options, f func(t *testing.T, s fakeServer, c *datastore.Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := fake(t, opts)
		f(t, s, client(t, s))
	})
}

// on calls f for each Commit.
func on(method string, f func() error) func(context.Context, dsfake.Call) error {
	return func(_ context.Context, c dsfake.Call) error {
		if c.Method != method {
			return nil
		}
		return f()
	}
}

func TestARefusedCallIsNotApplied(t *testing.T) {
	t.Parallel()
	s := fake(t, nil)
	c := client(t, s)
	s.SetFaults(dsfake.Faults{Before: on("Commit", func() error { return status.Error(codes.ResourceExhausted, "quota") })})
	k := datastore.NameKey("Row", "a", nil)
	if _, err := c.Put(t.Context(), k, &row{1}); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a refused commit answers %v", err)
	}
	s.SetFaults(dsfake.Faults{})
	if err := c.Get(t.Context(), k, &row{}); err != datastore.ErrNoSuchEntity {
		t.Errorf("a refused commit was applied: %v", err)
	}
}

func TestALostAnswerIsApplied(t *testing.T) {
	t.Parallel()
	s := fake(t, nil)
	c := client(t, s)
	s.SetFaults(dsfake.Faults{After: on("Commit", func() error { return status.Error(codes.Unknown, "lost") })})
	k := datastore.NameKey("Row", "a", nil)
	if _, err := c.Put(t.Context(), k, &row{1}); status.Code(err) != codes.Unknown {
		t.Errorf("a lost answer is %v", err)
	}
	if err := c.Get(t.Context(), k, &row{}); err != nil {
		t.Errorf("a commit whose answer was lost was not applied: %v", err)
	}
}

// TestTheLibraryRepeatsABlindInsert is the trap that every insert must be ready for: the
// library itself repeats what failed with Unavailable.
func TestTheLibraryRepeatsABlindInsert(t *testing.T) {
	t.Parallel()
	s := fake(t, nil)
	c := client(t, s)
	var once sync.Once
	s.SetFaults(dsfake.Faults{After: on("Commit", func() (err error) {
		once.Do(func() { err = status.Error(codes.Unavailable, "lost") })
		return err
	})})
	_, err := c.Mutate(t.Context(), datastore.NewInsert(datastore.NameKey("Row", "a", nil), &row{1}))
	if n := s.Counts().Calls["Commit"]; status.Code(err) != codes.AlreadyExists || n != 2 {
		t.Errorf("after %d commits the insert answers %v", n, err)
	}
}

func TestADelayedCallIsAppliedThoughItsCallerHasGone(t *testing.T) {
	t.Parallel()
	s := fake(t, nil)
	c := client(t, s)
	release, applied := make(chan struct{}), make(chan struct{})
	s.SetFaults(dsfake.Faults{
		Before: on("Commit", func() error { <-release; return nil }),
		After:  on("Commit", func() error { close(applied); return nil }),
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	k := datastore.NameKey("Row", "a", nil)
	if _, err := c.Put(ctx, k, &row{1}); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("the caller of a delayed commit hears %v", err)
	}
	if err := c.Get(t.Context(), k, &row{}); err != datastore.ErrNoSuchEntity {
		t.Errorf("it was applied before it arrived: %v", err)
	}
	close(release)
	<-applied
	if err := c.Get(t.Context(), k, &row{}); err != nil {
		t.Errorf("it was not applied: %v", err)
	}
}

func TestOthersSeeHalfOfACommitOutsideOfATransaction(t *testing.T) {
	t.Parallel()
	s := fake(t, nil)
	c := client(t, s)
	a, b := datastore.NameKey("Row", "a", nil), datastore.NameKey("Row", "b", nil)
	seen := make(chan error, 1)
	s.SetFaults(dsfake.Faults{Between: func(ctx context.Context, _ dsfake.Call, mutation int) error {
		seen <- errors.Join(c.Get(ctx, a, &row{}), c.Get(ctx, b, &row{}))
		return status.Error(codes.Internal, fmt.Sprint("before ", mutation))
	}})
	if _, err := c.PutMulti(t.Context(), []*datastore.Key{a, b}, []row{{1}, {2}}); status.Code(err) != codes.Internal {
		t.Errorf("got %v", err)
	}
	if err := <-seen; err == nil || !errors.Is(err, datastore.ErrNoSuchEntity) || err.Error() != datastore.ErrNoSuchEntity.Error() {
		t.Errorf("of two entities one should be seen: %v", err)
	}
	if err := c.Get(t.Context(), b, &row{}); err != datastore.ErrNoSuchEntity {
		t.Errorf("what fails in between leaves the rest out: %v", err)
	}
}

func TestAServerThatIsAwayKeepsItsData(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s fakeServer, c *datastore.Client) {
		k := datastore.NameKey("Row", "a", nil)
		if _, err := c.Put(t.Context(), k, &row{1}); err != nil {
			t.Fatal(err)
		}
		s.Down()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if err := c.Get(ctx, k, &row{}); status.Code(err) != codes.DeadlineExceeded && status.Code(err) != codes.Unavailable {
			t.Errorf("a server that is away answers %v", err)
		}
		s.Up()
		if err := c.Get(t.Context(), k, &row{}); err != nil {
			t.Errorf("a server that is back answers %v", err)
		}
	})
}

func TestTransactionsExpire(t *testing.T) {
	k := datastore.NameKey("Row", "a", nil)
	for _, mode := range []dsfake.Mode{dsfake.Optimistic, dsfake.Pessimistic} {
		t.Run(mode.String(), func(t *testing.T) {
			inBubble(t, &dsfake.Options{Mode: mode}, func(t *testing.T, s fakeServer, c *datastore.Client) {
				for _, x := range []struct {
					pause   time.Duration
					times   int
					expired bool
				}{{59 * time.Second, 1, false}, {61 * time.Second, 1, true}, {50 * time.Second, 5, false}, {50 * time.Second, 6, true}} {
					tx, err := c.NewTransaction(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					err = nil
					for range x.times {
						if err == nil || err == datastore.ErrNoSuchEntity {
							err = tx.Get(k, &row{})
						}
						time.Sleep(x.pause)
					}
					tx.Put(datastore.NameKey("Row", "other", nil), &row{1})
					_, err = tx.Commit()
					if expired := status.Code(err) == codes.InvalidArgument; expired != x.expired || !expired && err != nil {
						t.Errorf("%d times %v later: %v", x.times, x.pause, err)
					}
				}
			})
		})
	}
}

func TestLocksEndWithTheirTransaction(t *testing.T) {
	inBubble(t, &dsfake.Options{Mode: dsfake.Pessimistic}, func(t *testing.T, s fakeServer, c *datastore.Client) {
		k := datastore.NameKey("Row", "a", nil)
		forgotten, err := c.NewTransaction(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := forgotten.Get(k, &row{}); err != datastore.ErrNoSuchEntity {
			t.Fatal(err)
		}
		began := time.Now()
		_, err = c.RunInTransaction(t.Context(), func(tx *datastore.Transaction) error {
			_, err := tx.Put(k, &row{1})
			return err
		}, datastore.MaxAttempts(1))
		if err != datastore.ErrConcurrentTransaction || time.Since(began) != 2*time.Second {
			t.Errorf("a commit that waits for a lock hears %v after %v", err, time.Since(began))
		}
		if _, err := c.Put(t.Context(), k, &row{2}); err != nil || time.Since(began) != time.Minute {
			t.Errorf("a write hears %v after %v, of a transaction that is forgotten", err, time.Since(began))
		}
	})
}

// TestIncrements holds that transactions of many goroutines, as the library runs them,
// do not lose an update in either mode.
func TestIncrements(t *testing.T) {
	const writers, times = 8, 10
	for _, mode := range []dsfake.Mode{dsfake.Optimistic, dsfake.Pessimistic} {
		t.Run(mode.String(), func(t *testing.T) {
			inBubble(t, &dsfake.Options{Mode: mode}, func(t *testing.T, s fakeServer, c *datastore.Client) {
				k := datastore.NameKey("Row", "a", nil)
				var all sync.WaitGroup
				for range writers {
					all.Go(func() {
						for range times {
							_, err := c.RunInTransaction(t.Context(), func(tx *datastore.Transaction) error {
								var r row
								if err := tx.Get(k, &r); err != nil && err != datastore.ErrNoSuchEntity {
									return err
								}
								r.N++
								_, err := tx.Put(k, &r)
								return err
							}, datastore.MaxAttempts(1000))
							if err != nil {
								t.Error(err)
							}
						}
					})
				}
				all.Wait()
				var r row
				if err := c.Get(t.Context(), k, &r); err != nil || r.N != writers*times {
					t.Errorf("%d increments made %v: %v", writers*times, r, err)
				}
			})
		})
	}
}

func TestCounts(t *testing.T) {
	t.Parallel()
	s := fake(t, nil)
	c := client(t, s)
	type tagged struct {
		Tags []string
		N    int
		Note string `datastore:",noindex"`
	}
	counted := func(what string, do func() error) dsfake.Counts {
		before := s.Counts()
		if err := do(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		return s.Counts().Sub(before)
	}
	ctx := t.Context()
	a, b := datastore.NameKey("T", "a", nil), datastore.NameKey("T", "b", nil)
	for _, x := range []struct {
		what string
		do   func() error
		want dsfake.Counts
	}{
		{"two puts", func() error {
			_, err := c.PutMulti(ctx, []*datastore.Key{a, b}, []tagged{{[]string{"x", "y"}, 1, "n"}, {[]string{"x"}, 2, ""}})
			return err
		}, dsfake.Counts{EntityWrites: 2, IndexEntries: 5}},
		{"a changed value", func() error { _, err := c.Put(ctx, b, &tagged{[]string{"z"}, 2, ""}); return err }, dsfake.Counts{EntityWrites: 1, IndexEntries: 2}},
		{"a get", func() error { return c.Get(ctx, a, &tagged{}) }, dsfake.Counts{EntityReads: 1}},
		{"a query", func() error { var ts []tagged; _, err := c.GetAll(ctx, datastore.NewQuery("T"), &ts); return err }, dsfake.Counts{EntityReads: 2}},
		{"a query without results", func() error { var ts []tagged; _, err := c.GetAll(ctx, datastore.NewQuery("None"), &ts); return err }, dsfake.Counts{EntityReads: 1}},
		{"keys", func() error { _, err := c.GetAll(ctx, datastore.NewQuery("T").KeysOnly(), nil); return err }, dsfake.Counts{EntityReads: 1, SmallOperations: 2}},
		{"a projection", func() error {
			var ts []tagged
			_, err := c.GetAll(ctx, datastore.NewQuery("T").Project("Tags"), &ts)
			return err
		}, dsfake.Counts{EntityReads: 1, SmallOperations: 3}},
		{"a count", func() error { _, err := c.Count(ctx, datastore.NewQuery("T")); return err }, dsfake.Counts{EntityReads: 1, SmallOperations: 2}},
		{"a delete", func() error { return c.Delete(ctx, a) }, dsfake.Counts{EntityDeletes: 1, IndexEntries: 3}},
	} {
		got := counted(x.what, x.do)
		got.Calls = nil
		if fmt.Sprint(got) != fmt.Sprint(x.want) {
			t.Errorf("%s counts as %+v, want %+v", x.what, got, x.want)
		}
	}
	if n := s.Counts().Calls["Commit"]; n != 3 {
		t.Errorf("%d commits", n)
	}
}

func TestWhatIsNotThereIsUnimplemented(t *testing.T) {
	t.Parallel()
	s := fake(t, nil)
	c := client(t, s)
	_, err := c.Run(t.Context(), datastore.NewQuery("T").FilterField("N", "in", []any{1, 2})).Next(&row{})
	if status.Code(err) != codes.Unimplemented {
		t.Errorf("an IN filter answers %v", err)
	}
	m := datastore.NewUpsert(datastore.NameKey("T", "a", nil), &row{1}).WithTransforms(datastore.Increment("N", 1))
	if _, err := c.Mutate(t.Context(), m); status.Code(err) != codes.Unimplemented {
		t.Errorf("a transform answers %v", err)
	}
}

func ExampleServer() {
	s := dsfake.New(&dsfake.Options{Mode: dsfake.Pessimistic})
	defer s.Close()
	ctx := context.Background()
	c, err := s.Client(ctx, "project", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	s.SetFaults(dsfake.Faults{Before: func(_ context.Context, c dsfake.Call) error {
		if commit, ok := c.Request.(*pb.CommitRequest); ok && len(commit.Mutations) > 1 {
			return status.Error(codes.ResourceExhausted, "not so many")
		}
		return nil
	}})
	a, b := datastore.NameKey("Row", "a", nil), datastore.NameKey("Row", "b", nil)
	_, err = c.PutMulti(ctx, []*datastore.Key{a, b}, []row{{1}, {2}})
	fmt.Println(status.Code(err))
	_, err = c.Put(ctx, a, &row{1})
	fmt.Println(err, s.Counts().EntityWrites)
	// Output:
	// ResourceExhausted
	// <nil> 1
}
