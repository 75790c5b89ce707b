// Package sys marks what only this module's own packages may append: events of
// system streams, whose names start with $.
package sys

// An Event is appended to a system stream. Its type and tags may start with $.
// Data is JSON. Data and Tags belong to the log from then on: nobody changes them.
type Event struct {
	Type string
	Data []byte
	Tags []string
}

// EventType returns e.Type.
func (e Event) EventType() string { return e.Type }
