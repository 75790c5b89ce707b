package saga

import (
	"encoding/json"
	"slices"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/sys"
)

// A State says where an instance stands.
type State string

const (
	Running      State = "running"      // doing its steps
	Compensating State = "compensating" // undoing what it did
	Completed    State = "completed"    // every step is done
	Compensated  State = "compensated"  // a step was refused, all before it is undone
)

// Ended reports whether the instance's state is final.
func (s State) Ended() bool { return s == Completed || s == Compensated }

// The events of an instance's stream. Data is that of the saga after the event.
type (
	started struct {
		Version int             `json:"version"`
		Data    json.RawMessage `json:"data"`
	}
	stepDone struct {
		Step string          `json:"step"`
		Data json.RawMessage `json:"data"`
	}
	stepRefused struct {
		Step  string `json:"step"`
		Error string `json:"error"`
	}
	stepUndone struct {
		Step string          `json:"step"`
		Data json.RawMessage `json:"data"`
	}
	completed   struct{}
	compensated struct{}
)

func (started) EventType() string     { return "$saga.started" }
func (stepDone) EventType() string    { return "$saga.done" }
func (stepRefused) EventType() string { return "$saga.refused" }
func (stepUndone) EventType() string  { return "$saga.undone" }
func (completed) EventType() string   { return "$saga.completed" }
func (compensated) EventType() string { return "$saga.compensated" }

// system makes an event of a system stream.
func system(e eventlog.Event) (sys.Event, error) {
	data, err := json.Marshal(e)
	return sys.Event{Type: e.EventType(), Data: data}, err
}

// instance is the folded state of an instance's stream.
type instance struct {
	Version int
	State   State
	Done    []string // steps that are done and not undone, in order
	Input   string   // JSON
	Data    string   // JSON
	Refused string   // the step that ended it
	Err     string
}

// Clone returns a copy that shares nothing.
func (i instance) Clone() instance {
	i.Done = slices.Clone(i.Done)
	return i
}

// instances folds the streams of all sagas.
var instances = eventlog.Model[instance]{Name: "$saga", Version: 1, Folds: eventlog.Folds[instance]{
	eventlog.On(func(i *instance, e started) {
		*i = instance{Version: e.Version, State: Running, Input: string(e.Data), Data: string(e.Data)}
	}),
	eventlog.On(func(i *instance, e stepDone) {
		i.Done, i.Data = append(i.Done, e.Step), string(e.Data)
	}),
	eventlog.On(func(i *instance, e stepRefused) {
		i.State, i.Refused, i.Err = Compensating, e.Step, e.Error
	}),
	eventlog.On(func(i *instance, e stepUndone) {
		i.Done, i.Data = slices.DeleteFunc(i.Done, func(s string) bool { return s == e.Step }), string(e.Data)
	}),
	eventlog.On(func(i *instance, _ completed) { i.State = Completed }),
	eventlog.On(func(i *instance, _ compensated) { i.State = Compensated }),
}}
