package outbox

import (
	"fmt"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/sys"
)

// A Timer is a named alarm of a target: a step that runs at its time, unless it
// is moved or cancelled before. Of each Target and Name there is one at most.
//
// Set, Cancel and the run of the step are ordered like everything else that
// happens to the target: a commit that sets or cancels the timer comes either
// before the step's run, which then does not happen, or behind it. They take
// part in the target's shard.
type Timer struct{ Target, Name string }

// Set makes s run at t, in place of what the timer was set to before. s is for
// the timer's Target. A time that has passed is "at once".
func (m Timer) Set(tx *eventlog.Tx, t time.Time, s Step) error {
	raw, err := encode(s)
	if err == nil && raw.Stream != m.Target {
		err = fmt.Errorf("%w: %s is for %s", ErrStep, raw.Type, raw.Stream)
	}
	if err == nil {
		err = m.check()
	}
	if err == nil {
		e := enqueued{Type: raw.Type, Target: raw.Stream, Data: raw.Data, Due: dueAt(t), Timer: m.Name}
		if b := batchOf(tx); b != nil {
			e.Cause = b.current()
		}
		_, err = enqueueIn(tx, tx.Log().ShardOf(m.Target), e, m.tag())
	}
	if err != nil {
		return fmt.Errorf("outbox: set timer %q of %s: %w", m.Name, m.Target, err)
	}
	return nil
}

// Cancel makes sure that what the timer is set to does not run. That it is not
// set, or has run already, is no error.
func (m Timer) Cancel(tx *eventlog.Tx) error {
	err := m.check()
	if err == nil {
		shard := tx.Log().ShardOf(m.Target)
		err = tx.Append(outcomesStream(shard), sys.Event{Type: typeTimerOff, Data: []byte("{}"), Tags: []string{m.tag()}})
	}
	if err != nil {
		return fmt.Errorf("outbox: cancel timer %q of %s: %w", m.Name, m.Target, err)
	}
	return nil
}

const typeTimerOff = "$timer.cancelled" // in $outcomes/N

func (m Timer) check() error {
	if err := checkName("target", m.Target); err != nil {
		return err
	}
	if err := checkName("timer name", m.Name); err != nil {
		return err
	}
	return checkName("timer", m.tag())
}

// tag is that of all that happens to the timer. A stream and a name are told
// apart by the length of the first.
func (m Timer) tag() string { return fmt.Sprintf("$timer/%d/%s/%s", len(m.Target), m.Target, m.Name) }

// isSet reports whether the step of that id is what the timer is set to, and
// makes that a condition of tx.
func (m Timer) isSet(tx *eventlog.Tx, id eventlog.ID) (bool, error) {
	q := eventlog.Query{Tag: m.tag(), Shards: []int{tx.Log().ShardOf(m.Target)}, Backward: true, Limit: 1}
	for r, err := range tx.Read(q) {
		return err == nil && r.ID == id, err
	}
	return false, nil
}
