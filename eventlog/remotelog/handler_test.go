package remotelog

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/memlog"
)

// served is a log with some commits, on a loopback address.
func served(t *testing.T, o *HandlerOptions) (store driver.Log, s *httptest.Server) {
	t.Helper()
	store = memlog.Open()
	h := NewHandler(store, o)
	s = httptest.NewServer(h)
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		s.Close()
		_ = store.Close()
	})
	return store, s
}

func put(rev driver.Revision, size int) driver.Write {
	return driver.Write{Batches: []driver.Batch{{First: rev, Commits: []driver.Commit{{Revision: rev, Data: make([]byte, size)}}}}}
}

func TestToken(t *testing.T) {
	t.Parallel()
	_, s := served(t, &HandlerOptions{Token: "secret"})
	for _, token := range []string{"", "secre", "secret2", "Secret"} {
		if l, err := Dial(t.Context(), s.URL, &Options{Token: token}); err == nil || !strings.Contains(err.Error(), "401") {
			t.Errorf("token %q: %v %v", token, l, err)
		}
	}
	l, err := Dial(t.Context(), s.URL, &Options{Token: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Write(t.Context(), put(1, 1)); err != nil {
		t.Error(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// TestTLS: an https URL is spoken to by TLS, and a certificate nobody vouches for
// is refused.
func TestTLS(t *testing.T) {
	t.Parallel()
	store := memlog.Open()
	h := NewHandler(store, &HandlerOptions{Token: "x"})
	s := httptest.NewTLSServer(h)
	defer s.Close()
	defer h.Close()
	config := s.Client().Transport.(*http.Transport).TLSClientConfig
	l, err := Dial(t.Context(), s.URL, &Options{Token: "x", TLS: config})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(l.Write(t.Context(), put(1, 1)), l.Close()); err != nil {
		t.Error(err)
	}
	if _, err := Dial(t.Context(), s.URL, &Options{Token: "x"}); err == nil {
		t.Error("a certificate that nobody vouches for is taken")
	}
}

// TestHandshake: what is not the protocol is refused before anything is done.
func TestHandshake(t *testing.T) {
	t.Parallel()
	h := NewHandler(memlog.Open(), nil)
	readOnly := NewHandler(memlog.Open(), &HandlerOptions{ReadOnly: true})
	for name, c := range map[string]struct {
		h      *Handler
		from   string
		header http.Header
		status int
	}{
		"no upgrade":       {h, "127.0.0.1:1", http.Header{}, http.StatusUpgradeRequired},
		"a newer version":  {h, "127.0.0.1:1", http.Header{"Upgrade": {"rollforward-log/2"}}, http.StatusUpgradeRequired},
		"a web socket":     {h, "127.0.0.1:1", http.Header{"Upgrade": {"websocket"}}, http.StatusUpgradeRequired},
		"a browser":        {h, "127.0.0.1:1", http.Header{"Upgrade": {protocol}, "Origin": {"http://evil"}}, http.StatusForbidden},
		"another machine":  {h, "192.0.2.7:1", http.Header{"Upgrade": {protocol}}, http.StatusForbidden},
		"a writer":         {readOnly, "[::1]:1", http.Header{"Upgrade": {protocol}, accessHeader: {accessWrite}}, http.StatusConflict},
		"no connection":    {h, "127.0.0.1:1", http.Header{"Upgrade": {protocol}}, http.StatusHTTPVersionNotSupported},
		"loopback, mapped": {h, "[::ffff:127.0.0.1]:1", http.Header{"Upgrade": {protocol}}, http.StatusHTTPVersionNotSupported},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr, r.Header = c.from, c.header
		w := httptest.NewRecorder()
		c.h.ServeHTTP(w, r)
		if w.Code != c.status {
			t.Errorf("%s: %d %s, expected %d", name, w.Code, w.Body, c.status)
		}
		if c.status == http.StatusUpgradeRequired && w.Header().Get("Upgrade") != protocol {
			t.Errorf("%s: it does not say what it speaks", name)
		}
	}
}

// TestDialForeign: what listens there may be anything.
func TestDialForeign(t *testing.T) {
	t.Parallel()
	newer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Upgrade", "rollforward-log/2")
		http.Error(w, "this server speaks rollforward-log/2", http.StatusUpgradeRequired)
	}))
	defer newer.Close()
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	for _, c := range []struct {
		within    time.Duration
		url, want string
	}{
		{time.Minute, newer.URL, "426 Upgrade Required: this server speaks rollforward-log/2"},
		{time.Minute, web.URL, "404 Not Found"},
		{200 * time.Millisecond, "http://" + mute.Addr().String(), "deadline exceeded"},
		{time.Minute, "unix:///nowhere/at/all", "no such file"},
		{time.Minute, "ftp://host", "want unix:///PATH"},
		{time.Minute, "unix://relative", "want unix:///PATH"},
		{time.Minute, "http://user:secret@host", "a token is an option"},
		{time.Minute, "http://", "want unix:///PATH"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), c.within)
		l, err := Dial(ctx, c.url, nil)
		cancel()
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v %v, expected %q", c.url, l, err, c.want)
		}
	}
}

