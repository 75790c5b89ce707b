package datastorelog

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"path"
	"sync"
	"testing"
	"time"

	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// A mishap is what goes wrong with a call on its way.
type mishap uint8

const (
	fine  mishap = iota
	lose         // the service does it, the answer is lost
	drop         // the service never gets it, though it was sent
	late         // the answer is lost, and the service gets it a little later
	twice        // somebody on the way sends it twice: the second answer comes back
	fail         // it is not sent
)

// A wire is the way to the service, with mishaps by a plan. code is what the
// caller gets for a lost answer.
type wire struct {
	mu    sync.Mutex
	plan  func(method string, n int) (mishap, codes.Code)
	calls map[string]int
	bad   int
	late  sync.WaitGroup
	gate  chan struct{} // what is late waits for it, where there is one
}

// inject makes plan the plan of all later calls, which it counts anew.
func (w *wire) inject(plan func(method string, n int) (mishap, codes.Code)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.plan, w.calls = plan, make(map[string]int)
}

// nth is the plan in which the n-th call of a method goes wrong.
func nth(method string, n int, m mishap, code codes.Code) func(string, int) (mishap, codes.Code) {
	return func(called string, at int) (mishap, codes.Code) {
		if called == method && at == n {
			return m, code
		}
		return fine, codes.OK
	}
}

func (w *wire) options() []option.ClientOption {
	return []option.ClientOption{option.WithGRPCDialOption(grpc.WithChainUnaryInterceptor(w.intercept))}
}

func (w *wire) next(method string) (m mishap, code codes.Code) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.plan == nil {
		return fine, codes.OK
	}
	w.calls[method]++
	if m, code = w.plan(method, w.calls[method]); m != fine {
		w.bad++
	}
	return m, code
}

// mishaps returns how many there were.
func (w *wire) mishaps() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.bad
}

func (w *wire) intercept(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	m, code := w.next(path.Base(method))
	broken := status.Error(code, "the test broke this call")
	switch m {
	case lose:
		_ = invoke(ctx, method, req, reply, cc, opts...)
		return broken
	case drop:
		if s, ok := ctx.Value(sentKey{}).(*sent); ok {
			s.Store(true)
		}
		return broken
	case late:
		if s, ok := ctx.Value(sentKey{}).(*sent); ok {
			s.Store(true)
		}
		w.late.Go(func() {
			if w.gate != nil {
				<-w.gate
			} else {
				time.Sleep(rand.N(20 * time.Millisecond)) // on its way
			}
			_ = invoke(context.WithoutCancel(ctx), method, req, reply, cc, opts...)
		})
		return broken
	case twice:
		_ = invoke(ctx, method, req, reply, cc, opts...)
	case fail:
		return broken
	}
	return invoke(ctx, method, req, reply, cc, opts...)
}

// lossy are the codes with which answers get lost.
var lossy = []codes.Code{codes.Unavailable, codes.DeadlineExceeded, codes.Internal, codes.Unknown, codes.Canceled}

// stormy is a plan that picks mishaps at random.
func stormy(seed uint64) func(string, int) (mishap, codes.Code) {
	rng := rand.New(rand.NewPCG(seed, 7))
	return func(method string, _ int) (mishap, codes.Code) {
		x, code := rng.Float64(), lossy[rng.IntN(len(lossy))]
		switch {
		case method == "Commit" && x < 0.08:
			return lose, code
		case method == "Commit" && x < 0.12:
			return drop, code
		case method == "Commit" && x < 0.16:
			return late, code
		case method == "Commit" && x < 0.20:
			return twice, codes.OK
		case x > 0.96:
			return fail, codes.Unavailable
		}
		return fine, codes.OK
	}
}

// A bridge is a TCP port that leads to the service until it is cut.
type bridge struct {
	t      testing.TB
	to     string
	listen net.Listener
	mu     sync.Mutex
	conns  []net.Conn
	cut    bool
	work   sync.WaitGroup
}

func newBridge(t testing.TB, to string) *bridge {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &bridge{t: t, to: to, listen: l}
	b.work.Go(b.run)
	t.Cleanup(func() {
		_ = l.Close()
		b.set(true)
		b.work.Wait()
	})
	return b
}

func (b *bridge) host() string { return b.listen.Addr().String() }

func (b *bridge) run() {
	for {
		near, err := b.listen.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", b.to)
		b.mu.Lock()
		if b.cut || err != nil {
			_ = near.Close()
			if far != nil {
				_ = far.Close()
			}
			b.mu.Unlock()
			continue
		}
		b.conns = append(b.conns, near, far)
		b.mu.Unlock()
		b.work.Go(func() { b.pump(near, far) })
		b.work.Go(func() { b.pump(far, near) })
	}
}

func (b *bridge) pump(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	_ = to.Close()
	_ = from.Close()
}

// set cuts the bridge, or mends it.
func (b *bridge) set(cut bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cut = cut; cut {
		for _, c := range b.conns {
			_ = c.Close()
		}
		b.conns = nil
	}
}
