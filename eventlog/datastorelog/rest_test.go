package datastorelog

import (
	"context"
	"errors"
	"path"
	"sync/atomic"
	"testing"

	"cloud.google.com/go/datastore"
	"google.golang.org/api/option"
	"google.golang.org/grpc"

	"github.com/rollforward/rollforward/eventlog"
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