// raw is a connection of a client that does not keep to the protocol.
func raw(t *testing.T, s *httptest.Server) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", protocol)
	in := bufio.NewReader(conn)
	if res, err := http.ReadResponse(in, nil); err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v %v", res, err)
	}
	return conn, in
}

func rawFrame(k kind, id uint64, body ...byte) []byte {
	return end(append(begin(nil, k, id), body...), 0)
}

// TestHostileClients are cut off, and others do not notice.
func TestHostileClients(t *testing.T) {
	t.Parallel()
	store, s := served(t, nil)
	for name, b := range map[string][]byte{
		"a long frame":          {0xff, 0xff, 0xff, 0xff},
		"an empty frame":        {0, 0, 0, 0},
		"no number":             {1, 0, 0, 0, byte(askTail)},
		"an unknown kind":       rawFrame(200, 1),
		"kind 0":                rawFrame(0, 1),
		"a short write":         rawFrame(askWrite, 1, 1, 2, 3),
		"batches without end":   rawFrame(askWrite, 1, append(make([]byte, 16), 0xff, 0xff, 0xff, 0x7f)...),
		"something is left":     rawFrame(askTail, 1, 1, 1),
		"a large shard":         rawFrame(askTail, 1, binary.AppendUvarint(nil, 1<<40)...),
		"two with one number":   append(rawFrame(askWatch, 1), rawFrame(askWatch, 1)...),
		"no truth":              rawFrame(askRead, 1, 0, 0, 0, 7, 0),
		"half of a frame":       rawFrame(askTail, 1, 1)[:5],
		"a cell without a name": rawFrame(askCells, 1, 200),
	} {
		t.Run(name, func(t *testing.T) {
			conn, in := raw(t, s)
			if _, err := conn.Write(b); err != nil {
				t.Fatal(err)
			}
			if name == "half of a frame" {
				_ = conn.(*net.TCPConn).CloseWrite()
			}
			_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
			if _, err := io.Copy(io.Discard, in); errors.Is(err, context.DeadlineExceeded) || isTimeout(err) {
				t.Errorf("it is not cut off: %v", err)
			}
		})
	}
	l, err := Dial(t.Context(), s.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(l.Write(t.Context(), put(1, 1)), l.Close()); err != nil {
		t.Error(err)
	}
	if tail, err := store.Tail(t.Context(), 0); tail != 1 || err != nil {
		t.Errorf("tail %d, %v", tail, err)
	}
}

func isTimeout(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}

// TestMalformedWrites of a client that does not check them are refused.
func TestMalformedWrites(t *testing.T) {
	t.Parallel()
	_, s := served(t, nil)
	conn, in := raw(t, s)
	w := put(1, 1)
	w.Batches = append(w.Batches, w.Batches[0]) // a shard twice
	if _, err := conn.Write(end(appendWrite(begin(nil, askWrite, 9), &w), 0)); err != nil {
		t.Fatal(err)
	}
	f, err := readFrame(in)
	if err != nil || f.kind != tellDone || f.id != 9 {
		t.Fatalf("%+v %v", f, err)
	}
	d := &decoder{b: f.body}
	if err := d.outcome(); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("%v", err)
	}
}

// slowReader is a connection of who asks 30 times for 40 commits of 500,000 bytes, to a
// server that has them.
func slowReader(t *testing.T) (s *httptest.Server, conn net.Conn, in *bufio.Reader) {
	t.Helper()
	store, s := served(t, nil)
	for rev := driver.Revision(1); rev <= 40; rev++ {
		if err := store.Write(t.Context(), put(rev, 500_000)); err != nil {
			t.Fatal(err)
		}
	}
	conn, in = raw(t, s)
	for id := range uint64(30) {
		if _, err := conn.Write(rawFrame(askRead, id, 0, 0, 0, 0, 0)); err != nil {
			t.Fatal(err)
		}
	}
	return s, conn, in
}

