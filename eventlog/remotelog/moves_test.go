package remotelog

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	neturl "net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/pebblelog"
	"github.com/rollforward/rollforward/internal/seal"
)

// sealed is a batch of commits as eventlog makes them, each with a key, whose times are
// their revisions. It excludes that key.
func sealed(shard int, first driver.Revision, commits int, key string) driver.Batch {
	b := driver.Batch{Shard: shard, First: first, Unless: []string{key}}
	for i := range commits {
		rev := first + driver.Revision(i)
		c := driver.Commit{Revision: rev, Data: make([]byte, seal.Least), Time: int64(rev), Keys: []driver.Key{{Name: key, Pos: uint64(rev)}}}
		seal.Set(c.Data, shard, uint64(rev), c.Time)
		b.Commits = append(b.Commits, c)
	}
	return b
}

// move brings a Write to the store that may be moved.
func (c *chain) move(p *party, name byte, answer error, list ...driver.Batch) (wt *waiter, result func() error) {
	wt = &waiter{party: p, write: &driver.Write{ID: [16]byte{name}, TakesAhead: true, Batches: list}, free: true}
	return wt, c.carries(wt, name, answer)
}

// passed is which revisions of a shard a Write has passed.
func passed(wt *waiter, shard int) (list []driver.Revision) {
	for _, m := range wt.moved {
		if m.Passed.Shard == shard {
			for _, c := range m.Passed.Commits {
				list = append(list, c.Revision)
			}
		}
	}
	return list
}

// TestMovesBehindWhatIsUnderWay: a Write that may be moved does not wait for those under
// way, and is refused by nobody: it comes to the store behind them.
func TestMovesBehindWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	chained(t, func(t *testing.T, c *chain, a, b *party) {
		first := c.write(a, 'a', nil, sealed(0, 1, 2, "a"))
		second, result := c.move(b, 'b', nil, sealed(0, 1, 1, "b"), sealed(1, 1, 1, "b"))
		third, last := c.move(a, 'c', nil, sealed(0, 3, 1, "c")) // it knows its own
		if got := c.has(); got != "abc" {
			t.Errorf("the store has %s, expected abc", got)
		}
		for _, err := range []error{first(), result(), last()} {
			if err.Error() != "under way" {
				t.Errorf("%v, before the store has answered", err)
			}
		}
		if at := second.write.Batches; at[0].First != 3 || at[1].First != 1 || third.write.Batches[0].First != 4 {
			t.Errorf("they stand at %d and %d, and %d", at[0].First, at[1].First, third.write.Batches[0].First)
		}
		if !slices.Equal(passed(second, 0), []driver.Revision{1, 2}) || !slices.Equal(passed(third, 0), []driver.Revision{3}) {
			t.Errorf("they have passed %v and %v", passed(second, 0), passed(third, 0))
		}
		c.work.Wait()
		for _, err := range []error{first(), result(), last()} {
			if err != nil {
				t.Error(err)
			}
		}
	})
}

// TestMovesPastNobodyWhoCarriesTheName: what is under way counts as what is there.
func TestMovesPastNobodyWhoCarriesTheName(t *testing.T) {
	t.Parallel()
	chained(t, func(t *testing.T, c *chain, a, b *party) {
		c.write(a, 'a', nil, sealed(0, 1, 2, "same"))
		wt, result := c.move(b, 'x', nil, sealed(0, 1, 1, "same"))
		if e := refusalOf(t, result); len(e.Ahead) != 1 || wt.moved != nil {
			t.Errorf("told of %+v, moved %+v", e.Ahead, wt.moved)
		}
	})
}

// TestMovesPastNobodyUnknown: what is not remembered is not passed.
func TestMovesPastNobodyUnknown(t *testing.T) {
	t.Parallel()
	chained(t, func(t *testing.T, c *chain, a, b *party) {
		large := sealed(0, 1, 1, "a")
		large.Commits[0].Data = make([]byte, keptNews)
		done := c.write(a, 'a', nil, large)
		time.Sleep(2 * time.Second)
		if done() != nil {
			t.Fatal(done())
		}
		wt, result := c.move(b, 'x', nil, sealed(0, 1, 1, "b"))
		if e := refusalOf(t, result); len(e.News) > 0 || wt.moved != nil {
			t.Errorf("told of %+v, moved %+v", e.News, wt.moved)
		}
	})
}

