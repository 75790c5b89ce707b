package saga

import (
	"errors"
	"fmt"
	"strings"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/atonce"
	"github.com/rollforward/rollforward/outbox"
)

// An engine runs the instances of a saga, each by its own version.
type engine struct {
	name     string
	latest   program
	versions map[int]program
}

func newEngine(latest program) (*engine, error) {
	e := &engine{name: latest.sagaName(), latest: latest, versions: map[int]program{latest.version(): latest}}
	if err := latest.check(); err != nil {
		return nil, err
	}
	if err := latest.checkVersions(); err != nil {
		return nil, err
	}
	for _, d := range latest.earlier() {
		e.versions[d.version()] = d
	}
	return e, nil
}

var (
	// errNewer: a program that knows the version will come, or runs already. What it
	// concerns is left to that one.
	errNewer = outbox.Park(errors.New("the version is newer than this program"))
	// errGone: it will not, unless somebody does something.
	errGone = errors.New("no definition and no migration of the version is known")
)

// find returns what runs the instances of a version, and how they move to it.
func (e *engine) find(version int) (program, *migration, error) {
	if p := e.versions[version]; p != nil {
		return p, nil, nil
	}
	for _, m := range e.latest.migrations() {
		if m.from == version {
			return e.latest, m, nil
		}
	}
	err := errGone
	if version > e.latest.version() {
		err = errNewer
	}
	return nil, nil, fmt.Errorf("saga %s version %d: %w", e.name, version, err)
}

// Handlers returns what an outbox.Runner needs to run the saga, the versions in
// Earlier included. It panics when the definition is not valid.
//
// A step of the saga is two steps of the outbox: Do (or Undo) on the step's
// stream, and the reply to the instance's own stream, which alone decides what
// is next.
func (s *Saga[S]) Handlers() []outbox.Handler {
	e, err := newEngine(s)
	if err != nil {
		panic(err)
	}
	return e.handlers()
}

func (e *engine) handlers() []outbox.Handler {
	patient := outbox.Policy{Attempts: -1}
	list := []outbox.Handler{{Type: typeOf(e.name, toStop), Do: e.takeBack, Policy: patient}}
	for what, do := range map[string]func(*decision, outbox.Raw) error{
		toBegin: (*decision).begin, toReply: (*decision).reply, toTimer: (*decision).timer, toSignal: (*decision).signal,
		toChild: (*decision).child, toRecall: (*decision).recall,
		toCancel: (*decision).cancel, toRetry: (*decision).retry, toSkip: (*decision).skip, toFork: (*decision).fork,
	} {
		list = append(list, outbox.Handler{Type: typeOf(e.name, what), Do: e.decide(do), Policy: patient})
	}
	list = append(list, outbox.Handler{Type: typeOf(e.name, toFan), Do: e.decide((*decision).spread), Failed: e.failed((*decision).stuck)})
	list = append(list, outbox.Handler{Type: typeOf(e.name, "*"), Do: e.strange, Policy: patient})
	return append(list, e.stepHandlers()...)
}

// strange is the handler of what no other one takes: commands to steps that are gone,
// whose instances are to hear of it, and what only a newer program knows.
func (e *engine) strange(tx *eventlog.Tx, raw outbox.Raw) error {
	what := strings.TrimPrefix(raw.Type, typeOf(e.name, ""))
	step, undo := strings.CutSuffix(what, "/undo")
	if !undo {
		var do bool
		if step, do = strings.CutSuffix(what, "/do"); !do {
			return outbox.Park(fmt.Errorf("saga %s: this program does not know what %s is", e.name, what))
		}
	}
	return (&worker{engine: e, of: step, undo: undo}).change(tx, raw)
}

// stepHandlers are those of the steps of all versions. Where versions differ in
// a step's policy, the newest one's counts.
func (e *engine) stepHandlers() (list []outbox.Handler) {
	seen := make(map[string]bool)
	add := func(p program, name string, m *migration) {
		s := p.step(m.rename(name))
		if s == nil || !s.works() {
			return
		}
		if typ := doType(e.name, name); !seen[typ] {
			seen[typ] = true
			list = append(list, e.handler(typ, name, s, false))
		}
		if typ := undoType(e.name, name); s.undoable() && !seen[typ] {
			seen[typ] = true
			list = append(list, e.handler(typ, name, s, true))
		}
	}
	for _, name := range e.latest.names() {
		add(e.latest, name, nil)
	}
	for _, d := range e.latest.earlier() {
		for _, name := range d.names() {
			add(d, name, nil)
		}
	}
	for _, m := range e.latest.migrations() {
		for old := range m.steps {
			add(e.latest, old, m)
		}
	}
	return list
}

// decide makes the handler of a message to an instance.
func (e *engine) decide(do func(*decision, outbox.Raw) error) func(*eventlog.Tx, outbox.Raw) error {
	return func(tx *eventlog.Tx, raw outbox.Raw) error {
		d, err := e.load(tx, raw.Stream)
		if err != nil {
			return err
		}
		return d.try(atonce.Of(tx), func(d *decision) error { return do(d, raw) })
	}
}

func (e *engine) failed(do func(*decision, outbox.Raw, error) error) func(*eventlog.Tx, outbox.Raw, error) error {
	return func(tx *eventlog.Tx, raw outbox.Raw, cause error) error {
		d, err := e.load(tx, raw.Stream)
		if err == nil {
			err = do(d, raw, cause)
		}
		if outbox.Aborted(err) { // it is none of ours, and leaves nothing behind but its error
			return nil
		}
		return err
	}
}
