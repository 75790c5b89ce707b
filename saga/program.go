package saga

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"runtime/debug"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/sys"
	"github.com/rollforward/rollforward/outbox"
)

// A program is a Saga without its type: what the engine runs. The data that goes
// through it is a *S.
type program interface {
	sagaName() string
	version() int
	deadline() time.Duration
	check() error
	checkVersions() error
	earlier() []Definition
	migrations() []*migration
	names() []string
	step(name string) stepper // nil: there is none
	following(name string) string
	decode(data []byte) (any, error)
	copy(data any) any   // nil: it takes decoding anew
	equal(a, b any) bool // false: or it is not known
}

// A stepper is a Step without its type.
type stepper interface {
	stepName() string
	kind() kind
	works() bool // by a command to a stream
	undoable() bool
	on(s any) string
	do(tx *eventlog.Tx, s any) error
	undo(tx *eventlog.Tx, s any) error
	call(ctx context.Context, key string, s any) error
	recall(ctx context.Context, key string, s any) error
	due(s any, now time.Time) time.Time
	signal() string
	receive(s any, data json.RawMessage) error
	child() program
	asks() bool // for the children's data
	input(s any, key string) ([]byte, error)
	output(s any, key string, data json.RawMessage) error
	fans() bool
	keys(tx *eventlog.Tx, s any, after string, n int) ([]string, error)
	need(s any) int
	timeout() (time.Duration, string)
	routes() []string
	next(s any) string
	policy() outbox.Policy
}

// A migration is a Migration without its type.
type migration struct {
	from  int
	data  func(stored []byte) ([]byte, error)
	steps map[string]string
}

// rename returns today's name of a step.
func (m *migration) rename(step string) string {
	if m != nil {
		if now, ok := m.steps[step]; ok {
			return now
		}
	}
	return step
}

func (s *Saga[S]) sagaName() string        { return s.Name }
func (s *Saga[S]) version() int            { return s.Version }
func (s *Saga[S]) deadline() time.Duration { return s.Deadline }
func (s *Saga[S]) earlier() []Definition   { return s.Earlier }

func (s *Saga[S]) names() []string {
	list := make([]string, len(s.Steps))
	for i := range s.Steps {
		list[i] = s.Steps[i].Name
	}
	return list
}

// place returns the place of a step, -1 when there is none of that name.
func (s *Saga[S]) place(name string) int {
	for i := range s.Steps {
		if s.Steps[i].Name == name {
			return i
		}
	}
	return -1
}

func (s *Saga[S]) step(name string) stepper {
	if i := s.place(name); i >= 0 {
		return &s.Steps[i]
	}
	return nil
}

// following returns the step behind name in the list, the first one behind "".
func (s *Saga[S]) following(name string) string {
	if i := s.place(name) + 1; i < len(s.Steps) {
		return s.Steps[i].Name
	}
	return End
}

func (s *Saga[S]) decode(data []byte) (any, error) {
	v := new(S)
	if err := json.Unmarshal(data, v); err != nil {
		return nil, fmt.Errorf("decode the saga's data: %w", err)
	}
	return v, nil
}

func (s *Saga[S]) copy(data any) any {
	if !sys.Plain(reflect.TypeFor[S]()) {
		return nil
	}
	v := *data.(*S)
	return &v
}

func (s *Saga[S]) equal(a, b any) bool {
	t := reflect.TypeFor[S]()
	return sys.Plain(t) && t.Comparable() && any(*a.(*S)) == any(*b.(*S))
}

func (s *Saga[S]) migrations() []*migration {
	list := make([]*migration, len(s.Migrations))
	for i, m := range s.Migrations {
		list[i] = &migration{from: m.From, steps: m.Steps, data: m.convert}
	}
	return list
}

func (m Migration[S]) convert(stored []byte) ([]byte, error) {
	if m.Data == nil {
		return stored, nil
	}
	var data S
	if err := guard(func() (err error) { data, err = m.Data(stored); return err }); err != nil {
		return nil, fmt.Errorf("migrate the data of version %d: %w", m.From, err)
	}
	return encode(&data)
}

func (s *Step[S]) stepName() string { return s.Name }
func (s *Step[S]) kind() kind       { return s.kinds()[0] }
func (s *Step[S]) works() bool      { return s.kind() == kindChange || s.kind() == kindCall }
func (s *Step[S]) undoable() bool {
	return s.Undo != nil || s.Recall != nil || s.Child.saga != nil
}
func (s *Step[S]) do(tx *eventlog.Tx, v any) error   { return s.Do(tx, v.(*S)) }
func (s *Step[S]) undo(tx *eventlog.Tx, v any) error { return s.Undo(tx, v.(*S)) }
func (s *Step[S]) signal() string                    { return s.Signal.name }
func (s *Step[S]) child() program                    { return s.Child.saga }
func (s *Step[S]) asks() bool                        { return s.Child.output != nil }
func (s *Step[S]) fans() bool                        { return s.Keys != nil }
func (s *Step[S]) timeout() (time.Duration, string)  { return s.Timeout, s.OnTimeout }
func (s *Step[S]) routes() []string                  { return s.Routes }
func (s *Step[S]) next(v any) string                 { return s.Next(v.(*S)) }
func (s *Step[S]) policy() outbox.Policy             { return s.Policy }

func (s *Step[S]) on(v any) string {
	if s.On == nil {
		return ""
	}
	return s.On(v.(*S))
}

func (s *Step[S]) call(ctx context.Context, key string, v any) error {
	return s.Call(ctx, key, v.(*S))
}

func (s *Step[S]) recall(ctx context.Context, key string, v any) error {
	return s.Recall(ctx, key, v.(*S))
}

func (s *Step[S]) due(v any, now time.Time) time.Time {
	if s.Until != nil {
		return s.Until(v.(*S))
	}
	return now.Add(s.Wait)
}

func (s *Step[S]) receive(v any, data json.RawMessage) error {
	return s.Signal.receive(v.(*S), data)
}

func (s *Step[S]) input(v any, key string) ([]byte, error) {
	return s.Child.input(v.(*S), key)
}

func (s *Step[S]) output(v any, key string, data json.RawMessage) error {
	return s.Child.output(v.(*S), key, data)
}

func (s *Step[S]) keys(tx *eventlog.Tx, v any, after string, n int) ([]string, error) {
	return s.Keys(tx, v.(*S), after, n)
}

func (s *Step[S]) need(v any) int {
	if s.Need == nil {
		return 0
	}
	return s.Need(v.(*S))
}

// guard makes a panic of a user's function an error.
func guard(fn func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%.1500s", p, debug.Stack())
		}
	}()
	return fn()
}
