package eventlog_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"strings"
	"testing"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/datastorelog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/eventlog/pebblelog"
	"github.com/rollforward/rollforward/eventlog/remotelog"
	"github.com/rollforward/rollforward/internal/dsfake"
	"github.com/rollforward/rollforward/internal/race"
)

// An entry is the event of most tests, a diary what a stream of them folds
// into: the texts, each with a space behind it.
type entry struct{ Text string }
type diary struct{ Text string }

func (entry) EventType() string { return "test.entry" }

var diaries = eventlog.Model[diary]{Name: "diary", Version: 1, Folds: eventlog.Folds[diary]{
	eventlog.On(func(d *diary, e entry) { d.Text += e.Text + " " }),
}}

var notes = eventlog.Table[string]{Name: "notes"}

// over opens a log over a driver. At the end of the test it is checked and
// closed, unless the test closed it.
func over(t testing.TB, d driver.Log, o *eventlog.Options) *eventlog.Log {
	t.Helper()
	l, err := eventlog.Open(context.Background(), d, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := eventlog.Check(context.Background(), l); err != nil && !errors.Is(err, eventlog.ErrClosed) {
			t.Errorf("the log is damaged: %v", err)
		}
		if err := l.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return l
}

// fresh is a log in memory.
func fresh(t testing.TB) *eventlog.Log { return over(t, memlog.Open(), nil) }

// faulty is a log in memory that can be made to fail.
func faulty(t testing.TB, o *eventlog.Options) (*eventlog.Log, *drivertest.Faulty) {
	t.Helper()
	f := drivertest.NewFaulty(memlog.Open(), nil)
	l := over(t, f, o)
	t.Cleanup(func() { f.Inject(nil) })
	return l, f
}

// embedded is a log in a directory of its own.
func embedded(t testing.TB, o *eventlog.Options) *eventlog.Log {
	t.Helper()
	return over(t, directory(t), o)
}

func directory(t testing.TB) driver.Log {
	t.Helper()
	d, err := pebblelog.Open(t.TempDir(), &pebblelog.Options{MemTableSize: 8 << 20, Reserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// eachDriver runs a test on the drivers that need nothing but Go.
func eachDriver(t *testing.T, o *eventlog.Options, f func(t *testing.T, l *eventlog.Log)) {
	t.Run("memlog", func(t *testing.T) {
		t.Parallel()
		f(t, over(t, memlog.Open(), o))
	})
	t.Run("pebblelog", func(t *testing.T) {
		t.Parallel()
		f(t, embedded(t, o))
	})
	t.Run("remotelog", func(t *testing.T) {
		t.Parallel()
		f(t, over(t, shared(t), o))
	})
	t.Run("datastorelog", func(t *testing.T) {
		t.Parallel()
		if race.Enabled && !soaking() {
			t.Skip("with the race detector only its own tests run, and soaks")
		}
		f(t, over(t, inDatastore(t), o))
	})
}

// shared is a directory that another process has.
func shared(t testing.TB) driver.Log {
	t.Helper()
	dir := t.TempDir()
	o := &remotelog.Options{Store: pebblelog.Options{MemTableSize: 8 << 20, Reserve: -1}}
	owner, err := remotelog.Open(context.Background(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = owner.Close() })
	d, err := remotelog.Open(context.Background(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// inDatastore is a Datastore of the test's own.
func inDatastore(t testing.TB) driver.Log {
	t.Helper()
	s := dsfake.New(nil)
	t.Cleanup(func() { _ = s.Close() })
	d, err := datastorelog.Open(context.Background(), "test", &datastorelog.Options{ClientOptions: s.ClientOptions(), RampUp: datastorelog.RampUpOff})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// add appends entries, which must succeed.
func add(t testing.TB, l *eventlog.Log, stream string, texts ...string) eventlog.Position {
	t.Helper()
	p, err := l.Append(context.Background(), stream, nil, entries(texts...)...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func entries(texts ...string) (list []eventlog.Event) {
	for _, s := range texts {
		list = append(list, entry{s})
	}
	return list
}

// update runs fn in an Update, which must succeed.
func update(t testing.TB, l *eventlog.Log, fn func(tx *eventlog.Tx) error) eventlog.Position {
	t.Helper()
	p, err := l.Update(context.Background(), fn)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// failer is what a *testing.T and a *rapid.T have in common.
type failer interface {
	Helper()
	Errorf(format string, args ...any)
	Fatal(args ...any)
}

// collect reads to the end, which must be reached.
func collect[T any](t failer, seq iter.Seq2[T, error]) (list []T) {
	t.Helper()
	for v, err := range seq {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, v)
	}
	return list
}

// last reads to the end and returns the error that it ends with.
func last[T any](seq iter.Seq2[T, error]) (err error) {
	for _, err = range seq {
	}
	return err
}

// text is an entry's text.
func text(t failer, r eventlog.Record) string {
	t.Helper()
	var e entry
	if err := r.Decode(&e); err != nil {
		t.Fatal(err)
	}
	return e.Text
}

// texts are those of the entries that a reading yields, with spaces between.
func texts(t failer, seq iter.Seq2[eventlog.Record, error]) string {
	t.Helper()
	var list []string
	for _, r := range collect(t, seq) {
		list = append(list, text(t, r))
	}
	return strings.Join(list, " ")
}

// want fails unless a stream holds these entries.
func want(t testing.TB, l *eventlog.Log, stream, expected string) {
	t.Helper()
	if got := texts(t, l.Read(context.Background(), eventlog.Query{Stream: stream})); got != expected {
		t.Errorf("%s holds %q, expected %q", stream, got, expected)
	}
}

// is fails unless err wraps target; a nil target wants success.
func is(t failer, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("error %v, expected %v", err, target)
	}
}

// inShard returns a stream name that lies in a shard.
func inShard(l *eventlog.Log, shard int, name string) string {
	for i := 0; ; i++ {
		if s := fmt.Sprintf("%s/%d", name, i); l.ShardOf(s) == shard {
			return s
		}
	}
}

// allShards names every shard.
func allShards(l *eventlog.Log) (list []int) {
	for s := range l.Shards() {
		list = append(list, s)
	}
	return list
}

// soaking says that there is time.
func soaking() bool { return os.Getenv("ROLLFORWARD_SOAK") != "" }

var (
	errNo       = errors.New("no")
	errPanicked = errors.New("panicked")
)

// begin calls fn in a goroutine; the answer, also a panic, comes later.
func begin(fn func() error) <-chan error {
	answer := make(chan error, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				answer <- fmt.Errorf("%w: %v", errPanicked, p)
			}
		}()
		answer <- fn()
	}()
	return answer
}

// unanswered fails when an answer is there.
func unanswered(t testing.TB, what string, answer <-chan error) {
	t.Helper()
	select {
	case err := <-answer:
		t.Errorf("%s was answered (%v) too early", what, err)
	default:
	}
}

// holdWrites is a plan that holds every write back until the gate is open.
func holdWrites(gate <-chan struct{}) drivertest.Plan {
	return func(c drivertest.Call) drivertest.Fault {
		if c.Method != "Write" {
			return drivertest.Fault{}
		}
		return drivertest.Fault{Before: gate}
	}
}
