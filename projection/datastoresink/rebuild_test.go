package datastoresink_test

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"sync/atomic"
	"testing"

	"cloud.google.com/go/datastore"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/rollforward/rollforward/internal/emulator"
	"github.com/rollforward/rollforward/projection"
	"github.com/rollforward/rollforward/projection/datastoresink"
)

// TestRebuild: a rebuild has rows of its own; the others stay until Clear, which deletes
// them and no more. A lower version is a way back.
func TestRebuild(t *testing.T) {
	each(t, func(t *testing.T, l leg) {
		ctx := soon(t)
		log, sum, _ := newLog(t, 2, 30)
		c := l.client(t, emulator.Project(), nil)
		s := newSink(t, c, &datastoresink.Options{Namespace: "acme"})
		r := &datastoresink.Runner{Log: log, Sink: s, Projections: []datastoresink.Projection{sums}}
		var spaces []string
		for range 3 {
			if err := r.Rebuild(ctx, "sums"); err != nil {
				t.Fatal(err)
			}
			wantItems(t, c, s, "sums", sum)
			ns, err := s.Namespace(ctx, "sums")
			if err != nil || !strings.HasPrefix(ns, "acme.sums.") || len(ns) > 100 {
				t.Errorf("namespace %q, %v", ns, err)
			}
			spaces = append(spaces, ns)
		}
		for i, ns := range spaces {
			if n, err := c.Count(ctx, datastore.NewQuery("Item").Namespace(ns).KeysOnly()); err != nil || n != len(sum) {
				t.Errorf("build %d has %d rows, want %d; %v", i, n, len(sum), err)
			}
		}
		if n, err := s.Clear(ctx); err != nil || n != 2*len(sum) {
			t.Errorf("cleared %d, %v", n, err)
		}
		if n, err := s.Clear(ctx); err != nil || n != 0 {
			t.Errorf("again, cleared %d, %v", n, err)
		}
		wantItems(t, c, s, "sums", sum)
		state, err := s.State(ctx, "sums")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Reset(ctx, projection.Reset{Name: "sums", Held: state.Version, Version: 7, Shards: 2}, datastoresink.Empty); err != nil {
			t.Fatal(err)
		}
		if err := r.CatchUp(ctx); !errors.Is(err, projection.ErrVersion) {
			t.Errorf("an older program: %v", err)
		}
		if err := r.Rebuild(ctx, "sums"); err != nil {
			t.Fatal(err)
		}
		wantItems(t, c, s, "sums", sum)
	})
}

// TestClearInterrupted: many rows are deleted in many requests; when some fail for good,
// the next Clear goes on.
func TestClearInterrupted(t *testing.T) {
	each(t, func(t *testing.T, l leg) {
		ctx, project := soon(t), emulator.Project()
		var failing atomic.Bool
		var commits atomic.Int64
		c := l.client(t, project, func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, call grpc.UnaryInvoker, o ...grpc.CallOption) error {
			if path.Base(method) == "Commit" && failing.Load() && commits.Add(1) > 1 {
				return status.Error(codes.PermissionDenied, "not now")
			}
			return call(ctx, method, req, reply, cc, o...)
		})
		s := newSink(t, c, nil)
		const rows = 1234
		fill := func(tx *datastoresink.Tx) error {
			for i := range rows {
				key := datastore.IDKey("Line", int64(i+1), datastore.NameKey("Other", fmt.Sprint(i%3), nil))
				if err := tx.Put(key, &Item{i}); err != nil {
					return err
				}
			}
			return nil
		}
		for held := range 2 {
			if err := s.Reset(ctx, projection.Reset{Name: "many rows/é", Held: held, Version: 1, Shards: 1}, fill); err != nil {
				t.Fatal(err)
			}
		}
		failing.Store(true)
		first, err := s.Clear(ctx)
		if err == nil || first == 0 || first >= rows {
			t.Errorf("cleared %d, %v", first, err)
		}
		failing.Store(false)
		if rest, err := s.Clear(ctx); err != nil || first+rest != rows {
			t.Errorf("cleared %d, then %d, want %d; %v", first, rest, rows, err)
		}
		ns, err := s.Namespace(ctx, "many rows/é")
		if err != nil {
			t.Fatal(err)
		}
		if keys, err := c.GetAll(ctx, datastore.NewQuery("Line").Namespace(ns).KeysOnly(), nil); err != nil || len(keys) != rows {
			t.Errorf("%d rows are left, want %d; %v", len(keys), rows, err)
		}
	})
}

// TestLateApply: a transaction that began before a Reset writes nothing after it.
func TestLateApply(t *testing.T) {
	each(t, func(t *testing.T, l leg) {
		ctx, project := soon(t), emulator.Project()
		c := l.client(t, project, nil)
		s, other := newSink(t, c, nil), newSink(t, l.client(t, project, nil), nil)
		if err := s.Reset(ctx, projection.Reset{Name: "p", Version: 1, Shards: 1}, datastoresink.Empty); err != nil {
			t.Fatal(err)
		}
		var reset chan error
		runs := 0
		err := s.Apply(ctx, projection.Batch{Name: "p", Version: 1, Moves: []projection.Move{{To: projection.Checkpoint{Revision: 3}}}},
			func(tx *datastoresink.Tx) error {
				if runs++; runs > 1 {
					return errors.New("it runs again")
				}
				reset = make(chan error, 1)
				go func() {
					reset <- other.Reset(ctx, projection.Reset{Name: "p", Held: 1, Version: 2, Shards: 1}, datastoresink.Empty)
				}()
				if !l.pessimistic { // otherwise it waits for this transaction
					reset <- <-reset
				}
				return add(tx, "late", 1)
			})
		if wrong := <-reset; wrong != nil {
			t.Fatal(wrong)
		}
		state, wrong := s.State(ctx, "p")
		if wrong != nil || state.Version != 2 || state.Position().Revision(0) != 0 {
			t.Errorf("%+v, %v", state, wrong)
		}
		wantItems(t, c, s, "p", map[string]int{})
		if !l.pessimistic && !errors.Is(err, projection.ErrMoved) {
			t.Errorf("the Apply: %v", err)
		}
	})
}

func TestNewerFormat(t *testing.T) {
	each(t, func(t *testing.T, l leg) {
		ctx := soon(t)
		c := l.client(t, emulator.Project(), nil)
		type held struct{ Format, Version int }
		if _, err := c.Put(ctx, datastore.NameKey("rollforward_projection", "p", nil), &held{2, 1}); err != nil {
			t.Fatal(err)
		}
		s := newSink(t, c, nil)
		if _, err := s.State(ctx, "p"); !errors.Is(err, datastoresink.ErrFormat) {
			t.Errorf("State: %v", err)
		}
		if err := s.Reset(ctx, projection.Reset{Name: "p", Held: 1, Version: 1}, datastoresink.Empty); !errors.Is(err, datastoresink.ErrFormat) {
			t.Errorf("Reset: %v", err)
		}
	})
}
