package gcppubsub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"cloud.google.com/go/pubsub/v2"
	vkit "cloud.google.com/go/pubsub/v2/apiv1"
	"github.com/googleapis/gax-go/v2"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
)

// A Connection says how Pub/Sub is reached. The zero value is right where the
// program runs in Google Cloud, or PUBSUB_EMULATOR_HOST is set.
type Connection struct {
	// Emulator is the address of an emulator, HOST:PORT. "" is the variable
	// PUBSUB_EMULATOR_HOST, and Google's service where that is empty, too.
	Emulator string
	// Client has further options of the client library, such as credentials.
	Client []option.ClientOption
	// MustExist forbids to make topics and subscriptions: where one is missing, the
	// error says so.
	MustExist bool
	// Timeout is how long it may take to find or make a topic or a subscription
	// (10 s).
	Timeout time.Duration
	// Grace is how long Close, or the end of a subscription, waits for a server that
	// does not answer (5 s).
	Grace time.Duration
	// Logger gets what is made, and what fails and is tried again. nil is silent.
	Logger *slog.Logger
}

// ErrClosed is what a Publisher or Subscriber answers after its Close.
var ErrClosed = errors.New("closed")

const (
	emulatorVariable = "PUBSUB_EMULATOR_HOST"
	projectVariable  = "GOOGLE_CLOUD_PROJECT"
)

// complete returns c with its defaults.
func (c Connection) complete() (Connection, error) {
	if c.Timeout < 0 || c.Grace < 0 {
		return c, errors.New("neither Timeout nor Grace can be negative")
	}
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	if c.Grace == 0 {
		c.Grace = 5 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, nil
}

// projectID is project, or what the environment says.
func (c *Connection) projectID(project string) (string, error) {
	if project == "" {
		project = os.Getenv(projectVariable)
	}
	switch {
	case project != "":
		return project, nil
	case c.Emulator != "" || os.Getenv(emulatorVariable) != "":
		return "", errors.New("which project? Name it, or set " + projectVariable)
	}
	return pubsub.DetectProjectID, nil
}

// dial opens a client. It does not wait for the server.
func (c *Connection) dial(ctx context.Context, project string) (*pubsub.Client, error) {
	project, err := c.projectID(project)
	if err != nil {
		return nil, err
	}
	options := []option.ClientOption{option.WithGRPCDialOption(grpc.WithConnectParams(reconnect)),
		option.WithGRPCDialOption(grpc.WithDefaultCallOptions(grpc.WaitForReady(true)))}
	if c.Emulator != "" {
		options = append(options, option.WithEndpoint(c.Emulator), option.WithoutAuthentication(),
			option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())))
	}
	// Credentials may keep the context to renew their tokens: it must not end.
	client, err := pubsub.NewClientWithConfig(context.WithoutCancel(ctx), project, calls, append(options, c.Client...)...)
	if err != nil && project == pubsub.DetectProjectID {
		return nil, fmt.Errorf("no project is named, neither in the call nor by %s, and the credentials do not say one: %w", projectVariable, err)
	}
	return client, err
}

// reconnect is soon: gRPC would wait up to two minutes. With WaitForReady calls
// wait for the connection instead of failing into pauses of their own, which the
// library lets grow to half a minute.
var reconnect = grpc.ConnectParams{
	Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 3 * time.Second},
	MinConnectTimeout: 5 * time.Second,
}

// calls say which failed calls are repeated at once. As the library's, but that a
// call of a closed client ends, and with shorter pauses.
var calls = &pubsub.ClientConfig{TopicAdminCallOptions: &vkit.TopicAdminCallOptions{Publish: []gax.CallOption{
	gax.WithRetry(func() gax.Retryer {
		return gax.OnCodes([]codes.Code{codes.Aborted, codes.Internal, codes.ResourceExhausted, codes.Unknown, codes.Unavailable,
			codes.DeadlineExceeded}, gax.Backoff{Initial: 100 * time.Millisecond, Max: 5 * time.Second, Multiplier: 2})
	}),
}}}
