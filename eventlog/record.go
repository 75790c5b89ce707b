package eventlog

import (
	"fmt"
	"time"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// A Record is an event as it stands in the log. Its slices belong to the
// reader's page and must not be changed.
type Record struct {
	ID       ID              // of this event
	Stream   string          //
	Version  uint64          // in the stream: 1, 2, 3 …
	Shard    int             //
	Revision driver.Revision // of the commit in the shard
	Index    int             // among the events of its transaction, from 0
	Time     time.Time       // hybrid logical clock: rises in every shard, the same for all of a transaction
	Type     string          // after upcasting
	Codec    string          // name of Data's codec; empty: JSON
	Data     []byte          // the payload, after upcasting
	Tags     []string        //
	Meta     Meta            // of the transaction, or of the [Tx.Scope] in which the event was appended
	Relaxed  *Relaxed        // of a relaxed append, how it came; nil: it was a strict one

	log  *Log
	more bool    // further records of this commit follow in this reading
	fold *folded // of a relaxed append that was folded
}

// Commit returns the id of the transaction that wrote r: of a relaxed append its
// own, whatever other appends were folded together with it.
func (r *Record) Commit() ID {
	id, _ := r.ID.commit()
	return id
}

// Last reports whether r is the last record of its commit in this reading:
// behind it a reader may note Revision as done.
func (r *Record) Last() bool { return !r.more }

// Decode reads the payload into v, a pointer, with the codec it was written
// with.
func (r *Record) Decode(v any) error {
	if err := r.codecs().decode(r, v); err != nil {
		return fmt.Errorf("eventlog: decode %s at %s version %d: %w", r.Type, r.Stream, r.Version, err)
	}
	return nil
}

var plain = &codecs{byName: map[string]Codec{"": JSON}}

func (r *Record) codecs() *codecs {
	if r.log == nil {
		return plain
	}
	return r.log.codecs
}
