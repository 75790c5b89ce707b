package remotelog

import (
	"bufio"
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// HandlerOptions change how a log is served. The zero value is a good default.
type HandlerOptions struct {
	// Token is what clients must bring. Without one only those on the same machine
	// are served: through a Unix socket, whose permissions say who may use it, or a
	// loopback address.
	Token string
	// ReadOnly refuses every Write.
	ReadOnly bool
	// Logger gets what an operator should know of clients. Nil is silent.
	Logger *slog.Logger
}

// A Handler serves a log over HTTP. A client asks for an upgrade of its request
// and then has a connection of its own, whatever the path; see docs/format.md.
type Handler struct {
	log    driver.Log
	starts starter // nil: log does not decide on Writes in the order of their coming
	opts   HandlerOptions
	turns  *turns
	store  maintainer // nil: the store has nothing to maintain
	writer func()     // called when a client wants to write and may not
	// failed takes the error of a Write that has found log closed, or that it has failed,
	// and returns what to answer.
	failed func(ctx context.Context, err error) error
	ctx    context.Context
	cancel context.CancelFunc

	mu       sync.Mutex
	sessions map[*session]struct{}
	clients  map[string]*guest // by their id
	closed   bool
	ended    sync.WaitGroup
}

// A guest is a client that has a name. When it comes again, what is left of its earlier
// connections is ended first: by then every Write that it has sent is decided on.
type guest struct {
	sessions []*session // in the order in which they came
	doubt    bool       // it is not served; see session.doubt
}

// A starter is a log that decides on Writes in the order in which they are started.
type starter interface {
	Start(ctx context.Context, w driver.Write) (wait func() error)
}

// NewHandler returns a handler that serves log. It is the only one, as long as log is
// open: it remembers what clients have under way. Whoever has other writers of the same
// store served by it too lets them go through a client. When log fails, with a Write of
// a client under way that may be moved (driver.Mover), that client is not served until
// there is another handler, over a log that was opened anew.
func NewHandler(log driver.Log, o *HandlerOptions) *Handler {
	starts, chains := log.(starter)
	h := &Handler{log: log, starts: starts, sessions: make(map[*session]struct{}), clients: make(map[string]*guest)}
	if o != nil {
		h.opts = *o
	}
	if h.opts.Logger == nil {
		h.opts.Logger = slog.New(slog.DiscardHandler)
	}
	h.failed = func(_ context.Context, err error) error { return err }
	h.ctx, h.cancel = context.WithCancel(context.Background())
	h.turns = newTurns(chains, func(shard int) (driver.Revision, error) { return log.Tail(h.ctx, shard) })
	return h
}

// Close answers what is under way and ends the clients' connections. It does not
// close the log. Later requests are refused.
func (h *Handler) Close() error {
	h.mu.Lock()
	h.closed = true
	var list []*session
	for s := range h.sessions {
		list = append(list, s)
	}
	h.mu.Unlock()
	var wg sync.WaitGroup
	for _, s := range list {
		wg.Go(s.finish)
	}
	wg.Wait()
	h.cancel()
	h.ended.Wait()
	return nil
}

const (
	accessHeader = "Rollforward-Access"
	accessRead   = "read"
	accessWrite  = "write"
	clientHeader = "Rollforward-Client" // an id: who comes again ends what is left of its earlier connections
	movesHeader  = "Rollforward-Moves"  // in the answer: writes may be moved
)

// ServeHTTP serves one client until its connection ends.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if status, err := h.check(r); err != nil {
		if status == http.StatusUpgradeRequired {
			w.Header().Set("Upgrade", protocol)
		}
		http.Error(w, err.Error(), status)
		h.opts.Logger.Warn("a client of the log was refused", "remote", r.RemoteAddr, "err", err)
		return
	}
	s := newSession(h, r.Header.Get(clientHeader))
	earlier, err := h.enter(s)
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	defer h.leave(s)
	if err := h.replace(r.Context(), s, earlier); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "the connection cannot be taken over: "+err.Error(), http.StatusHTTPVersionNotSupported)
		return
	}
	if err := welcome(conn, buffered, s.moves); err != nil {
		_ = conn.Close()
		return
	}
	s.mu.Lock()
	s.link = newLink(conn, buffered.Reader)
	s.mu.Unlock()
	s.run()
}

