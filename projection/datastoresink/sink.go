package datastoresink

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cloud.google.com/go/datastore"

	"github.com/rollforward/rollforward/projection"
)

// The parts of package projection for this sink's transaction.
type (
	Projection = projection.Projection[*Tx]
	Handlers   = projection.Handlers[*Tx]
	Runner     = projection.Runner[*Tx]
)

// A Sink keeps read models in a Datastore database. It is a projection.Sink[*Tx].
// Any number of them, in as many processes, may share a namespace.
type Sink struct {
	client *datastore.Client
	o      Options
	turns  turns
}

var _ projection.Sink[*Tx] = (*Sink)(nil)

// Options of a sink. The zero value of each field is its default.
type Options struct {
	// Namespace holds the checkpoints, and begins the names of the rows'
	// namespaces: two sinks with different ones have nothing in common. At most
	// 45 letters, digits, '.', '-' and '_' (none: the default namespace).
	Namespace string
	// Timeout is how long a call may take, an Apply with its handlers and
	// repetitions included (20 s).
	Timeout time.Duration
	// TxBytes is how much a transaction may write, in bytes, as estimated from above
	// (3,670,016). The emulators take 4 MiB a request, Datastore takes 10 MiB.
	TxBytes int
}

const (
	defaultTimeout = 20 * time.Second
	defaultTxBytes = 7 << 19
)

// New returns a sink in the client's database. It does not talk to it. The client
// stays the caller's.
func New(client *datastore.Client, o *Options) (*Sink, error) {
	s := &Sink{client: client}
	if o != nil {
		s.o = *o
	}
	if s.o.Timeout < 0 || s.o.TxBytes < 0 {
		return nil, errors.New("datastoresink: Timeout and TxBytes cannot be negative")
	}
	if len(s.o.Namespace) > maxBase || plain(s.o.Namespace) != s.o.Namespace {
		return nil, fmt.Errorf("datastoresink: namespace %.60q is not at most %d letters, digits, '.', '-' and '_'", s.o.Namespace, maxBase)
	}
	if s.o.Timeout == 0 {
		s.o.Timeout = defaultTimeout
	}
	if s.o.TxBytes == 0 {
		s.o.TxBytes = defaultTxBytes
	}
	return s, nil
}

var (
	// ErrNotBuilt: the sink holds nothing of the projection yet.
	ErrNotBuilt = errors.New("not built yet")
	// ErrFormat: the sink's entities were made by a newer version of this package.
	ErrFormat = errors.New("incompatible entities")
	// ErrTooLarge: what the transaction writes, or one row, is more than fits.
	ErrTooLarge = errors.New("too large")
)

// Namespace returns where the rows of a projection are. It changes with each Reset,
// so whoever reads asks each time. ErrNotBuilt: they are nowhere.
func (s *Sink) Namespace(ctx context.Context, name string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, s.o.Timeout)
	defer cancel()
	p, err := s.projection(ctx, s.client.GetMulti, name)
	if err == nil && p.Version == 0 {
		err = ErrNotBuilt
	}
	if err != nil {
		return "", fmt.Errorf("datastoresink: namespace of %s: %w", name, err)
	}
	return p.Rows, nil
}

// Empty is a Projection.Reset for read models that begin without a row.
func Empty(*Tx) error { return nil }
