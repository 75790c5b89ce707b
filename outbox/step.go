package outbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/internal/sys"
)

// A Step is work for one stream: data, written by hand like an event. What it
// does is a [Handler]. StepType is its stored name and must work on the zero
// value; Target is the stream that the handler changes, which need not exist.
// A step is stored as JSON.
type Step interface {
	StepType() string
	Target() string
}

// Raw is a step that is encoded already: how a handler without a Go type of its
// own sees it.
type Raw struct {
	Type   string
	Stream string // the target
	Data   json.RawMessage
}

// StepType returns r.Type.
func (r Raw) StepType() string { return r.Type }

// Target returns r.Stream.
func (r Raw) Target() string { return r.Stream }

// ErrStep: a value cannot be enqueued as a step.
var ErrStep = errors.New("invalid step")

// Enqueue adds a step to the transaction: it is committed with everything else
// that tx writes, or not at all, and from then on rolled forward by whatever
// [Runner] knows its type, until it is done or dead.
//
// The step is stored in the emitter's shard: that of the handler's target when
// a handler enqueues it, else the shard of the first stream that tx appended to,
// or else read, or else of the step's target; so Enqueue after Append keeps a
// transaction in one shard. Steps of one shard for one target run in the order
// of their commits, but for those that fail and wait to be tried again, and
// those whose Policy says otherwise. A step that a handler enqueues for its own
// target runs in the same commit, if no other step of the target is ahead of it
// and there is room.
//
// A step that is nil or has no type or target is refused with ErrStep, one that
// is too large with eventlog.ErrTooLarge; the transaction is then as it was.
// Enqueue starts a chain, if tx belongs to none, by setting the correlation of
// its Meta.
func Enqueue(tx *eventlog.Tx, s Step) error {
	raw, err := encode(s)
	if err == nil {
		if b := batchOf(tx); b != nil && b.links(raw) {
			err = b.link(tx, raw)
		} else {
			_, err = enqueue(tx, enqueued{Type: raw.Type, Target: raw.Stream, Data: raw.Data})
		}
	}
	if err != nil {
		return fmt.Errorf("outbox: enqueue: %w", err)
	}
	return nil
}

// At is Enqueue of a step that does not run before t, and returns its id, by
// which [Cancel] can take it back. What waits for its time costs nothing until
// then. The zero time and times that have passed are "at once".
func At(tx *eventlog.Tx, t time.Time, s Step) (eventlog.ID, error) {
	raw, err := encode(s)
	var id eventlog.ID
	if err == nil {
		id, err = enqueue(tx, enqueued{Type: raw.Type, Target: raw.Stream, Data: raw.Data, Due: dueAt(t)})
	}
	if err != nil {
		return id, fmt.Errorf("outbox: at: %w", err)
	}
	return id, nil
}

func dueAt(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// Cancel takes a step back that is for target: unless it is over, it never runs
// from the commit of tx on. done says that it is over: its effect is in the
// log, or it is dead. Which of the two came first is decided for good when tx
// commits; tx takes part in the target's shard. Of a step that is cancelled
// already done is false.
func Cancel(tx *eventlog.Tx, id eventlog.ID, target string) (done bool, err error) {
	shard := tx.Log().ShardOf(target)
	l, err := readLife(tx, shard, id, time.Time{})
	if err == nil && !l.over {
		var e sys.Event
		if e, err = event(typeCancelled, struct{}{}, stepTag(id)); err == nil {
			err = tx.Append(outcomesStream(shard), e)
		}
		if b := batchOf(tx); b != nil {
			b.seen[id] = true
		}
	}
	if err != nil {
		return false, fmt.Errorf("outbox: cancel: step %s: %w", id, err)
	}
	return l.over && !l.cancelled, nil
}

// enqueue stores a step in the emitter's shard.
func enqueue(tx *eventlog.Tx, e enqueued, tags ...string) (id eventlog.ID, err error) {
	shard, ok := 0, false
	if b := batchOf(tx); b != nil {
		shard, ok = b.emitter, true
		e.Cause = b.current()
	} else {
		shard, ok = tx.Shard()
	}
	if !ok {
		shard = tx.Log().ShardOf(e.Target)
	}
	return enqueueIn(tx, shard, e, tags...)
}

func enqueueIn(tx *eventlog.Tx, shard int, e enqueued, tags ...string) (id eventlog.ID, err error) {
	meta := tx.Meta()
	e.Chain, e.Actor, e.Traceparent = meta.Correlation, meta.Actor, meta.Traceparent
	if e.Chain.IsZero() {
		e.Chain = tx.ID()
	}
	data, err := encodeStep(&e)
	if err != nil {
		return id, fmt.Errorf("%w: %s: %w", ErrStep, e.Type, err)
	}
	if len(data) > maxStep {
		return id, fmt.Errorf("step %s for %s: %w: %d bytes, at most %d", e.Type, e.Target, eventlog.ErrTooLarge, len(data), maxStep)
	}
	id = tx.NextID()
	if err := tx.Append(stepsStream(shard), sys.Event{Type: typeEnqueued, Data: data, Tags: tags}); err != nil {
		return id, fmt.Errorf("step %s for %s: %w", e.Type, e.Target, err)
	}
	meta.Correlation = e.Chain
	return id, nil
}

// maxStep is how large a step may be as it is stored: when it is redriven, that is
// written beside it, and by whom.
const (
	maxStep = eventlog.MaxEvent - spare
	spare   = 8 << 10
)

func encode(s Step) (Raw, error) {
	if v := reflect.ValueOf(s); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return Raw{}, fmt.Errorf("%w: nil", ErrStep)
	}
	out := Raw{Type: s.StepType(), Stream: s.Target()}
	if err := checkName("type", out.Type); err != nil {
		return Raw{}, err
	}
	if err := checkName("target", out.Stream); err != nil {
		return Raw{}, fmt.Errorf("%s: %w", out.Type, err)
	}
	if raw, ok := s.(Raw); ok {
		if len(raw.Data) > 0 && !json.Valid(raw.Data) {
			return Raw{}, fmt.Errorf("%w: %s: Data is not JSON", ErrStep, out.Type)
		}
		out.Data = raw.Data
		return out, nil
	}
	data, err := json.Marshal(s)
	if err != nil {
		return Raw{}, fmt.Errorf("%w: %s: %w", ErrStep, out.Type, err)
	}
	out.Data = data
	return out, nil
}

// checkName holds a type or a target against what eventlog takes for a name, so
// that a step is refused where it is made and not where it runs.
func checkName(what, name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%w: no %s", ErrStep, what)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
		return fmt.Errorf("%w: %s %.60q is not a name", ErrStep, what, name)
	}
	if n := len(driver.Escape(name)); n > eventlog.MaxName {
		return fmt.Errorf("%w: %s %.60q… has %d bytes escaped, at most %d", eventlog.ErrTooLarge, what, name, n, eventlog.MaxName)
	}
	return nil
}
