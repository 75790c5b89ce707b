package datastoresink

import (
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

// Options of a sink. The zero value of a field is its default.
type Options struct {
	// Namespace of the sink's own entities and of every key that names none ("").
	Namespace string
	// Prefix begins the kinds of the sink's own entities, …Projection, …Checkpoint and
	// …Stop ("Rollforward").
	Prefix string
	// Timeout of one transaction, repetitions included (30 s). While a server is away
	// the client waits that long.
	Timeout time.Duration
}

// A Sink keeps read models in a Datastore database. It is a projection.Sink[*Tx].
type Sink struct {
	client *datastore.Client
	opts   Options
}

var _ projection.Sink[*Tx] = (*Sink)(nil)

// New returns a sink in the client's database. The client stays the caller's. Nothing
// has to be created before.
func New(client *datastore.Client, opts *Options) *Sink {
	s := &Sink{client: client}
	if opts != nil {
		s.opts = *opts
	}
	if s.opts.Prefix == "" {
		s.opts.Prefix = "Rollforward"
	}
	if s.opts.Timeout == 0 {
		s.opts.Timeout = 30 * time.Second
	}
	return s
}

// Client returns the client, for queries.
func (s *Sink) Client() *datastore.Client { return s.client }
