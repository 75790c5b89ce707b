package remotelog

import (
	"bufio"
	"net"
	"runtime"
	"sync"
	"time"
)

// A link is a connection on which both sides send frames whenever they like.
// Frames that are sent at about the same time share a system call.
type link struct {
	conn net.Conn
	in   *bufio.Reader

	mu   sync.Mutex
	out  []byte
	room sync.Cond // out has become shorter, or the link has failed
	busy bool      // frames are being handed to the operating system
	err  error     // why it ended
	kick chan struct{}

	reading  deadline
	writing  deadline
	patience time.Duration // for the other side to take something
	ended    chan struct{} // closed when err is set
}

const (
	maxOut       = 4 << 20          // bytes that wait to be sent before senders wait
	keptOut      = 256 << 10        // memory that is kept for the next ones
	writeTimeout = 10 * time.Second // for the other side to take something
	hurryTimeout = time.Second      // the same when the link is about to end
	readBuffer   = 64 << 10
)

func newLink(conn net.Conn, in *bufio.Reader) *link {
	l := &link{conn: conn, in: in, kick: make(chan struct{}, 1), ended: make(chan struct{}), patience: writeTimeout}
	l.room.L = &l.mu
	return l
}

// send queues a frame, whose body fill appends. nil says only that the link had
// not failed.
func (l *link) send(k kind, id uint64, fill func(b []byte) []byte) error {
	l.mu.Lock()
	for len(l.out) > maxOut && l.err == nil {
		l.room.Wait()
	}
	if l.err != nil {
		defer l.mu.Unlock()
		return l.err
	}
	start := len(l.out)
	l.out = begin(l.out, k, id)
	if fill != nil {
		l.out = fill(l.out)
	}
	l.out = end(l.out, start)
	l.mu.Unlock()
	if start == 0 {
		select {
		case l.kick <- struct{}{}:
		default:
		}
	}
	return nil
}

// run sends what is queued until the link ends.
func (l *link) run() {
	var spare []byte
	for {
		select {
		case <-l.kick:
		case <-l.ended:
			return
		}
		// Let those send who are about to: their frames go with this one.
		runtime.Gosched()
		runtime.Gosched()
		l.mu.Lock()
		b := l.out
		l.out, l.busy = spare[:0], len(b) > 0
		l.room.Broadcast()
		l.mu.Unlock()
		if err := l.write(b); err != nil {
			l.end(err)
			return
		}
		l.mu.Lock()
		l.busy = false
		l.room.Broadcast()
		l.mu.Unlock()
		if spare = b; cap(b) > keptOut {
			spare = nil
		}
	}
}

// write sends b. A side that takes nothing for a while is taken for dead.
func (l *link) write(b []byte) error {
	for len(b) > 0 {
		part := b[:min(len(b), readStep)]
		l.mu.Lock()
		err := l.writing.extend(l.patience, l.conn.SetWriteDeadline)
		l.mu.Unlock()
		if err != nil {
			return err
		}
		if _, err := l.conn.Write(part); err != nil {
			return err
		}
		b = b[len(part):]
	}
	return nil
}

// hurry gives the other side less time to take what is sent: somebody waits for the
// end of the link.
func (l *link) hurry() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.patience, l.writing = hurryTimeout, deadline{}
	_ = l.writing.extend(l.patience, l.conn.SetWriteDeadline) // it fails when the link has ended
}

// expect says within which time the other side must send something.
func (l *link) expect(d time.Duration) error { return l.reading.extend(d, l.conn.SetReadDeadline) }

// A deadline is one of a connection. To set it takes time, so it is extended only
// now and then: it may come too early by an eighth.
type deadline struct{ set time.Time }

func (d *deadline) extend(by time.Duration, set func(time.Time) error) error {
	now := time.Now()
	if now.Sub(d.set) < by/8 {
		return nil
	}
	d.set = now
	return set(now.Add(by))
}

// drained waits until everything that was queued has been handed to the operating
// system, or the link has ended.
func (l *link) drained() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for (len(l.out) > 0 || l.busy) && l.err == nil {
		l.room.Wait()
	}
}

// end closes the connection. The first err counts.
func (l *link) end(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return
	}
	l.err = err
	l.room.Broadcast()
	close(l.ended)
	_ = l.conn.Close() // whatever it says, it is of no use any more
}
