package gcppubsub_test

import (
	"fmt"
	"net"
	"sync"
	"testing"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"cloud.google.com/go/pubsub/v2/pstest"
)

// A publishing is what the server did with a request to publish.
type publishing struct {
	mu    sync.Mutex
	calls [][]string // payloads
	fail  func(payloads []string) error
}

func (p *publishing) React(request any) (bool, any, error) {
	var payloads []string
	for _, m := range request.(*pubsubpb.PublishRequest).Messages {
		payloads = append(payloads, string(m.Data))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fail != nil {
		if err := p.fail(payloads); err != nil {
			return true, &pubsubpb.PublishResponse{}, err
		}
	}
	p.calls = append(p.calls, payloads)
	return false, nil, nil
}

func (p *publishing) requests() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.calls)
}

func (p *publishing) option() pstest.ServerReactorOption {
	return pstest.ServerReactorOption{FuncName: "Publish", Reactor: p}
}

// payloads are those of all messages that a server has taken, in order.
func payloads(s *pstest.Server) (list []string) {
	for _, m := range s.Messages() {
		list = append(list, string(m.Data))
	}
	return list
}

// numbered returns n texts.
func numbered(prefix string, n int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprintf("%s%d", prefix, i))
	}
	return list
}

// freeAddress returns one where a server can be started, and started again.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
