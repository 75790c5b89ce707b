package outbox

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
)

// TestLead: one leads at a time, the others wait; who leads for long is not waited for.
func TestLead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLead()
		ctx, cancel := context.WithCancel(t.Context())
		first := &batch{wants: true}
		l.want.Add(1)
		if first.leads = l.wait(ctx); !first.leads {
			t.Fatal("nobody leads, and the lead is not given")
		}
		got := make(chan bool, 1)
		go func() { got <- l.wait(ctx) }()
		time.Sleep(slowBatch / 2)
		synctest.Wait()
		select {
		case <-got:
			t.Fatal("two lead")
		default:
		}
		l.pass(first)
		if !<-got || l.want.Load() != 0 {
			t.Error("the lead was not handed on")
		}
		begin := time.Now()
		if l.wait(ctx) || time.Since(begin) != slowBatch {
			t.Errorf("a slow one was waited for, or not long enough: %v", time.Since(begin))
		}
		if begin = time.Now(); l.wait(ctx) || time.Since(begin) != 0 {
			t.Error("a slow one was waited for again")
		}
		l.begin()
		cancel()
		if l.wait(ctx) || time.Since(begin) != 0 {
			t.Error("the end of the context was not heeded")
		}
	})
}

// TestTaken: what a batch is at work on is left alone while it runs, and waited for until
// it has its place.
func TestTaken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := eventlogtest.New(t)
		_, err := log.Update(t.Context(), func(tx *eventlog.Tx) error {
			l, a, b := newLead(), &batch{tx: tx}, &batch{tx: tx}
			if !l.take("x", a) || l.take("x", b) || !l.take("y", b) {
				t.Error("a stream is not its taker's alone")
			}
			if !l.take("x", a) {
				t.Error("its taker has lost it")
			}
			l.pass(a)
			took := make(chan bool, 1)
			go func() { took <- l.take("x", b) }()
			synctest.Wait()
			select {
			case <-took:
				t.Error("it was not waited for")
			default:
			}
			l.pass(a) // once more: its write has failed
			if l.drop(a); !<-took || len(l.taken) != 2 || len(a.has) != 0 {
				t.Errorf("the stream was not handed on: %v", l.taken)
			}
			if l.drop(b); len(l.taken) != 0 {
				t.Errorf("left: %v", l.taken)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// TestLearn: a batch that met others makes the next ones do less, and then nothing for a
// while; how many steps a batch begins with follows the time that they take.
func TestLearn(t *testing.T) {
	t.Parallel()
	e := &engine{options: options{AtOnce: 64, Batch: 128}, few: 64}
	h := &Handler{}
	e.learn(&batch{taker: h, runs: 1})
	if h.fit != firstFit || e.few != 64 {
		t.Errorf("fit %d, few %d", h.fit, e.few)
	}
	for range 20 {
		e.learn(&batch{taker: h, runs: 1})
	}
	if h.fit != 128 {
		t.Errorf("fit %d", h.fit)
	}
	if e.learn(&batch{taker: h, runs: 1, late: true}); h.fit != 96 {
		t.Errorf("fit %d", h.fit)
	}
	for range 4 {
		e.learn(&batch{taker: h, runs: 2})
	}
	if e.few != minAtOnce || e.shy.IsZero() {
		t.Errorf("few %d, shy until %v", e.few, e.shy)
	}
	for range 30 {
		e.learn(&batch{taker: h, runs: 1})
	}
	if e.few != 64 {
		t.Errorf("few %d", e.few)
	}
	if e.learn(&batch{runs: 2}); e.few != 64 {
		t.Error("it learns of a batch that did nothing at once")
	}
}
