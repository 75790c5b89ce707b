package saga

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// ErrDefinition: a Saga is not valid.
var ErrDefinition = errors.New("invalid saga")

// maxTime bounds waits, timeouts and deadlines.
const maxTime = 100 * 365 * 24 * time.Hour

// check returns what is wrong with a definition.
func (s *Saga[S]) check() error {
	if err := s.checkSelf(); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrDefinition, s.Name, err)
	}
	for i := range s.Steps {
		step := &s.Steps[i]
		if err := s.checkStep(i, step); err != nil {
			return fmt.Errorf("%w: %s: step %d (%q): %w", ErrDefinition, s.Name, i, step.Name, err)
		}
	}
	return nil
}

func (s *Saga[S]) checkSelf() error {
	switch {
	case s.Name == "" || strings.Contains(s.Name, "/"):
		return fmt.Errorf("the name %q is empty or has a slash", s.Name)
	case s.Version < 0:
		return fmt.Errorf("version %d", s.Version)
	case len(s.Steps) == 0:
		return errors.New("no steps")
	case s.Deadline < 0 || s.Deadline > maxTime:
		return fmt.Errorf("field Deadline is %v: up to %v", s.Deadline, maxTime)
	}
	return nil
}

// checkVersions returns what is wrong with the versions beside this one.
func (s *Saga[S]) checkVersions() error {
	seen := []int{s.Version}
	take := func(v int) error {
		if slices.Contains(seen, v) {
			return fmt.Errorf("%w: %s: version %d is named twice", ErrDefinition, s.Name, v)
		}
		seen = append(seen, v)
		return nil
	}
	for _, e := range s.Earlier {
		switch {
		case e == nil:
			return fmt.Errorf("%w: %s: an earlier version is nil", ErrDefinition, s.Name)
		case e.sagaName() != s.Name:
			return fmt.Errorf("%w: %s: an earlier version is called %s", ErrDefinition, s.Name, e.sagaName())
		}
		if err := e.check(); err != nil {
			return err
		}
		if err := take(e.version()); err != nil {
			return err
		}
	}
	for _, m := range s.Migrations {
		if err := take(m.From); err != nil {
			return err
		}
		for old, step := range m.Steps {
			if s.step(step) == nil {
				return fmt.Errorf("%w: %s: migration from version %d: there is no step %q for %q", ErrDefinition, s.Name, m.From, step, old)
			}
		}
	}
	if newest := slices.Max(seen); newest != s.Version {
		return fmt.Errorf("%w: %s: version %d is older than %d, which it names", ErrDefinition, s.Name, s.Version, newest)
	}
	return nil
}

func (s *Saga[S]) checkStep(i int, step *Step[S]) error {
	kinds := step.kinds()
	switch {
	case step.Name == "" || strings.Contains(step.Name, "/") || strings.HasPrefix(step.Name, "$"):
		return errors.New("the name is empty, has a slash or starts with $")
	case s.place(step.Name) != i:
		return errors.New("the name is taken")
	case len(kinds) > 1:
		return fmt.Errorf("it is %s at once", join(kinds))
	}
	if err := step.checkKind(kinds[0]); err != nil {
		return err
	}
	if err := s.checkRoutes(step); err != nil {
		return err
	}
	return step.checkTimes(kinds[0])
}

func join(kinds []kind) string {
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = "a " + string(k)
	}
	return strings.Join(names, " and ")
}

func (s *Step[S]) checkKind(k kind) error {
	switch {
	case k == kindChange && (s.On == nil || s.Do == nil):
		return errors.New("a change needs On and Do")
	case k == kindCall && s.Call == nil:
		return errors.New("a Recall without a Call")
	case k == kindWait && s.Wait != 0 && s.Until != nil:
		return errors.New("a wait has one of Wait and Until")
	case k == kindWait && (s.Wait < 0 || s.Wait > maxTime):
		return fmt.Errorf("field Wait is %v: up to %v", s.Wait, maxTime)
	case k == kindSignal && (s.Signal.receive == nil || s.Signal.name == ""):
		return errors.New("a signal needs a name and a function")
	case k == kindChild && s.Child.saga == nil:
		return errors.New("Keys and Need are for a Child")
	case k == kindChild && s.Child.input == nil:
		return errors.New("a child needs a function that makes its input")
	case s.Need != nil && s.Keys == nil:
		return errors.New("a Need is for a fan-out: it lacks Keys")
	case k == kindChild:
		return checkChild(s.Child.saga)
	case k == kindBranch && s.Next == nil:
		return errors.New("it does nothing: neither On and Do, Call, Wait, Until, Signal, Child, nor Next")
	}
	return nil
}

// checkChild refuses a child that could not go back with its parent.
func checkChild(p program) error {
	for _, name := range p.names() {
		s := p.step(name)
		if k := s.kind(); (k == kindChange || k == kindCall) && !s.undoable() {
			return fmt.Errorf("step %q of the child %s has no Undo, which it needs if its parent goes back; where there is nothing to undo NoUndo or NoRecall says so",
				name, p.sagaName())
		}
	}
	return nil
}

func (s *Saga[S]) checkRoutes(step *Step[S]) error {
	if (step.Next == nil) != (len(step.Routes) == 0) {
		return errors.New("fields Next and Routes need each other")
	}
	for i, r := range step.Routes {
		switch {
		case r != End && s.step(r) == nil:
			return fmt.Errorf("there is no step %q to go on at", r)
		case slices.Contains(step.Routes[:i], r):
			return fmt.Errorf("two routes to %q", r)
		}
	}
	if r := step.OnTimeout; r != "" && r != End && s.step(r) == nil {
		return fmt.Errorf("there is no step %q to go on at after the timeout", r)
	}
	return nil
}

func (s *Step[S]) checkTimes(k kind) error {
	switch {
	case s.Timeout < 0 || s.Timeout > maxTime:
		return fmt.Errorf("field Timeout is %v: up to %v", s.Timeout, maxTime)
	case s.Timeout > 0 && (k == kindWait || k == kindBranch):
		return fmt.Errorf("a %s has no Timeout", k)
	case s.OnTimeout != "" && s.Timeout == 0:
		return errors.New("OnTimeout without Timeout")
	}
	return nil
}
