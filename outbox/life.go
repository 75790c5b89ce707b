package outbox

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/sys"
)

// What is stored. A step is one event in the emitter's shard; everything that
// happens to it afterwards is an event under the step's tag in its target's
// shard, written under the condition that nothing else happened under that tag.
const (
	typeEnqueued  = "$step.enqueued"  // in $steps/N
	typeAgain     = "$step.again"     // in $steps/N: a dead letter was redriven or discarded
	typeDone      = "$step.done"      // in $outcomes/N
	typeRolled    = "$step.rolled"    // in $outcomes/N: emitted and done in one commit
	typeFailed    = "$step.failed"    // in $outcomes/N: one attempt
	typeCancelled = "$step.cancelled" // in $outcomes/N: it never runs
	typeDead      = "$step.dead"      // in $dead/N: for good
	typeRedriven  = "$step.redriven"  // in $dead/N: to be tried anew
	typeDiscarded = "$step.discarded" // in $dead/N: it never runs
)

func stepsStream(shard int) string    { return sys.StepsPrefix + strconv.Itoa(shard) }
func outcomesStream(shard int) string { return "$outcomes/" + strconv.Itoa(shard) }
func deadStream(shard int) string     { return "$dead/" + strconv.Itoa(shard) }

// stepTag is the tag of a step's life.
func stepTag(id eventlog.ID) string { return stepTags + id.String() }

const stepTags = "$step/"

// enqueued is the step itself. Its id is that of the event, but for a redriven
// step, which says whose life goes on.
type enqueued struct {
	Type        string          `json:"type"` // these two first: see newItem
	Target      string          `json:"target"`
	Due         *time.Time      `json:"due,omitempty"`   // not before
	Timer       string          `json:"timer,omitempty"` // its name: only the last one set counts
	Step        eventlog.ID     `json:"step,omitzero"`   // of $step.again
	Chain       eventlog.ID     `json:"chain"`
	Cause       eventlog.ID     `json:"cause,omitzero"` // the step whose handler emitted it
	Actor       string          `json:"actor,omitempty"`
	Traceparent string          `json:"traceparent,omitempty"`
	Data        json.RawMessage `json:"data,omitempty"`
}

// done says that the step's effect is in this commit. Error is set when it
// failed for good and its handler's Failed did the rest.
type done struct {
	Error string `json:"error,omitempty"`
}

// failed is an attempt; the next one is not before Due.
type failed struct {
	Attempt int       `json:"attempt"`
	Error   string    `json:"error"`
	Due     time.Time `json:"due"`
}

// dead refers to the step, which stands at a version of its emitter's shard.
type dead struct {
	Shard    int       `json:"shard"`
	Version  uint64    `json:"version"`
	Type     string    `json:"type"`
	Target   string    `json:"target"`
	Attempts int       `json:"attempts"`
	Error    string    `json:"error"`
	Expired  bool      `json:"expired,omitempty"`
	First    time.Time `json:"first"` // attempt
}

// verdict is what somebody decided about a dead letter.
type verdict struct {
	By   string          `json:"by"`
	Why  string          `json:"why"`
	Data json.RawMessage `json:"data,omitempty"` // the payload from now on
}

// life is what happened to a step so far.
type life struct {
	attempts  int
	first     time.Time // attempt
	last      time.Time // attempt
	due       time.Time // not before
	redriven  time.Time // the last time
	err       string    // of the last attempt
	data      json.RawMessage
	over      bool // done, dead, cancelled or discarded
	dead      bool
	cancelled bool // or discarded
}

// apply folds the next event under the step's tag.
func (l *life) apply(r *eventlog.Record) error {
	switch r.Type {
	case typeDone:
		l.over = true
	case typeDead:
		var d dead
		if err := r.Decode(&d); err != nil {
			return err
		}
		l.over, l.dead, l.attempts, l.err = true, true, d.Attempts, d.Error
	case typeCancelled, typeDiscarded:
		l.over, l.cancelled, l.dead = true, true, false
	case typeRedriven:
		var v verdict
		if err := r.Decode(&v); err != nil {
			return err
		}
		*l = life{data: l.data, redriven: r.Time}
		if v.Data != nil {
			l.data = v.Data
		}
	case typeFailed:
		var f failed
		if err := r.Decode(&f); err != nil {
			return err
		}
		if l.attempts == 0 {
			l.first = r.Time
		}
		l.attempts, l.last, l.due, l.err = f.Attempt, r.Time, f.Due, f.Error
	default:
		return fmt.Errorf("%w: %s in %s", eventlog.ErrUnknownType, r.Type, r.Stream)
	}
	return nil
}

// readLife reads a step's life and makes it a condition of tx that it does not
// go on meanwhile. Nothing under the tag is older than born, which spares the
// index for young steps.
func readLife(tx *eventlog.Tx, shard int, id eventlog.ID, born time.Time) (life, error) {
	var l life
	q := eventlog.Query{Tag: stepTag(id), Shards: []int{shard}, Born: born}
	for r, err := range tx.Read(q) {
		if err == nil {
			err = l.apply(&r)
		}
		if err != nil {
			return l, err
		}
	}
	return l, nil
}

// event makes the stored form of something that happened to a step.
func event(typ string, payload any, tags ...string) (sys.Event, error) {
	data, err := json.Marshal(payload)
	return sys.Event{Type: typ, Data: data, Tags: tags}, err
}

const maxErrorText = 4 << 10

// text bounds the text of an error, which users write.
func text(err error) string {
	return shorten(err.Error(), maxErrorText)
}

// shorten makes a text of at most n bytes, and a sign that it was longer.
func shorten(s string, n int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= n {
		return s
	}
	s = s[:n]
	for !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s + "…"
}
