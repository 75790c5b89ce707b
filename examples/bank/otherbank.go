package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"

	"github.com/rollforward/rollforward/examples/bank/bank"
)

// otherBank is one for the demonstration. It is asked three times: the first time it
// fails, the second time it takes the payment and its answer is lost.
type otherBank struct {
	url   string
	close func()

	mu       sync.Mutex
	requests int
	receipts map[string]string // by key
}

func newOtherBank() *otherBank {
	b := &otherBank{receipts: make(map[string]string)}
	server := httptest.NewServer(b)
	b.url, b.close = server.URL, server.Close
	return b
}

func (b *otherBank) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.requests++
	if b.requests == 1 {
		http.Error(w, "come back later", http.StatusServiceUnavailable)
		return
	}
	key := r.Header.Get(bank.IdempotencyKey)
	if b.receipts[key] == "" {
		b.receipts[key] = fmt.Sprintf("receipt %d", len(b.receipts)+1)
		panic(http.ErrAbortHandler)
	}
	fmt.Fprintln(w, b.receipts[key])
}

func (b *otherBank) asked() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.requests
}

func (b *otherBank) executed() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.receipts)
}
