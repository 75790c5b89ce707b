package saga

// A State says where an instance stands.
type State string

const (
	Awaited      State = "awaited"      // signals came for it, but it was not started yet
	Running      State = "running"      // doing its steps, or waiting
	Compensating State = "compensating" // undoing what it did
	Parked       State = "parked"       // it can neither go on nor back, see Err and [Retry]
	Completed    State = "completed"    // it came to its end
	Compensated  State = "compensated"  // a step was refused or time was up; all that was done is undone
	Cancelled    State = "cancelled"    // somebody wanted it to end; all that was done is undone
)

// Ended reports whether nothing happens any more. Only a completed child may yet go
// back, with its parent.
func (s State) Ended() bool { return s == Completed || s == Compensated || s == Cancelled }

// A Cause says why an instance goes back, or why the step under way is to be
// stopped.
type Cause string

const (
	CauseRefused  Cause = "refused"  // a step was refused
	CauseTimeout  Cause = "timeout"  // a step took longer than its Timeout
	CauseDeadline Cause = "deadline" // the instance took longer than its Deadline
	CauseCancel   Cause = "cancel"   // see Cancel
	CauseSkip     Cause = "skip"     // see Skip
	CauseParent   Cause = "parent"   // its parent goes back, or needs it no more
)

// end is the state in which an instance ends that went back because of c.
func (c Cause) end() State {
	if c == CauseCancel || c == CauseParent {
		return Cancelled
	}
	return Compensated
}

// stronger reports whether c may take the place of a cause for which something is
// being stopped already.
func (c Cause) stronger(than Cause) bool { return c.rank() > than.rank() }

func (c Cause) rank() int {
	switch c {
	case CauseTimeout:
		return 1
	case CauseSkip:
		return 2
	case CauseRefused: // of a fan-out
		return 3
	}
	return 4
}
