package dsfake

import "time"

// Mode is a database's concurrency mode.
type Mode int

const (
	// Optimistic transactions read a snapshot, taken at their first read, and are
	// ABORTED at the commit if something that they read has changed since.
	Optimistic Mode = iota

	// Pessimistic transactions lock what they read, shared with other readers; a
	// write waits for the locks of others. A commit that waits too long is ABORTED,
	// a write outside of a transaction waits on, even when its caller has gone.
	Pessimistic
)

func (m Mode) String() string { return [...]string{"optimistic", "pessimistic"}[m] }

// Options of a server. The zero value of a field is its default.
type Options struct {
	Mode        Mode
	LockTimeout time.Duration // of a commit in pessimistic mode; 2 s
	IdleTimeout time.Duration // of a transaction that is not used; 60 s
	LifeTimeout time.Duration // of a transaction since it began; 270 s
}

func (o *Options) withDefaults() Options {
	if o == nil {
		o = &Options{}
	}
	d := *o
	for _, t := range []struct {
		at     *time.Duration
		unless time.Duration
	}{{&d.LockTimeout, 2 * time.Second}, {&d.IdleTimeout, time.Minute}, {&d.LifeTimeout, 270 * time.Second}} {
		if *t.at == 0 {
			*t.at = t.unless
		}
	}
	return d
}

// Documented limits (https://cloud.google.com/datastore/docs/concepts/limits).
const (
	maxRequest   = 10 << 20   // bytes of a request, and so of a commit
	maxEntity    = 1<<20 - 4  // bytes
	maxProperty  = 1<<20 - 89 // bytes of a value that is not indexed
	maxIndexed   = 1500       // bytes of an indexed string, a kind, a name, a property's name
	maxKey       = 6 << 10    // bytes
	maxIndexes   = 20_000     // indexed values of an entity
	maxLookup    = 1000       // keys
	maxNesting   = 20         // entity values in entity values
	maxBatch     = 300        // results of a query in one answer, as it is done, not documented
	maxAnswer    = 10 << 20   // bytes found by a lookup before it defers the other keys; not documented
	maxAllocated = 500        // keys of an AllocateIds
)
