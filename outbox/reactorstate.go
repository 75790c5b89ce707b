package outbox

import (
	"fmt"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
)

// What a reactor stores in the shard that it reacts to. $react-NAME/N says how
// far the events of shard N have been dealt with: that is an event in the commit
// of their effects. $skipped-NAME/N lists those that had none.
const (
	reactorTypeMoved   = "$react.moved"
	reactorTypeSkipped = "$react.skipped"
)

func systemStream(name string, shard int) string { return fmt.Sprintf("%s/%d", name, shard) }

// reactorMoved says that a batch of events was dealt with, up to Revision, and of
// the commit behind it those with an index below Done.
type reactorMoved struct {
	Revision driver.Revision `json:"revision"`
	Done     int             `json:"done,omitempty"`
	Events   int             `json:"events,omitempty"`
	Skipped  int             `json:"skipped,omitempty"` // of these
}

func (reactorMoved) EventType() string { return reactorTypeMoved }

// reactorSkipped is an event that React refused for good.
type reactorSkipped struct {
	Event    eventlog.ID     `json:"event"`
	Revision driver.Revision `json:"revision"`
	Stream   string          `json:"stream"`
	Version  uint64          `json:"version"`
	Type     string          `json:"type"`
	Error    string          `json:"error"`
}

// reactorState is what the events of $react-NAME/N add up to.
type reactorState struct {
	Moves           uint64
	At              shardPlace
	Events, Skipped uint64
}

// place is how far the shard is; one that never moved begins after a revision.
func (s *reactorState) place(after driver.Revision) shardPlace {
	if s.Moves == 0 {
		return shardPlace{Revision: after}
	}
	return s.At
}

var reactorModel = eventlog.Model[reactorState]{Name: "$react", Version: 1, Folds: eventlog.Folds[reactorState]{
	eventlog.On(func(s *reactorState, m reactorMoved) {
		s.Moves++
		s.At = shardPlace{m.Revision, m.Done}
		s.Events += uint64(m.Events)
		s.Skipped += uint64(m.Skipped)
	}),
}}