// TestSlowReader: who asks for much and takes nothing gets a bounded part, and
// others are served.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	s, conn, in := slowReader(t)
	l, err := Dial(t.Context(), s.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for c, err := range l.Read(t.Context(), 0, driver.Range{}) {
		if err != nil || len(c.Data) != 500_000 {
			t.Fatalf("%d bytes, %v", len(c.Data), err)
		}
		n++
	}
	if n != 40 {
		t.Errorf("%d commits", n)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	// It never says that it has used a page: it gets no more than the window.
	pages := map[uint64]int{}
	for range 30 * window {
		f, err := readFrame(in)
		if err != nil || f.kind != tellPage {
			t.Fatalf("%v %v", f.kind, err)
		}
		pages[f.id]++
	}
	_ = conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if f, err := readFrame(in); !isTimeout(err) {
		t.Errorf("more than the window: %v %v", f.kind, err)
	}
	for id, n := range pages {
		if n != window {
			t.Errorf("iteration %d got %d pages", id, n)
		}
	}
}

// TestCloseBesideSlowReaders: who takes nothing, and who goes on reading, do not keep
// the server from closing.
func TestCloseBesideSlowReaders(t *testing.T) {
	t.Parallel()
	s, _, in := slowReader(t)
	if _, err := readFrame(in); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if err := s.Config.Handler.(*Handler).Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > writeTimeout/2 {
		t.Errorf("it took %v", took)
	}
}

// TestTooManyIterations of one client are refused, not remembered.
func TestTooManyIterations(t *testing.T) {
	t.Parallel()
	_, s := served(t, nil)
	conn, in := raw(t, s)
	for id := range uint64(maxRequests + 1) {
		if _, err := conn.Write(rawFrame(askWatch, id)); err != nil {
			t.Fatal(err)
		}
	}
	f, err := readFrame(in)
	if err != nil || f.kind != tellDone || f.id != maxRequests {
		t.Fatalf("%+v %v", f, err)
	}
}

// TestCloseAnswers: a server that closes answers what is under way first, and who
// comes later is sent away with nothing done.
func TestCloseAnswers(t *testing.T) {
	t.Parallel()
	gate, reached := make(chan struct{}), make(chan struct{})
	h := NewHandler(slowLog{memlog.Open(), gate, reached}, nil)
	s := httptest.NewServer(h)
	defer s.Close()
	l, err := Dial(t.Context(), s.URL, &Options{Patience: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	l.mu.Lock()
	gone := l.at.gone()
	l.mu.Unlock()
	under, closing := make(chan error, 1), make(chan error, 1)
	go func() { under <- l.Write(context.Background(), put(1, 1)) }()
	<-reached
	go func() { closing <- h.Close() }()
	for { // until it closes
		if r, err := http.Get(s.URL); err != nil || r.Body.Close() != nil {
			t.Fatal(err)
		}
		h.mu.Lock()
		closed := h.closed
		h.mu.Unlock()
		if closed {
			break
		}
	}
	select {
	case err := <-under:
		t.Errorf("it was answered before it was done: %v", err)
	default:
	}
	close(gate)
	if err := <-under; err != nil {
		t.Errorf("under way: %v", err)
	}
	if err := <-closing; err != nil {
		t.Error(err)
	}
	<-gone // until it has noticed, a Write may be sent and is not answered
	if err := l.Write(t.Context(), put(2, 1)); err == nil || errors.Is(err, driver.ErrUnknown) || errors.Is(err, driver.ErrClosed) {
		t.Errorf("afterwards: %v", err)
	}
}

// slowLog holds back writes until gate is closed.
type slowLog struct {
	driver.Log
	gate, reached chan struct{}
}

func (l slowLog) Write(ctx context.Context, w driver.Write) error {
	close(l.reached)
	<-l.gate
	return l.Log.Write(ctx, w)
}

// TestManyQuestions of a client that takes no answers wait on the wire, not in memory.
func TestManyQuestions(t *testing.T) {
	for _, ask := range [][]byte{rawFrame(askTail, 1, 0), rawFrame(askKeys, 1, 0, 0, 0), rawFrame(askRead, 1, 0, 0, 0, 0, 0)} {
		_, s := served(t, nil)
		conn, _ := raw(t, s)
		before := runtime.NumGoroutine()
		_ = conn.SetWriteDeadline(time.Now().Add(2 * time.Second))
		for sent, many := 0, bytes.Repeat(ask, 10_000); sent < 3_000_000; sent += 10_000 {
			if _, err := conn.Write(many); err != nil {
				break // nobody takes any more
			}
		}
		if n := runtime.NumGoroutine() - before; n > maxRoom+2*maxRequests+100 {
			t.Errorf("%d goroutines", n)
		}
		_ = conn.Close()
	}
}
