package datastorelog

import (
	"context"
	"fmt"
	"path"
	"sync/atomic"
	"time"

	"cloud.google.com/go/datastore"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
)

// maxReceive bounds an answer, and so the memory that a page of a read takes.
const maxReceive = 48 << 20

// callPolicy replaces the client library's. A Commit is sent once: sent again by
// whoever does not know its id, it comes back refused though it was applied. What
// changes nothing is repeated.
const callPolicy = `{"methodConfig": [
	{"name": [{"service": "google.datastore.v1.Datastore"}], "waitForReady": true,
		"retryPolicy": {"maxAttempts": 4, "initialBackoff": "0.1s", "maxBackoff": "2s", "backoffMultiplier": 2,
			"retryableStatusCodes": ["UNAVAILABLE"]}},
	{"name": [{"service": "google.datastore.v1.Datastore", "method": "Commit"}], "waitForReady": true}
]}`

// Dial connects with the database that o names, with the deadlines of a log: for
// entities of the user's own beside it. Whoever dials closes the client.
func Dial(ctx context.Context, project string, o *Options) (*datastore.Client, error) {
	project, opts, err := complete(project, o)
	var c *datastore.Client
	if err == nil {
		c, err = dial(ctx, project, &opts)
	}
	if err != nil {
		return nil, fmt.Errorf("datastorelog: dial: %w", err)
	}
	return c, nil
}

// dial connects to the service or the emulator. It does not wait for either.
func dial(ctx context.Context, project string, o *Options) (*datastore.Client, error) {
	params := grpc.ConnectParams{Backoff: backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second}, MinConnectTimeout: 5 * time.Second}
	opts := []option.ClientOption{
		option.WithGRPCDialOption(grpc.WithDefaultServiceConfig(callPolicy)),
		option.WithGRPCDialOption(grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxReceive))),
		option.WithGRPCDialOption(grpc.WithConnectParams(params)),
		option.WithGRPCDialOption(grpc.WithChainUnaryInterceptor(o.intercept)),
		option.WithGRPCDialOption(grpc.WithStatsHandler(sentHandler{})),
	}
	if o.Emulator != "" {
		opts = append(opts,
			option.WithEndpoint("passthrough:///"+o.Emulator), option.WithoutAuthentication(), option.WithTelemetryDisabled(),
			option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())))
	}
	opts = append(opts, o.ClientOptions...)
	// Credentials may keep the context to renew their tokens: it must not end.
	client, err := datastore.NewClientWithDatabase(context.WithoutCancel(ctx), project, o.Database, opts...)
	if err != nil {
		return nil, fmt.Errorf("project %s: %w", project, err)
	}
	return client, nil
}

// intercept gives each call its deadline and tells the hooks of it. The end of a
// caller's ctx does not keep a transaction from being given up.
func (o *Options) intercept(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	method = path.Base(method)
	if method == "Rollback" {
		ctx = context.WithoutCancel(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	begin := time.Now()
	err := invoke(ctx, "/google.datastore.v1.Datastore/"+method, req, reply, cc, opts...)
	if o.Hooks.Call != nil {
		info := CallInfo{Method: method, Code: status.Code(err).String(), Duration: time.Since(begin)}
		if err == nil {
			info.Usage = usage(req, reply)
		}
		o.Hooks.Call(info)
	}
	return err
}

// sent tells whether anything of a call has left this process. Of a Commit that
// failed before that it is certain that it did nothing.
type sent struct{ atomic.Bool }

type sentKey struct{}

// noting returns a ctx whose calls note in s that they were sent.
func noting(ctx context.Context, s *sent) context.Context {
	return context.WithValue(ctx, sentKey{}, s)
}

type sentHandler struct{}

func (sentHandler) HandleRPC(ctx context.Context, s stats.RPCStats) {
	if _, ok := s.(*stats.OutHeader); !ok {
		return
	}
	if s, ok := ctx.Value(sentKey{}).(*sent); ok {
		s.Store(true)
	}
}

func (sentHandler) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (sentHandler) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (sentHandler) HandleConn(context.Context, stats.ConnStats)                       {}
