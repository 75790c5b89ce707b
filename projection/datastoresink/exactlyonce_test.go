package datastoresink_test

import (
	"context"
	"errors"
	"path"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/rollforward/rollforward/internal/emulator"
	"github.com/rollforward/rollforward/projection"
	"github.com/rollforward/rollforward/projection/datastoresink"
)

// A network between a client and its server: it refuses each so-manieth call, or loses
// its answer.
type network struct {
	refuse, lose int64 // 0: never
	code         codes.Code
	calls, hurt  atomic.Int64
}

func (n *network) between(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, call grpc.UnaryInvoker, o ...grpc.CallOption) error {
	i := n.calls.Add(1)
	if n.refuse > 0 && i%n.refuse == 0 {
		n.hurt.Add(1)
		return status.Error(n.code, "refused "+path.Base(method))
	}
	err := call(ctx, method, req, reply, cc, o...)
	if err == nil && n.lose > 0 && i%n.lose == 0 {
		n.hurt.Add(1)
		return status.Error(n.code, "lost the answer of "+path.Base(method))
	}
	return err
}

// TestLostAnswers: whichever call is refused or loses its answer, each event takes effect
// once, and no event is blamed for it.
func TestLostAnswers(t *testing.T) {
	each(t, func(t *testing.T, l leg) {
		for _, code := range []codes.Code{codes.Unavailable, codes.Internal, codes.DeadlineExceeded, codes.InvalidArgument} {
			t.Run(code.String(), func(t *testing.T) {
				t.Parallel()
				n := &network{refuse: 41, lose: 17, code: code}
				log, sum, each := newLog(t, 2, 40)
				project := emulator.Project()
				s := newSink(t, l.client(t, project, n.between), nil)
				r := &datastoresink.Runner{Log: log, Sink: s, Batch: 4, Backoff: time.Millisecond, Attempts: 1,
					Projections: []datastoresink.Projection{sums, postings}}
				ctx := soon(t)
				if err := r.CatchUp(ctx); err != nil {
					t.Fatal(err)
				}
				c := l.client(t, project, nil)
				s = newSink(t, c, nil)
				wantItems(t, c, s, "sums", sum)
				wantItems(t, c, s, "postings", each)
				if n.hurt.Load() < 10 {
					t.Errorf("only %d of %d calls went wrong", n.hurt.Load(), n.calls.Load())
				}
			})
		}
	})
}

// TestTwoRunners: two processes with the same projections, whose shards all write one
// row: each event takes effect once, and both come to the end.
func TestTwoRunners(t *testing.T) {
	each(t, func(t *testing.T, l leg) {
		log, sum, each := newLog(t, 4, 60)
		project := emulator.Project()
		c := l.client(t, project, nil)
		var wg sync.WaitGroup
		for range 2 {
			r := &datastoresink.Runner{Log: log, Sink: newSink(t, l.client(t, project, nil), nil), Batch: 16,
				Projections: []datastoresink.Projection{sums, postings}}
			wg.Go(func() {
				if err := r.CatchUp(soon(t)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		s := newSink(t, c, nil)
		wantItems(t, c, s, "sums", sum)
		wantItems(t, c, s, "postings", each)
	})
}

// TestServerAway: without a server every call ends with an error when its time is up.
func TestServerAway(t *testing.T) {
	each(t, func(t *testing.T, l leg) {
		away := func(ctx context.Context, _ string, _, _ any, _ *grpc.ClientConn, _ grpc.UnaryInvoker, _ ...grpc.CallOption) error {
			<-ctx.Done() // as the client library waits for a connection
			return status.FromContextError(ctx.Err()).Err()
		}
		s := newSink(t, l.client(t, emulator.Project(), away), &datastoresink.Options{Timeout: 50 * time.Millisecond})
		nothing := func(*datastoresink.Tx) error { return nil }
		ctx := context.Background()
		for name, call := range map[string]func() error{
			"State":     func() error { _, err := s.State(ctx, "p"); return err },
			"Namespace": func() error { _, err := s.Namespace(ctx, "p"); return err },
			"Note":      func() error { return s.Note(ctx, "p", &projection.Stop{}) },
			"Reset":     func() error { return s.Reset(ctx, projection.Reset{Name: "p", Version: 1, Shards: 1}, nothing) },
			"Clear":     func() error { _, err := s.Clear(ctx); return err },
			"Apply": func() error {
				return s.Apply(ctx, projection.Batch{Name: "p", Version: 1, Moves: make([]projection.Move, 1)}, nothing)
			},
		} {
			if err := call(); err == nil || errors.Is(err, projection.ErrMoved) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// TestLostCommit: a Reset and an Apply that were committed are done, whatever the answer
// was; their function does not run for nothing.
func TestLostCommit(t *testing.T) {
	each(t, func(t *testing.T, l leg) {
		for _, code := range []codes.Code{codes.Unavailable, codes.Internal, codes.InvalidArgument} {
			t.Run(code.String(), func(t *testing.T) {
				t.Parallel()
				ctx, project := soon(t), emulator.Project()
				var losing atomic.Bool
				c := l.client(t, project, func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, call grpc.UnaryInvoker, o ...grpc.CallOption) error {
					err := call(ctx, method, req, reply, cc, o...)
					if err == nil && path.Base(method) == "Commit" && losing.CompareAndSwap(true, false) {
						return status.Error(code, "lost")
					}
					return err
				})
				s := newSink(t, c, nil)
				losing.Store(true)
				if err := s.Reset(ctx, projection.Reset{Name: "p", Version: 1, Shards: 1}, datastoresink.Empty); err != nil {
					t.Errorf("Reset: %v", err)
				}
				losing.Store(true)
				runs := 0
				err := s.Apply(ctx, projection.Batch{Name: "p", Version: 1, Moves: []projection.Move{{To: projection.Checkpoint{Revision: 3}}}},
					func(tx *datastoresink.Tx) error {
						runs++
						return add(tx, "x", 1)
					})
				if err != nil || runs != 1 || losing.Load() {
					t.Errorf("Apply: %v, after %d runs", err, runs)
				}
				wantItems(t, c, s, "p", map[string]int{"x": 1})
			})
		}
	})
}