// check says what is wrong with a request, with the status that says so.
func (h *Handler) check(r *http.Request) (status int, err error) {
	switch {
	case !strings.EqualFold(r.Header.Get("Upgrade"), protocol):
		return http.StatusUpgradeRequired, fmt.Errorf("this server speaks %s, the client asks for %.60q", protocol, r.Header.Get("Upgrade"))
	case r.Header.Get("Origin") != "":
		return http.StatusForbidden, errors.New("this is not for browsers")
	case h.opts.Token == "" && !local(r):
		return http.StatusForbidden, errors.New("without a token only clients on the same machine are served")
	case h.opts.Token != "" && !sameToken(r, h.opts.Token):
		return http.StatusUnauthorized, errors.New("the token is missing or wrong")
	}
	if h.opts.ReadOnly && r.Header.Get(accessHeader) == accessWrite {
		if h.writer != nil {
			h.writer()
		}
		return http.StatusConflict, errors.New("the log is open for reading only")
	}
	return 0, nil
}

// local reports whether a request came through a Unix socket or from this machine.
func local(r *http.Request) bool {
	if at, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && at.Network() == "unix" {
		return true
	}
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && from.Addr().Unmap().IsLoopback()
}

// sameToken takes the same time whatever the token is.
func sameToken(r *http.Request, token string) bool {
	return subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte("Bearer "+token)) == 1
}

const handshakeTimeout = 5 * time.Second

// welcome answers the request, and ends the deadlines of the HTTP server.
func welcome(conn net.Conn, rw *bufio.ReadWriter, moves bool) error {
	if err := conn.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return err
	}
	more := ""
	if moves {
		more = movesHeader + ": yes\r\n"
	}
	_, err := fmt.Fprintf(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n%s\r\n", protocol, more)
	if err = errors.Join(err, rw.Flush()); err != nil {
		return err
	}
	return conn.SetDeadline(time.Time{})
}

// enter lets a session begin, which must leave. earlier are those that its client still
// has.
func (h *Handler) enter(s *session) (earlier []*session, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, errors.New("the log is being closed")
	}
	if s.client != "" {
		g := h.clients[s.client]
		if g == nil {
			g = new(guest)
			h.clients[s.client] = g
		}
		earlier = slices.Clone(g.sessions)
		g.sessions = append(g.sessions, s)
	}
	h.sessions[s] = struct{}{}
	h.ended.Add(1)
	s.party = h.turns.join()
	return earlier, nil
}

// replaceWithin is shorter than clients wait for the answer to their request.
const replaceWithin = handshakeTimeout / 2

// replace ends the earlier sessions of a client, and waits until all their Writes are
// decided on.
func (h *Handler) replace(ctx context.Context, s *session, earlier []*session) error {
	for _, e := range earlier {
		e.cancel()
	}
	timer := time.NewTimer(replaceWithin)
	defer timer.Stop()
	for _, e := range earlier {
		select {
		case <-e.decided:
		case <-timer.C:
			return errors.New("what this client has asked for before is still under way")
		case <-ctx.Done():
			return ctx.Err()
		case <-s.ctx.Done(): // it has come again meanwhile
			return errGone
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if s.client != "" && h.clients[s.client].doubt {
		return errors.New("what this client has asked for before has no known outcome until the log is opened again")
	}
	return nil
}

func (h *Handler) leave(s *session) {
	h.turns.part(s.party)
	s.settle()
	s.cancel()
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.sessions, s)
	if g := h.clients[s.client]; g != nil {
		g.sessions = slices.DeleteFunc(g.sessions, func(e *session) bool { return e == s })
		if len(g.sessions) == 0 && !g.doubt {
			delete(h.clients, s.client)
		}
	}
	h.ended.Done()
}