// TestMovesAreBounded: nobody passes more than one answer should tell of.
func TestMovesAreBounded(t *testing.T) {
	t.Parallel()
	chained(t, func(t *testing.T, c *chain, a, b *party) {
		var mine, theirs []driver.Batch
		for shard := range 8 {
			list := sealed(shard, 1, 1, "a")
			for i := range 40 {
				list.Commits[0].Keys = append(list.Commits[0].Keys, driver.Key{Name: fmt.Sprint(strings.Repeat("k", 1000), i), Pos: 1})
			}
			theirs, mine = append(theirs, list), append(mine, sealed(shard, 1, 1, "b"))
		}
		done := c.write(a, 'a', nil, theirs...)
		if time.Sleep(2 * time.Second); done() != nil {
			t.Fatal(done())
		}
		wt, all := c.move(b, 'x', nil, mine...)
		if refusalOf(t, all); wt.moved != nil {
			t.Errorf("moved past %d", len(wt.moved))
		}
		wt, few := c.move(b, 'b', nil, mine[:4]...)
		if time.Sleep(2 * time.Second); few() != nil || len(wt.moved) != 4 {
			t.Errorf("%v, moved past %d", few(), len(wt.moved))
		}
	})
}

// TestMovesOnceWhereTheOwnerGoes: a Write that was about to be moved when its place was
// lost is not taken elsewhere as it was moved: its writer would not know what it passed.
func TestMovesOnceWhereTheOwnerGoes(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "log")
	open := func() *Log {
		l, err := Open(t.Context(), dir, &Options{Store: pebblelog.Options{MemTableSize: 1 << 20, Reserve: -1}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		return l
	}
	first, other := open(), open()
	if err := <-moveOne(other, 0); err != nil {
		t.Fatal(err)
	}
	if err := first.at.(*owner).log.Close(); err != nil { // it has not been noticed yet
		t.Fatal(err)
	}
	moved, err := first.Move(t.Context(), driver.Write{Batches: []driver.Batch{sealed(0, 1, 1, "j")}})
	if !errors.As(err, new(*driver.TailError)) {
		t.Errorf("%v, moved %+v, expected a refusal", err, moved)
	}
	tail, err := other.Tail(t.Context(), 0)
	if err != nil || tail != 1 {
		t.Errorf("tail %d, %v", tail, err)
	}
}

// TestMovesBehindWhatFails: what stands behind a Write that fails fails too, and until then
// nobody else gets a place behind either.
func TestMovesBehindWhatFails(t *testing.T) {
	t.Parallel()
	chained(t, func(t *testing.T, c *chain, a, b *party) {
		first := c.write(a, 'a', driver.ErrDiskFull, sealed(0, 1, 2, "a"))
		late := &driver.TailError{Shard: 0}
		_, second := c.move(b, 'b', late, sealed(0, 1, 1, "b"))
		time.Sleep(1035 * time.Millisecond) // the first one has failed, the second has not
		if err := first(); !errors.Is(err, driver.ErrDiskFull) {
			t.Fatalf("%v, expected a full disk", err)
		}
		wt, third := c.move(a, 'c', nil, sealed(0, 1, 1, "c"))
		c.work.Wait()
		if second() != late {
			t.Errorf("behind the one that failed: %v", second())
		}
		if err := third(); err != nil || wt.write.Batches[0].First != 1 {
			t.Errorf("afterwards: %v, at %d", err, wt.write.Batches[0].First)
		}
	})
}

// TestMovesWaitForWhoHasTheTurn: who was refused has its turn before Writes that may be
// moved, which would take its place again and again.
func TestMovesWaitForWhoHasTheTurn(t *testing.T) {
	t.Parallel()
	chained(t, func(t *testing.T, c *chain, a, b *party) {
		done := c.write(a, 'a', nil, sealed(0, 1, 1, "a"))
		time.Sleep(2 * time.Second)
		if done() != nil {
			t.Fatal(done())
		}
		refusalOf(t, c.write(b, 'x', nil, sealed(0, 1, 1, "b")))
		wt, moved := c.move(a, 'c', nil, sealed(0, 2, 1, "c"))
		if moved().Error() != "under way" || wt.flight != nil {
			t.Fatalf("%v: it did not wait", moved())
		}
		second := c.write(b, 'b', nil, sealed(0, 2, 1, "b"))
		c.work.Wait()
		if second() != nil || moved() != nil || !slices.Equal(passed(wt, 0), []driver.Revision{2}) {
			t.Errorf("%v, %v, passed %v", second(), moved(), passed(wt, 0))
		}
	})
}

// A heldStore keeps each Write under way until it is told how it ends.
type heldStore struct {
	*pebblelog.Log
	reached chan struct{}
	end     chan error // nil: it is written
}

func (h *heldStore) Start(ctx context.Context, w driver.Write) (wait func() error) {
	h.reached <- struct{}{}
	return func() error {
		if err := <-h.end; err != nil {
			return err
		}
		return h.Log.Start(ctx, w)()
	}
}

// serveHeld serves a store that holds every Write.
func serveHeld(t *testing.T) (h *Handler, store *heldStore, url string) {
	t.Helper()
	d, err := pebblelog.Open(filepath.Join(t.TempDir(), "log"), &pebblelog.Options{MemTableSize: 1 << 20, Reserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	store = &heldStore{Log: d, reached: make(chan struct{}), end: make(chan error)}
	h = NewHandler(store, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: h}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() {
		if err := errors.Join(h.Close(), s.Close(), d.Close()); err != nil {
			t.Error(err)
		}
	})
	return h, store, "http://" + l.Addr().String()
}

func dialTo(t *testing.T, url string, o *Options) *Log {
	t.Helper()
	d, err := Dial(t.Context(), url, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

// cutOff ends the connection of a log.
func cutOff(l *Log) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at.(*client).link.end(errors.New("cut"))
}

// begun calls f, whose answer the channel gets.
func begun[T any](f func() T) <-chan T {
	answer := make(chan T, 1)
	go func() { answer <- f() }()
	return answer
}

func moveOne(d *Log, shard int) <-chan error {
	return begun(func() error {
		_, err := d.Move(context.Background(), driver.Write{Batches: []driver.Batch{sealed(shard, 1, 1, "k")}})
		return err
	})
}

// TestMovesAreDecidedWhenTheClientComesAgain: a client whose connection was lost with a
// Write that may be moved under way is served again when that has an outcome, and so
// sees it.
func TestMovesAreDecidedWhenTheClientComesAgain(t *testing.T) {
	t.Parallel()
	for _, end := range []error{nil, driver.ErrDiskFull} {
		h, store, url := serveHeld(t)
		d := dialTo(t, url, nil)
		moved := moveOne(d, 0)
		<-store.reached
		cutOff(d)
		if err := <-moved; !errors.Is(err, driver.ErrUnknown) {
			t.Fatalf("%v, expected ErrUnknown", err)
		}
		tail := begun(func() driver.Revision {
			rev, err := d.Tail(context.Background(), 0)
			if err != nil {
				t.Error(err)
			}
			return rev
		})
		for sessions(h) < 2 { // it waits at the door
			time.Sleep(time.Millisecond)
		}
		select {
		case rev := <-tail:
			t.Fatalf("it has read a tail of %d before its write had an outcome", rev)
		default:
		}
		store.end <- end
		want := driver.Revision(1)
		if end != nil {
			want = 0
		}
		if rev := <-tail; rev != want {
			t.Errorf("the write ended with %v, and the tail is %d", end, rev)
		}
	}
}

// sessions is how many a server's one client with a name has.
func sessions(h *Handler) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	most := 0
	for _, g := range h.clients {
		most = max(most, len(g.sessions))
	}
	return most
}

// TestMovesAreDecidedHoweverOftenTheClientComes: also when the client gives up and comes
// again, it is let in when its first connection is over.
func TestMovesAreDecidedHoweverOftenTheClientComes(t *testing.T) {
	t.Parallel()
	h, store, url := serveHeld(t)
	u, err := neturl.Parse(url)
	if err != nil {
		t.Fatal(err)
	}
	o := (&Options{}).withDefaults()
	first, err := (&target{url: u, opts: o}).connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer first.close()
	moved := begun(func() error {
		_, err := first.move(context.Background(), &driver.Write{Batches: []driver.Batch{sealed(0, 1, 1, "k")}})
		return err
	})
	<-store.reached
	knock := func() net.Conn {
		conn, err := net.Dial("tcp", u.Host)
		if err != nil {
			t.Fatal(err)
		}
		if err := request101(u, o).Write(conn); err != nil {
			t.Fatal(err)
		}
		return conn
	}
	second := knock()
	for sessions(h) < 2 {
		time.Sleep(time.Millisecond)
	}
	if err := <-moved; !errors.Is(err, driver.ErrUnknown) { // its connection was ended
		t.Fatalf("%v, expected ErrUnknown", err)
	}
	second.Close()
	for sessions(h) > 1 {
		time.Sleep(time.Millisecond)
	}
	third := knock()
	defer third.Close()
	for sessions(h) < 2 {
		time.Sleep(time.Millisecond)
	}
	answer := begun(func() string {
		res, err := http.ReadResponse(bufio.NewReader(third), nil)
		if err != nil {
			return err.Error()
		}
		return res.Status
	})
	select {
	case status := <-answer:
		t.Fatalf("%s, with its first write under way", status)
	case <-time.After(50 * time.Millisecond):
	}
	store.end <- nil
	if status := <-answer; !strings.HasPrefix(status, "101") {
		t.Errorf("afterwards: %s", status)
	}
}

// TestMovesInDoubtAtTheDoor: a client that waits at the door when its write gets no outcome
// is not let in either.
func TestMovesInDoubtAtTheDoor(t *testing.T) {
	t.Parallel()
	h, store, url := serveHeld(t)
	d := dialTo(t, url, &Options{Patience: 100 * time.Millisecond})
	moved := moveOne(d, 0)
	<-store.reached
	cutOff(d)
	if err := <-moved; !errors.Is(err, driver.ErrUnknown) {
		t.Fatalf("%v, expected ErrUnknown", err)
	}
	tail := begun(func() error {
		_, err := d.Tail(context.Background(), 0)
		return err
	})
	for sessions(h) < 2 {
		time.Sleep(time.Millisecond)
	}
	store.end <- driver.ErrUnknown
	if err := <-tail; err == nil {
		t.Error("a client was told what may change")
	}
}

// TestNoMovesWithoutAName: who cannot be known when it comes again is offered no moves, and
// gets none.
func TestNoMovesWithoutAName(t *testing.T) {
	t.Parallel()
	_, _, url := serveHeld(t)
	u, _ := neturl.Parse(url)
	o := (&Options{}).withDefaults()
	o.client = ""
	p, err := (&target{url: u, opts: o}).connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	w := driver.Write{Batches: []driver.Batch{sealed(0, 1, 1, "k")}}
	if _, err := p.move(t.Context(), &w); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("%v", err)
	}
	p.(*client).moves = true
	if _, err := p.move(t.Context(), &w); err == nil {
		t.Error("moved all the same")
	}
}

// TestTheLineOfWhoIsGone: nothing of a client that is gone stands in line.
func TestTheLineOfWhoIsGone(t *testing.T) {
	t.Parallel()
	chained(t, func(t *testing.T, c *chain, a, b *party) {
		first := c.write(a, 'a', nil, sealed(0, 1, 1, "a"))
		time.Sleep(2 * time.Second)
		refusalOf(t, c.write(a, 'x', nil, sealed(0, 1, 1, "a"))) // it has the turn
		var waiting []func() error
		for range 3 {
			waiting = append(waiting, c.write(b, 'y', nil, sealed(0, 2, 1, "b")))
		}
		c.part(b)
		synctest.Wait()
		for _, result := range waiting {
			if !errors.Is(result(), errGone) {
				t.Errorf("%v", result())
			}
		}
		if first() != nil {
			t.Error(first())
		}
	})
}

// TestMovesInDoubt: a client with a Write that may be moved, of which the store itself
// does not know whether it will be there, is not served any more until somebody has
// opened the store again. Others are.
func TestMovesInDoubt(t *testing.T) {
	t.Parallel()
	_, store, url := serveHeld(t)
	d, other := dialTo(t, url, &Options{Patience: 100 * time.Millisecond}), dialTo(t, url, nil)
	moved := moveOne(d, 0)
	<-store.reached
	store.end <- driver.ErrUnknown
	if err := <-moved; !errors.Is(err, driver.ErrUnknown) {
		t.Fatalf("%v, expected ErrUnknown", err)
	}
	if _, err := d.Tail(t.Context(), 0); err == nil {
		t.Error("a client was told what may change")
	}
	if _, err := other.Tail(t.Context(), 0); err != nil {
		t.Errorf("another one: %v", err)
	}
}
