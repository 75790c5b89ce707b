package saga

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/outbox"
)

// Types of the events of an instance's stream. Each is a decision, and most say
// what follows from it.
const (
	evStarted  = "$saga.started"
	evDone     = "$saga.done"     // an execution of a step
	evRefused  = "$saga.refused"  // it was not done, and the instance goes back
	evStopping = "$saga.stopping" // what is under way is to be taken back
	evStopped  = "$saga.stopped"  // it was not done
	evUndone   = "$saga.undone"   // an execution was undone
	evParked   = "$saga.parked"   // an instance can neither go on nor back
	evRetried  = "$saga.retried"  // it tries again
	evReverted = "$saga.reverted" // a completed child goes back with its parent
	evSignal   = "$saga.signal"   // came
	evSpread   = "$saga.spread"   // further children of a fan-out were started
	evRecalled = "$saga.recalled" // children were told to go back
	evChild    = "$saga.child"    // one has ended
	evMigrated = "$saga.migrated" // to another version
	evForked   = "$saga.forked"   // another instance goes on from here
	evNoted    = "$saga.noted"    // somebody wanted something that cannot be
)

// An event is what is stored of all these; which fields count depends on the
// type. Data is that of the instance after it; without it it is as it was.
type event struct {
	V        int             `json:"v,omitempty"`    // started, migrated: version of the definition
	N        int             `json:"n,omitempty"`    // number of the execution that it is about
	Of       int             `json:"of,omitempty"`   // undone: number of the execution that was undone
	Step     string          `json:"step,omitempty"` // its name
	Data     json.RawMessage `json:"data,omitempty"`
	Undoable bool            `json:"undoable,omitempty"` // done: there is something to undo
	Unsure   bool            `json:"unsure,omitempty"`   // stopped: a call that may have happened
	Error    string          `json:"error,omitempty"`

	Why    Cause  `json:"why,omitempty"`    // stopping, stopped, reverted
	To     string `json:"to,omitempty"`     // stopped: the step to go on at
	By     string `json:"by,omitempty"`     // who wanted it
	Reason string `json:"reason,omitempty"` // and why
	What   string `json:"what,omitempty"`   // noted: what was wanted

	Name  string          `json:"name,omitempty"`  // signal, and done by one
	Dedup string          `json:"dedup,omitempty"` // signal
	Take  json.RawMessage `json:"take,omitempty"`  // signal: its data
	Late  bool            `json:"late,omitempty"`  // signal: it came after the end

	I      int    `json:"i,omitempty"` // child: its place, from 1
	OK     bool   `json:"ok,omitempty"`
	Count  int    `json:"count,omitempty"`  // spread, recalled: so many more
	Cursor string `json:"cursor,omitempty"` // spread: the last key
	More   bool   `json:"more,omitempty"`   // spread, recalled: and these are not all

	Chain    eventlog.ID       `json:"chain,omitzero"`     // started: when a step did it
	Parent   *parent           `json:"parent,omitempty"`   // started, recalled by it
	Fork     *origin           `json:"fork,omitempty"`     // started: of which instance it is a fork
	Deadline int               `json:"deadline,omitempty"` // started: number of its timer
	Steps    map[string]string `json:"steps,omitempty"`    // migrated: new names

	// What follows.
	Back   Cause    `json:"back,omitempty"`   // it goes back from here on
	Via    []string `json:"via,omitempty"`    // branches on the way to what is next
	Next   *next    `json:"next,omitempty"`   // what was sent
	Parked string   `json:"parked,omitempty"` // it stands still
	End    State    `json:"end,omitempty"`

	// Where the state changes: what it was, "" of an instance that was not there, and
	// what it is. So whoever counts needs to know no instance; see [Census].
	Was State `json:"was,omitempty"`
	Is  State `json:"is,omitempty"`
}

// next is an execution that was sent. Its number, and that of a step of the
// outbox that goes with it, is that of the event in the same transaction.
type next struct {
	N      int        `json:"n"`
	Of     int        `json:"of,omitempty"` // it undoes that execution
	Step   string     `json:"step"`
	Kind   kind       `json:"kind"`
	On     string     `json:"on,omitempty"`     // stream of the step
	Sent   int        `json:"sent,omitempty"`   // number of the outbox's step
	Timer  int        `json:"timer,omitempty"`  // number of that of the timer
	Due    *time.Time `json:"due,omitempty"`    // when the timer is
	Signal string     `json:"signal,omitempty"` // that it waits for
	Fan    bool       `json:"fan,omitempty"`    // many children
	Saga   string     `json:"saga,omitempty"`   // of the children
	Count  int        `json:"count,omitempty"`  // of children that were started, or are told to go back
	More   bool       `json:"more,omitempty"`   // and these are not all
	Need   int        `json:"need,omitempty"`   // children that must complete; 0: all
}

// parent is where a child's end is to be told.
type parent struct {
	Saga  string `json:"saga"`
	ID    string `json:"id"`
	N     int    `json:"n"` // the parent's execution that waits for it
	I     int    `json:"i"` // the child's place among the children, from 1
	Key   string `json:"key,omitempty"`
	Asks  bool   `json:"asks,omitempty"`  // for the data
	Quiet bool   `json:"quiet,omitempty"` // nobody waits any more
}

func (p *parent) check() error {
	if p != nil && (p.Saga == "" || p.ID == "" || p.I < 1) {
		return outbox.Abort(fmt.Errorf("parent %q/%q has no child %d", p.Saga, p.ID, p.I))
	}
	return nil
}

// sameChild reports whether both speak of the same child of the same parent.
func (p *parent) sameChild(q *parent) bool {
	return p != nil && p.Saga == q.Saga && p.ID == q.ID && p.I == q.I
}

// newer reports whether p was sent behind q: of what a parent tells a child the last
// counts, in whatever order it comes.
func (p *parent) newer(q *parent) bool {
	return p.N > q.N || p.N == q.N && p.Quiet && !q.Quiet
}

// origin is where a fork was taken.
type origin struct {
	ID   string `json:"id"`
	Step string `json:"step"`
	N    int    `json:"n,omitempty"`
}

// number is the place of an event in its transaction, from 1: the last two bytes
// of its id.
func number(id eventlog.ID) int { return int(id[14])<<8 | int(id[15]) }

// numbered returns the id of an event of transaction tx; that of number 0 is none.
func numbered(tx eventlog.ID, n int) eventlog.ID {
	if n == 0 {
		return eventlog.ID{}
	}
	tx[14], tx[15] = byte(n>>8), byte(n)
	return tx
}
