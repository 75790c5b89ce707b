package eventlog_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/memlog"
)

// answering is a handle of a store that others write to, whose answers to Writes a test
// may give.
type answering struct {
	driver.Log
	mu      sync.Mutex
	answers []answer // to the next Writes that commit or check, one each
	seen    []driver.Write
}

// An answer is what a Write is answered with; with errPass the store answers.
type answer func(w driver.Write) error

var errPass = errors.New("as the store says")

func (*answering) Wide() bool      { return true }
func (*answering) Exclusive() bool { return false }

func (a *answering) Write(ctx context.Context, w driver.Write) error {
	err := errPass
	if next := a.next(w); next != nil {
		err = next(w)
	}
	if err == errPass {
		return a.Log.Write(ctx, w)
	}
	return err
}

func (a *answering) next(w driver.Write) (next answer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seen = append(a.seen, w)
	if len(w.Batches) > 0 && len(a.answers) > 0 {
		next, a.answers = a.answers[0], a.answers[1:]
	}
	return next
}

// say gives the answers to the next Writes.
func (a *answering) say(list ...answer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answers, a.seen = list, nil
}

// writes returns what has come since the last answers were said.
func (a *answering) writes() []driver.Write {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.seen)
}

// told refuses a Write in shard 0, which has this tail and nothing that the writer does
// not know, with what is under way.
func told(tail driver.Revision, ahead ...driver.Flight) answer {
	return func(w driver.Write) error {
		return &driver.TailError{Tail: tail, News: []driver.Batch{{First: w.Batches[0].First}}, Ahead: ahead}
	}
}

// refuse refuses a Write in shard 0 as one that stands behind what is not there.
func (a *answering) refuse(driver.Write) error {
	tail, err := a.Tail(context.Background(), 0)
	if err != nil {
		return err
	}
	return &driver.TailError{Tail: tail}
}

// refuseBehind does so with those that stand behind others.
func (a *answering) refuseBehind(w driver.Write) error {
	if w.Batches[0].Behind == [16]byte{} {
		return errPass
	}
	return a.refuse(w)
}

func loseAnswer(driver.Write) error { return driver.ErrUnknown }

// answered opens a log over a store, as a process beside others.
func answered(t *testing.T, store *memlog.Store, o eventlog.Options) (*eventlog.Log, *answering) {
	t.Helper()
	a := &answering{Log: store.Open()}
	return over(t, a, &o), a
}

// failed returns an append's Write as others are told of it while it is under way. It
// has failed in the end.
func failed(t *testing.T, store *memlog.Store, stream, text string) (f driver.Flight) {
	t.Helper()
	l, a := answered(t, store, eventlog.Options{})
	a.say(func(w driver.Write) error {
		f = flightOf(w)
		return driver.ErrDiskFull
	})
	_, err := l.Append(t.Context(), stream, nil, entry{text})
	is(t, err, driver.ErrDiskFull)
	return f
}

// flightOf copies what is somebody else's again when the Write returns.
func flightOf(w driver.Write) driver.Flight {
	b := w.Batches[0]
	b.Commits = slices.Clone(b.Commits)
	for i := range b.Commits {
		c := &b.Commits[i]
		c.Data, c.Keys = bytes.Clone(c.Data), slices.Clone(c.Keys)
	}
	return driver.Flight{Write: w.ID, Batch: b}
}
