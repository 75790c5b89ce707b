package remotelog

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/eventlog/pebblelog"
)

// A cutter passes on what goes between clients and a server, and cuts a connection
// at a frame.
type cutter struct {
	net.Listener
	server string
	after  int  // frames of one direction that pass on the first connection
	answer bool // it counts those of the server
	within bool // it cuts in the middle of the frame

	mu   sync.Mutex
	cut  bool
	done sync.WaitGroup
}

func (c *cutter) run() {
	for n := 0; ; n++ {
		in, err := c.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", c.server)
		if err != nil {
			_ = in.Close()
			return
		}
		limits := [2]int{-1, -1}
		if n == 0 && c.answer {
			limits[1] = c.after
		} else if n == 0 {
			limits[0] = c.after
		}
		end := sync.OnceFunc(func() { _, _ = in.Close(), out.Close() })
		c.done.Go(func() { c.pass(out, in, limits[0], end) })
		c.done.Go(func() { c.pass(in, out, limits[1], end) })
	}
}

// pass copies the handshake and then frames, limit of them if it is not negative.
func (c *cutter) pass(to io.Writer, from io.Reader, limit int, end func()) {
	defer end()
	if err := passHead(to, from); err != nil {
		return
	}
	for n := 0; ; n++ {
		var head [4]byte
		if _, err := io.ReadFull(from, head[:]); err != nil {
			return
		}
		size := int64(binary.LittleEndian.Uint32(head[:]))
		if n == limit {
			c.mu.Lock()
			c.cut = true
			c.mu.Unlock()
			if c.within {
				_, _ = to.Write(head[:])
				_, _ = io.CopyN(to, from, size/2)
			}
			return
		}
		if _, err := to.Write(head[:]); err != nil {
			return
		}
		if _, err := io.CopyN(to, from, size); err != nil {
			return
		}
	}
}

func passHead(to io.Writer, from io.Reader) error {
	var last [4]byte
	for b := make([]byte, 1); string(last[:]) != "\r\n\r\n"; {
		if _, err := io.ReadFull(from, b); err != nil {
			return err
		}
		if _, err := to.Write(b); err != nil {
			return err
		}
		copy(last[:], append(last[1:], b[0]))
	}
	return nil
}

// TestCutAtEachFrame: whichever frame is lost with the connection, of the client or
// of the server, before it or in its middle, an event is appended once, every read
// is whole, and nobody notices; also where others write to the same shards, and the
// store moves what does not know of that.
func TestCutAtEachFrame(t *testing.T) {
	t.Parallel()
	for _, moves := range []bool{false, true} {
		for _, answer := range []bool{false, true} {
			for _, within := range []bool{false, true} {
				t.Run(fmt.Sprintf("moves %v, answer %v, within %v", moves, answer, within), func(t *testing.T) {
					t.Parallel()
					for after := 0; cutAt(t, after, moves, answer, within); after++ {
						if after > 500 {
							t.Fatal("there is no end")
						}
					}
				})
			}
		}
	}
}

// cutAt reports whether there was a frame to be cut.
func cutAt(t *testing.T, after int, moves, answer, within bool) bool {
	t.Helper()
	store := memlog.Open()
	if moves {
		p, err := pebblelog.Open("log", &pebblelog.Options{FS: vfs.NewMem(), MemTableSize: 1 << 20, Reserve: -1})
		if err != nil {
			t.Fatal(err)
		}
		store = p
	}
	defer store.Close()
	h := NewHandler(store, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: h}
	go func() { _ = s.Serve(l) }()
	front, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{Listener: front, server: l.Addr().String(), after: after, answer: answer, within: within}
	c.done.Go(c.run)
	neighbour := func() {}
	if moves {
		neighbour = neighbourAt(t, "http://"+l.Addr().String())
	}
	work(t, after, "http://"+front.Addr().String(), neighbour)
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	_, _ = s.Close(), front.Close()
	c.done.Wait()
	return c.cut
}

// neighbourAt is another process, which writes to all shards when it is called.
func neighbourAt(t *testing.T, url string) func() {
	t.Helper()
	d, err := Dial(t.Context(), url, nil)
	if err != nil {
		t.Fatal(err)
	}
	log, err := eventlog.Open(t.Context(), d, &eventlog.Options{Shards: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	return func() {
		_, err := log.Update(t.Context(), func(tx *eventlog.Tx) error {
			return errors.Join(tx.Append(inShard(log, 0), note{"x"}), tx.Append(inShard(log, 1), note{"x"}))
		})
		if err != nil {
			t.Error(err)
		}
	}
}

func inShard(l *eventlog.Log, shard int) string {
	for i := 0; ; i++ {
		if s := fmt.Sprint("neighbour/", i); l.ShardOf(s) == shard {
			return s
		}
	}
}

// work appends and reads, through one connection, of which nobody knows when it is
// cut. neighbour is called before each append.
func work(t *testing.T, after int, url string, neighbour func()) {
	t.Helper()
	ctx := t.Context()
	d, err := Dial(ctx, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	log, err := eventlog.Open(ctx, d, &eventlog.Options{Shards: 2})
	if err != nil {
		t.Fatalf("cut after %d: %v", after, err)
	}
	const n = 10
	for i := range n {
		neighbour()
		if _, err := log.Append(ctx, "s", &eventlog.AppendOptions{Expect: eventlog.Exactly(uint64(i))}, note{fmt.Sprint(i)}); err != nil {
			t.Fatalf("cut after %d: append %d: %v", after, i, err)
		}
		if err := readNotes(ctx, log, i+1); err != nil {
			t.Fatalf("cut after %d: %v", after, err)
		}
	}
	if err := eventlog.Check(ctx, log); err != nil {
		t.Errorf("cut after %d: %v", after, err)
	}
	if err := log.Close(); err != nil {
		t.Errorf("cut after %d: %v", after, err)
	}
}

func readNotes(ctx context.Context, log *eventlog.Log, n int) error {
	for _, backward := range []bool{false, true} {
		var got int
		for r, err := range log.Read(ctx, eventlog.Query{Stream: "s", Backward: backward}) {
			if err != nil {
				return err
			}
			want := uint64(got + 1)
			if backward {
				want = uint64(n - got)
			}
			if r.Version != want {
				return fmt.Errorf("read: version %d, expected %d", r.Version, want)
			}
			got++
		}
		if got != n {
			return fmt.Errorf("read: %d events, expected %d", got, n)
		}
	}
	return nil
}
