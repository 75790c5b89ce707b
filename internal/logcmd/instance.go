package logcmd

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/cli"
	"github.com/rollforward/rollforward/saga"
)

// instance is an instance of a saga as JSON.
type instance struct {
	Saga     string          `json:"saga"`
	ID       string          `json:"id"`
	State    saga.State      `json:"state"`
	Step     string          `json:"step,omitzero"`     // under way
	Signal   string          `json:"signal,omitzero"`   // that it waits for
	Due      time.Time       `json:"due,omitzero"`      // end of the wait, or of the step's time
	Children int             `json:"children,omitzero"` // of the step, that were started
	Ended    int             `json:"ended,omitzero"`    // of these
	Cause    saga.Cause      `json:"cause,omitzero"`    // why it goes back, or went
	Refused  string          `json:"refused,omitzero"`  // step
	Error    string          `json:"error,omitzero"`    // why it goes back, or is parked
	Started  time.Time       `json:"started,omitzero"`
	Changed  time.Time       `json:"changed"` // last
	Version  int             `json:"version"` // of the definition
	Done     []string        `json:"done,omitempty"`
	Parent   string          `json:"parent,omitzero"` // stream
	Chain    eventlog.ID     `json:"chain,omitzero"`
	Data     json.RawMessage `json:"data,omitempty"`

	now time.Time
}

func newInstance(i saga.Info, now time.Time) instance {
	return instance{Saga: i.Saga, ID: i.ID, State: i.State, Step: i.Step, Signal: i.Signal, Due: i.Due, Children: i.Children, Ended: i.Ended,
		Cause: i.Cause, Refused: i.Refused, Error: errorText(i.Err), Started: i.Started, Changed: i.Changed, Version: i.Version, Done: i.Done,
		Parent: i.Parent, Chain: i.Chain, Data: i.Data, now: now}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// why says in a line why it goes back, or went, or is parked.
func (i instance) why() string {
	switch {
	case i.State == saga.Parked || i.Refused == "":
		return brief(i.Error)
	case i.Error == "":
		return string(i.Cause) + " at " + i.Refused
	}
	return i.Refused + ": " + brief(i.Error)
}

var instanceColumns = []cli.Column[instance]{
	{Head: "SAGA", Cell: func(i instance) string { return i.Saga }},
	{Head: "ID", Cell: func(i instance) string { return i.ID }},
	{Head: "STATE", Cell: func(i instance) string { return string(i.State) }},
	{Head: "STEP", Cell: func(i instance) string { return i.Step }},
	{Head: "AGE", Right: true, Cell: func(i instance) string { return age(i.Changed, i.now) }},
	{Head: "WHY", Cell: instance.why},
}

func (i *instance) fields() []cli.Field {
	children := ""
	if i.Children > 0 {
		children = fmt.Sprintf("%s started, %s ended", cli.Count(int64(i.Children)), cli.Count(int64(i.Ended)))
	}
	return filled([]cli.Field{
		{Name: "saga", Value: i.Saga},
		{Name: "id", Value: i.ID},
		{Name: "version", Value: strconv.Itoa(i.Version)},
		{Name: "state", Value: string(i.State)},
		{Name: "step", Value: i.Step},
		{Name: "signal", Value: i.Signal},
		{Name: "due", Value: moment(i.Due)},
		{Name: "children", Value: children},
		{Name: "done", Value: strings.Join(i.Done, ", ")},
		{Name: "cause", Value: string(i.Cause)},
		{Name: "refused", Value: i.Refused},
		{Name: "error", Value: i.Error},
		{Name: "data", Value: string(i.Data)},
		{Name: "parent", Value: i.Parent},
		{Name: "chain", Value: text(i.Chain)},
		{Name: "started", Value: moment(i.Started)},
		{Name: "changed", Value: moment(i.Changed)},
	})
}

// filled are the fields with a value.
func filled(all []cli.Field) (out []cli.Field) {
	for _, f := range all {
		if f.Value != "" {
			out = append(out, f)
		}
	}
	return out
}
