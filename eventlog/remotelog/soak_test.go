package remotelog

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/pebblelog"
)

// A soak is processes that write to one directory for a time. Each lives for a moment,
// and another one takes its place: so who owns the directory goes again and again.
type soak struct {
	t       *testing.T
	dir     string
	seen    []string // what has to happen
	longest time.Duration

	mu    sync.Mutex
	n     map[string]int // how often something happened
	acked []string       // what was acknowledged
}

const anOwner = "owner" // a process has owned the directory

func newSoak(t *testing.T, longest time.Duration, seen ...string) *soak {
	return &soak{t: t, dir: t.TempDir(), seen: append(seen, anOwner), longest: longest, n: make(map[string]int)}
}

func soakTime() time.Duration {
	if os.Getenv("ROLLFORWARD_SOAK") != "" {
		return 40 * time.Second
	}
	return time.Second
}

// soakPatience is what a slow machine has until everything has happened.
const soakPatience = 30 * time.Second

// run lets processes live until the time is over and what has to happen has happened.
func (s *soak) run(processes int, live func(ctx context.Context, d *Log, name string)) {
	begin := time.Now()
	over := func() bool {
		took := time.Since(begin)
		return s.t.Failed() || took > soakTime() && s.missing() == "" || took > soakTime()+soakPatience
	}
	var wg sync.WaitGroup
	for p := range processes {
		wg.Go(func() {
			for n := 0; !over(); n++ {
				s.life(fmt.Sprint(p, ".", n), live)
			}
		})
	}
	wg.Wait()
	if what := s.missing(); what != "" {
		s.t.Errorf("it was never seen: %s; %v", what, s.n)
	}
}

func (s *soak) life(name string, live func(ctx context.Context, d *Log, name string)) {
	d, err := s.open()
	if err != nil {
		s.t.Error(err)
		return
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), s.longest/10+rand.N(s.longest))
	defer cancel()
	live(ctx, d, name)
	if err := d.Close(); err != nil && !errors.Is(err, driver.ErrClosed) { // live may have closed it
		s.t.Errorf("close: %v", err)
	}
}

func (s *soak) open() (*Log, error) {
	return Open(s.t.Context(), s.dir, &Options{Store: pebblelog.Options{MemTableSize: 1 << 20}})
}

// missing returns what has not happened twice yet.
func (s *soak) missing() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, what := range s.seen {
		if s.n[what] < 2 {
			return what
		}
	}
	return ""
}

func (s *soak) count(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n[what]++
}

func (s *soak) ack(ids ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.acked = append(s.acked, ids...)
}

// owned notes whether a process, which ends, has the directory.
func (s *soak) owned(d *Log) {
	if d.owns() {
		s.count(anOwner)
	}
}

// check fails unless what was acknowledged was found once, and all else once at most.
func (s *soak) check(found map[string]int) {
	var errs []error
	for id, n := range found {
		if n != 1 {
			errs = append(errs, fmt.Errorf("%s is there %d times", id, n))
		}
	}
	for _, id := range s.acked {
		if found[id] == 0 {
			errs = append(errs, fmt.Errorf("%s was acknowledged and is not there", id))
		}
	}
	if len(errs) > 0 {
		s.t.Errorf("%d of %d: %v", len(errs), len(s.acked), errors.Join(errs[:min(10, len(errs))]...))
	}
}
