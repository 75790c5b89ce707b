package saga

import (
	"fmt"
	"slices"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/sys"
)

// instance is the folded state of an instance's stream.
type instance struct {
	Version  int
	State    State  // never Parked
	Parked   string // why it stands still; "": it does not
	Data     string // JSON
	Seq      int    // number of the last execution
	Cur      *run   // what is under way, or was when it was parked
	After    string // the step behind which it goes on
	To       string // or the step at which
	Done     []mark // executions, in order
	Undone   int    // number of the last one that was undone
	Cause    Cause  // of going back
	Refused  string // step that was refused or took too long
	Err      string // why
	Chain    eventlog.ID
	Parent   *parent
	Fork     *origin
	Deadline eventlog.ID // the outbox's step that ends it
	Held     []held      // signals that nobody took yet
	Told     State       // that the last event with a change of state says
}

// run is an execution under way. It is replaced, never changed, but for its fan.
type run struct {
	next
	ID   eventlog.ID // of the outbox's step
	Tick eventlog.ID // of the outbox's step that is its timer
	Stop *stop       // it is to be taken back
	Fan  *fan        // its children
}

// stop says why an execution is to be taken back and what follows.
type stop struct {
	Why    Cause
	Error  string
	To     string
	By     string
	Reason string
}

// mark is an execution that is done. It is never changed.
type mark struct {
	N        int
	Step     string
	Kind     kind
	On       string
	Undoable bool
	Fan      *fan // its children
}

// fan counts children: those of an execution, or those that are to go back.
type fan struct {
	Step    string // by which they are called
	Saga    string // whose instances they are
	Many    bool   // a fan-out, not a single child
	Count   int    // that were started, or were told to go back
	More    bool   // and these are not all
	Total   int    // that are to go back
	Cursor  string // key of the last one that was started
	All     bool   // all completed
	OK, Bad bitset // that completed; that have left nothing to undo
	NOK     int    // how many
	NBad    int
}

type held struct {
	Name string
	Data string
}

// Clone returns a copy that shares nothing that is ever changed.
func (i instance) Clone() instance {
	i.Done, i.Held = slices.Clone(i.Done), slices.Clone(i.Held)
	if i.Cur != nil {
		cur := *i.Cur
		cur.Fan = cur.Fan.clone()
		i.Cur = &cur
	}
	return i
}

func (f *fan) clone() *fan {
	if f == nil {
		return nil
	}
	c := *f
	c.OK, c.Bad = slices.Clone(f.OK), slices.Clone(f.Bad)
	return &c
}

// Settle says that a decision keeps the instance in line with its events, but for the
// chain, which the transaction knew at its end.
func (i *instance) Settle(_ sys.Yes, version uint64, typ string, chain [16]byte) {
	if i.Chain.IsZero() && (version == 1 || typ == evStarted) {
		i.Chain = chain
	}
}

// hold returns the place of the first signal of that name that nobody took, or -1.
func (i *instance) hold(name string) int {
	return slices.IndexFunc(i.Held, func(h held) bool { return h.Name == name })
}

// state is what users see.
func (i *instance) state() State {
	switch {
	case i.State == "" && len(i.Held) > 0:
		return Awaited
	case i.Parked != "" && !i.State.Ended():
		return Parked
	}
	return i.State
}

// instances folds the streams of all sagas.
var instances = eventlog.Model[instance]{Name: "$saga", Version: 3, Else: fold}

// fold applies a record of an instance's stream.
func fold(i *instance, r eventlog.Record) error {
	var e event
	if err := e.parse(r.Data); err != nil {
		return fmt.Errorf("%s at version %d: %w", r.Type, r.Version, err)
	}
	if r.Version == 1 || r.Type == evStarted {
		i.Chain = r.Meta.Correlation
	}
	return i.apply(r.Type, &e, r.Commit())
}
