package saga

import (
	"encoding/json"
	"fmt"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/outbox"
)

// Payloads of the outbox's steps.

// command tells the stream of a saga's step to do or undo an execution.
type command struct {
	ID   string          `json:"id"` // of the instance
	N    int             `json:"n"`
	Of   int             `json:"of,omitempty"` // undo: of that execution
	V    int             `json:"v,omitempty"`  // version that the data is of
	Data json.RawMessage `json:"data"`
}

// reply tells an instance what became of an execution. An Error says that it did
// not happen and never will. Without Data it has not changed.
type reply struct {
	N       int             `json:"n"`
	V       int             `json:"v,omitempty"` // of the data
	Error   string          `json:"error,omitempty"`
	Stopped bool            `json:"stopped,omitempty"` // it was taken back
	Lost    bool            `json:"lost,omitempty"`    // nobody knows how to do it
	Data    json.RawMessage `json:"data,omitempty"`
}

// timer is an alarm of an execution, or the instance's deadline when N is 0.
type timer struct {
	N int `json:"n,omitempty"`
}

// back asks the stream of a saga's step to take the step back.
type back struct {
	ID   string      `json:"id"`
	N    int         `json:"n"`
	Step eventlog.ID `json:"step"`
}

// begin starts an instance.
type begin struct {
	V      int             `json:"v"` // version that the data is of
	Data   json.RawMessage `json:"data"`
	Parent *parent         `json:"parent,omitempty"`
	Fork   *origin         `json:"fork,omitempty"`
	At     string          `json:"at,omitempty"` // step to begin with
}

// taken is a Signal as it arrives.
type taken struct {
	Name  string          `json:"name"`
	Dedup string          `json:"dedup"`
	Data  json.RawMessage `json:"data"`
}

// ended tells a parent that a child has.
type ended struct {
	N     int             `json:"n"`
	I     int             `json:"i"`
	Key   string          `json:"key,omitempty"`
	State State           `json:"state"`
	Error string          `json:"error,omitempty"`
	Data  json.RawMessage `json:"data,omitempty"`
}

// spread asks an instance to go on with a fan-out: to start the next children, to
// tell the next ones to go back, or, once it is done, to dismiss those that are
// needed no more.
type spread struct {
	N       int  `json:"n"`
	Dismiss bool `json:"dismiss,omitempty"`
	From    int  `json:"from,omitempty"` // dismiss: how many were told
}

// recall tells a child to go back.
type recall struct {
	Parent parent `json:"parent"` // whom to tell when it is over
}

// message makes a step for the stream of an instance.
func message(saga, id, what string, payload any) (outbox.Raw, error) {
	data, err := json.Marshal(payload)
	return outbox.Raw{Type: typeOf(saga, what), Stream: streamOf(saga, id), Data: data}, err
}

// tell enqueues it.
func tell(tx *eventlog.Tx, saga, id, what string, payload any) error {
	m, err := message(saga, id, what, payload)
	if err != nil {
		return err
	}
	return outbox.Enqueue(tx, m)
}

// read decodes a payload. What cannot be read is no work of this package, and is not
// tried again.
func read[M any](raw outbox.Raw) (m M, err error) {
	if err := json.Unmarshal(raw.Data, &m); err != nil {
		return m, outbox.Abort(fmt.Errorf("decode %s: %w", raw.Type, err))
	}
	return m, nil
}

// brief bounds the text of an error, which users write.
func brief(err error) string { return fmt.Sprintf("%.2000s", err) }
