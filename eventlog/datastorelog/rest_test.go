package datastorelog

import (
	"context"
	"errors"
	"path"
	"runtime"
	"sync/atomic"
	"testing"

	"cloud.google.com/go/datastore"
	"google.golang.org/api/option"
	"google.golang.org/grpc"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/internal/emulator"
)

// TestUpdateOutlivesTheLog: what an Update leaves behind Close makes no call any more.
func TestUpdateOutlivesTheLog(t *testing.T) {
	t.Parallel()
	eachLeg(t, func(t *testing.T, leg leg) {
		var closed atomic.Bool
		late := func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			if closed.Load() {
				t.Errorf("%s behind Close", path.Base(method))
			}
			return invoke(ctx, method, req, reply, cc, opts...)
		}
		l, d := on(t, leg.server(t), emulator.Project(), &Options{ClientOptions: []option.ClientOption{option.WithGRPCDialOption(grpc.WithChainUnaryInterceptor(late))}})
		no := errors.New("no")
		_, err := Update(t.Context(), l, func(*eventlog.Tx, *datastore.Transaction) error {
			if err := d.Close(); err != nil {
				t.Error(err)
			}
			closed.Store(true)
			return no
		})
		if !errors.Is(err, no) {
			t.Errorf("%v", err)
		}
		d.work.work.Wait()
	})
}

// TestWriteWhileClosing: a Write that comes while Close waits for another one does not
// wait.
func TestWriteWhileClosing(t *testing.T) {
	t.Parallel()
	held, release := make(chan struct{}), make(chan struct{})
	hold := func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		if path.Base(method) == "RunQuery" {
			close(held)
			<-release
		}
		return invoke(ctx, method, req, reply, cc, opts...)
	}
	l := legs[0].server(t).open(t, emulator.Project(), &Options{ClientOptions: []option.ClientOption{option.WithGRPCDialOption(grpc.WithChainUnaryInterceptor(hold))}})
	first, closing := make(chan error, 1), make(chan error, 1)
	go func() { first <- l.Write(t.Context(), driver.Write{Batches: []driver.Batch{commits(0, 1)}}) }()
	<-held
	go func() { closing <- l.Close() }()
	for l.gate.TryRLock() { // until Close waits
		l.gate.RUnlock()
		runtime.Gosched()
	}
	if err := l.Write(t.Context(), driver.Write{Batches: []driver.Batch{commits(1, 1)}}); !errors.Is(err, driver.ErrClosed) {
		t.Errorf("%v, expected ErrClosed", err)
	}
	close(release)
	if err := errors.Join(<-first, <-closing); err != nil {
		t.Error(err)
	}
}
