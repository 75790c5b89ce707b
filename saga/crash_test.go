package saga_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/outbox"
	"github.com/rollforward/rollforward/saga"
)

// few shards are enough to have all kinds of commits, and cost less.
var few = &eventlog.Options{Shards: 4}

func openStore(t testing.TB, s *memlog.Store) *eventlog.Log {
	t.Helper()
	l, err := eventlog.Open(context.Background(), s.Open(), few)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := eventlog.Check(context.Background(), l); err != nil {
			t.Errorf("the log is damaged: %v", err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// dying lets n calls through; the last one's answer is lost as kind says, and
// after it nothing gets an answer any more: the process is dead.
func dying(n int, kind drivertest.Kind) drivertest.Plan {
	return func(c drivertest.Call) drivertest.Fault {
		switch {
		case c.Total < n:
			return drivertest.Fault{}
		case c.Total == n && c.Method == "Write":
			return drivertest.Fault{Kind: kind}
		case c.Method == "Write":
			return drivertest.Fault{Kind: drivertest.Drop}
		}
		return drivertest.Fault{Kind: drivertest.Fail}
	}
}

// TestCrashBetweenAnyTwoCalls: wherever a process dies, whether its last write
// is lost, was done, or is done when the next process is at work, the next one
// brings the saga to its end.
func TestCrashBetweenAnyTwoCalls(t *testing.T) {
	t.Parallel()
	for _, kind := range []drivertest.Kind{drivertest.Drop, drivertest.Lose, drivertest.Late} {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			for n, died := 1, true; died; n++ {
				synctest.Test(t, func(t *testing.T) { died = crashAt(t, n, kind) })
				if t.Failed() {
					t.Fatalf("the process died in call %d", n)
				}
				if n > 1000 {
					t.Fatal("the first process never ends")
				}
			}
		})
	}
}

// crashAt reports whether the process died before the saga had ended.
func crashAt(t *testing.T, n int, kind drivertest.Kind) (died bool) {
	store := memlog.NewStore()
	l := openStore(t, store)
	open(t, l, "account/a", 100) // b does not exist: the credit is refused
	in := Transfer{"account/a", "account/b", 70}
	faulty := drivertest.NewFaulty(store.Open(), dying(n, kind))
	if err := doomed(faulty, in); err == nil {
		return false
	}
	start(t, l, &transfer, "1", in)
	faulty.Deliver(context.Background())
	drain(t, l, transfer.Handlers()...)
	if st := status(t, l, &transfer, "1"); st.State != saga.Compensated {
		t.Errorf("the saga is %+v", st)
	}
	if got := postings(t, l, "account/a"); !slices.Equal(got, []int64{100, -70, 70}) {
		t.Errorf("postings %v", got)
	}
	return true
}

// doomed is the life of the process that dies.
func doomed(faulty *drivertest.Faulty, in Transfer) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	l, err := eventlog.Open(ctx, faulty, few)
	if err != nil {
		return err
	}
	defer l.Close()
	_, err = l.Update(ctx, func(tx *eventlog.Tx) error { return transfer.Start(tx, "1", in) })
	if err != nil {
		return err
	}
	return (&outbox.Runner{Log: l, Handlers: transfer.Handlers(), AtOnce: atOnce}).Drain(ctx)
}

// TestMoneyIsConserved: processes that start and run transfers come and go on a
// store with all kinds of faults. In the end every transfer that was started
// ended in exactly one of completed and compensated, and no money is lost or
// made.
func TestMoneyIsConserved(t *testing.T) {
	t.Parallel()
	seeds := uint64(10)
	if os.Getenv("ROLLFORWARD_SOAK") == "1" {
		seeds = 1000
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { (&storm{T: t, store: memlog.NewStore(), seed: seed}).run() })
		})
	}
}

const (
	accounts = 5
	wealth   = 100
)

func accountName(i int) string { return fmt.Sprintf("account/%d", i) }

