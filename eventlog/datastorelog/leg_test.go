package datastorelog

import (
	"slices"
	"testing"

	"github.com/rollforward/rollforward/internal/dsfake"
	"github.com/rollforward/rollforward/internal/emulator"
)

// A leg is a kind of server that the tests run on.
type leg struct {
	name string
	fake bool
	mode dsfake.Mode
	kind emulator.Kind
}

// The Datastore emulator refuses queries without an index: what passes there passes
// on the more lenient one.
var legs = []leg{
	{name: "optimistic", fake: true, mode: dsfake.Optimistic},
	{name: "pessimistic", fake: true, mode: dsfake.Pessimistic},
	{name: "datastore", kind: emulator.DatastoreIndexed},
	{name: "firestore", kind: emulator.Firestore},
}

// A server is one of a leg. set(true) takes it away, set(false) brings it back.
type server struct {
	opts Options
	set  func(away bool)
}

func (l leg) server(t testing.TB) server {
	if !l.fake {
		host := l.kind.Host(t)
		return server{Options{Emulator: host}, nil}
	}
	s := dsfake.New(&dsfake.Options{Mode: l.mode})
	t.Cleanup(func() { _ = s.Close() })
	set := func(away bool) {
		if away {
			s.Down()
		} else {
			s.Up()
		}
	}
	return server{Options{ClientOptions: s.ClientOptions(), RampUp: RampUpOff}, set}
}

// removable is a server that can be taken away.
func (l leg) removable(t testing.TB) server {
	s := l.server(t)
	if s.set == nil {
		b := newBridge(t, s.opts.Emulator)
		s = server{Options{Emulator: b.host()}, b.set}
	}
	return s
}

// eachLeg runs a test on all kinds of servers.
func eachLeg(t *testing.T, f func(t *testing.T, l leg)) {
	for _, l := range legs {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			f(t, l)
		})
	}
}

// open opens a log of a project of its own, or of the project that o names by its
// Database.
func (s server) open(t testing.TB, project string, o *Options) *Log {
	t.Helper()
	l, err := Open(t.Context(), project, s.with(o))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// with adds o to what leads to the server.
func (s server) with(o *Options) *Options {
	var opts Options
	if o != nil {
		opts = *o
	}
	opts.Emulator = s.opts.Emulator
	opts.ClientOptions = slices.Concat(s.opts.ClientOptions, opts.ClientOptions)
	if opts.RampUp == RampUpAuto {
		opts.RampUp = s.opts.RampUp
	}
	return &opts
}
