// Package sys marks what only this module's own packages may append: events of
// system streams, whose names start with $.
package sys

import "strings"

// An Event is appended to a system stream. Its type and tags may start with $.
// Data is JSON. Data and Tags belong to the log from then on: nobody changes them.
type Event struct {
	Type string
	Data []byte
	Tags []string
}

// EventType returns e.Type.
func (e Event) EventType() string { return e.Type }

// StepsPrefix begins the names of the streams of steps.
const StepsPrefix = "$steps/"

// Fresh reports whether a stream is read a moment after it was written, by the runner
// that its commit woke.
func Fresh(stream string) bool { return strings.HasPrefix(stream, StepsPrefix) }

// Live is a state whose holder, who loaded it in a transaction, changes it in line
// with the events that it appends: then it need not be folded of them once more.
// Settle is called for each of these once they are stored. Only states of this module
// are Live, because nobody checks it but their tests.
type Live interface {
	Settle(yes Yes, version uint64, typ string, correlation [16]byte)
}

// CheckLive, when it is not nil, gets each such state with what its events fold to. It
// is for tests.
var CheckLive func(live, folded any)

// Yes keeps others from being Live by chance.
type Yes struct{}
