package bank_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"

	"github.com/rollforward/rollforward/examples/bank/bank"
)

// otherBank is another bank: an HTTP server on a wire of its own, which works in a
// bubble. It keeps the protocol, and what else it does is said by moods, one for each
// request; behind the last one it is fine.
type otherBank struct {
	moods []mood

	mu       sync.Mutex
	requests int
	keys     map[string]string // what was answered
	paid     map[string]int64  // by the account there
	server   *http.Server
	wire     *wire
}

// A mood is how a request is treated.
type mood string

const (
	fine       mood = ""
	failing    mood = "failing"      // 503, and nothing happens
	gone       mood = "gone"         // 404, from something on the way
	elsewhere  mood = "elsewhere"    // a redirect
	hanging    mood = "hanging"      // no answer, and nothing happens
	slow       mood = "slow"         // it happens, and there is no answer
	cut        mood = "cut"          // it happens, and the answer is lost
	twice      mood = "twice"        // it happens, and is answered two times
	refusing   mood = "refusing"     // for good
	toNoReturn mood = "to no return" // a recall is refused for good
)

func newOtherBank(moods ...mood) *otherBank {
	b := &otherBank{moods: moods, keys: make(map[string]string), paid: make(map[string]int64),
		wire: &wire{calls: make(chan net.Conn), closed: make(chan struct{})}}
	b.server = &http.Server{Handler: b, ErrorLog: log.New(io.Discard, "", 0)}
	go b.server.Serve(b.wire)
	return b
}

func (b *otherBank) close() { b.server.Close() }

// client reaches the bank, whatever the address.
func (b *otherBank) client() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: b.wire.dial}}
}

func (b *otherBank) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body) // else nobody notices that the client hangs up
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	m, status, answer := b.take(r, body)
	switch m {
	case failing:
		http.Error(w, "we are closed", http.StatusServiceUnavailable)
	case gone:
		http.NotFound(w, r)
	case elsewhere:
		http.Redirect(w, r, "/welcome", http.StatusFound)
	case hanging, slow:
		<-r.Context().Done()
	case cut:
		panic(http.ErrAbortHandler)
	case twice:
		conn, out, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		for range 2 {
			fmt.Fprintf(out, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(answer), answer)
		}
		out.Flush()
		conn.Close()
	default:
		w.WriteHeader(status)
		io.WriteString(w, answer)
	}
}

// take does what a request asks for.
func (b *otherBank) take(r *http.Request, body []byte) (m mood, status int, answer string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.requests < len(b.moods) {
		m = b.moods[b.requests]
	}
	b.requests++
	key := r.Header.Get(bank.IdempotencyKey)
	known := b.keys[key]
	switch {
	case r.Method == http.MethodGet:
		return fine, http.StatusOK, "welcome"
	case m == failing || m == gone || m == hanging || m == elsewhere:
	case r.Method == http.MethodDelete && known != "" && known != "taken back" && m == toNoReturn:
		return fine, http.StatusUnprocessableEntity, "it is spent"
	case r.Method == http.MethodDelete:
		b.takeBack(key)
		answer = "taken back"
	case known == "taken back" || m == refusing:
		return fine, http.StatusUnprocessableEntity, "no such account"
	case known != "":
		answer = known
	default:
		answer = b.pay(key, body)
	}
	return m, http.StatusOK, answer
}

func (b *otherBank) pay(key string, body []byte) string {
	var p struct {
		To, Currency string
		Amount       int64
	}
	if err := json.Unmarshal(body, &p); err != nil {
		panic(err)
	}
	b.paid[key] = p.Amount
	b.keys[key] = fmt.Sprintf("receipt %d for %d %s to %s", len(b.keys)+1, p.Amount, p.Currency, p.To)
	return b.keys[key]
}

func (b *otherBank) takeBack(key string) {
	b.keys[key] = "taken back"
	delete(b.paid, key)
}

// sum is what the bank got.
func (b *otherBank) sum() (sum int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, amount := range b.paid {
		sum += amount
	}
	return sum
}

func (b *otherBank) asked() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.requests
}

// A wire is a listener whose connections are pipes.
type wire struct {
	calls  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (w *wire) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case w.calls <- there:
		return here, nil
	case <-w.closed:
		return nil, errors.New("the wire is cut")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (w *wire) Accept() (net.Conn, error) {
	select {
	case c := <-w.calls:
		return c, nil
	case <-w.closed:
		return nil, net.ErrClosed
	}
}

func (w *wire) Close() error   { w.once.Do(func() { close(w.closed) }); return nil }
func (w *wire) Addr() net.Addr { return &net.UnixAddr{Name: "wire", Net: "unix"} }