type storm struct {
	*testing.T
	store *memlog.Store
	seed  uint64

	mu      sync.Mutex
	next    int
	started map[string]bool // acknowledged
}

func (s *storm) run() {
	s.started = make(map[string]bool)
	l := openStore(s.T, s.store)
	for i := range accounts {
		open(s.T, l, accountName(i), wealth)
	}
	if _, err := l.Append(context.Background(), accountName(0), nil, Closed{}); err != nil {
		s.Fatal(err)
	}
	for round := range uint64(3) {
		var processes sync.WaitGroup
		for p := range uint64(2) {
			processes.Go(func() { s.process(rand.New(rand.NewPCG(s.seed, 2*round+p))) })
		}
		processes.Wait()
	}
	for range 10 {
		time.Sleep(time.Minute) // what failed because of the store is due again
		drain(s.T, l, s.handlers()...)
	}
	s.audit(l)
}

// handlers never give a step up for the store's faults, so that it is the
// accounts alone that refuse.
func (s *storm) handlers() []outbox.Handler {
	patient := transfer
	patient.Steps = slices.Clone(transfer.Steps)
	for i := range patient.Steps {
		patient.Steps[i].Policy.Attempts = -1
	}
	return patient.Handlers()
}

func (s *storm) process(r *rand.Rand) {
	faulty := drivertest.NewFaulty(s.store.Open(), drivertest.Chaos(r.Uint64(), drivertest.Even))
	store := driver.Log(faulty)
	if r.IntN(2) == 0 { // whose writes may be moved
		store = faulty.Mover()
	}
	var l *eventlog.Log
	for l == nil {
		l, _ = eventlog.Open(context.Background(), store, few)
	}
	life := time.Duration(r.Int64N(int64(400 * time.Millisecond)))
	ctx, crash := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() {
		r := &outbox.Runner{Log: l, Handlers: s.handlers(), Sweep: 200 * time.Millisecond, Grace: 100 * time.Millisecond, AtOnce: atOnce}
		if err := r.Run(ctx); err != nil {
			s.Errorf("run: %v", err)
		}
	})
	work.Go(func() {
		for range 12 {
			s.start(ctx, l, r)
		}
	})
	time.Sleep(life)
	faulty.Inject(dying(0, drivertest.Drop))
	crash()
	work.Wait()
	_ = l.Close()
	faulty.Deliver(context.Background())
}

func (s *storm) start(ctx context.Context, l *eventlog.Log, r *rand.Rand) {
	s.mu.Lock()
	id := fmt.Sprint(s.next)
	s.next++
	s.mu.Unlock()
	in := Transfer{accountName(r.IntN(accounts)), accountName(r.IntN(accounts)), 1 + r.Int64N(wealth)}
	_, err := l.Update(ctx, func(tx *eventlog.Tx) error { return transfer.Start(tx, id, in) })
	s.mu.Lock()
	s.started[id] = err == nil
	s.mu.Unlock()
}

func (s *storm) audit(l *eventlog.Log) {
	states := map[saga.State]int{}
	for st, err := range transfer.Instances(context.Background(), l) {
		if err != nil {
			s.Fatal(err)
		}
		states[st.State]++
		delete(s.started, st.ID)
		if !st.State.Ended() {
			s.Errorf("seed %d: transfer %s is %s", s.seed, st.ID, st.State)
		}
	}
	for id, acknowledged := range s.started {
		if acknowledged {
			s.Errorf("seed %d: transfer %s was acknowledged and is not there", s.seed, id)
		}
	}
	recount(s, l)
	sum := int64(0)
	for i := range accounts {
		for _, amount := range postings(s.T, l, accountName(i)) {
			sum += amount
		}
	}
	if sum != accounts*wealth {
		s.Errorf("seed %d: %d in all accounts, want %d", s.seed, sum, accounts*wealth)
	}
	if states[saga.Compensated] == 0 || states[saga.Completed]+states[saga.Compensated] < 12 {
		s.Errorf("seed %d: %v: the test shows little", s.seed, states)
	}
}
