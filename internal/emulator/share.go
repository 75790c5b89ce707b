package emulator

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/rollforward/rollforward/internal/race"
)

// shared holds the servers of this test binary, by the name of their kind.
var shared struct {
	sync.Mutex
	servers map[string]*Server
}

// told holds the kinds that are missing and of which that was said.
var told sync.Map

// Host returns the address, host:port, of the server that the tests of this binary
// share, and starts it if it is the first to ask.
func (k Kind) Host(t testing.TB) string {
	t.Helper()
	k.Require(t)
	shared.Lock()
	defer shared.Unlock()
	s := shared.servers[k.name]
	if s == nil || s.dead() {
		var err error
		if s, err = k.start(); err != nil {
			t.Fatalf("%v: %v", k, err)
		}
		if shared.servers == nil {
			shared.servers = map[string]*Server{}
		}
		shared.servers[k.name] = s
	}
	t.Cleanup(func() {
		if t.Failed() && s.dead() {
			t.Logf("the %v ended; it printed:\n%s", k, s.tail())
		}
	})
	return s.Host()
}

// Require skips the test, or with EMULATORS=require fails it, where the emulator is
// missing. It starts nothing.
func (k Kind) Require(t testing.TB) {
	t.Helper()
	_, _, err := k.find()
	switch {
	case err == nil && race.Enabled && os.Getenv("ROLLFORWARD_SOAK") == "":
		k.tell(errRace)
		t.Skip(errRace)
	case err == nil:
	case os.Getenv("EMULATORS") == "require":
		t.Fatalf("EMULATORS=require, and there is no %v: %v", k, err)
	default:
		k.tell(err)
		t.Skipf("there is no %v: %v", k, err)
	}
}

// errRace: what the race detector finds it finds on the fakes, and most of an emulator's
// time is waiting.
var errRace = errors.New("it runs in the tests without the race detector, and in soaks")

// tell prints one loud line for each kind that is missing.
func (k Kind) tell(err error) {
	if _, again := told.LoadOrStore(k.name, true); again {
		return
	}
	fmt.Fprintf(os.Stderr, "!!! NO %s: ITS TESTS ARE SKIPPED (%v) !!!\n", strings.ToUpper(k.name), err)
}
