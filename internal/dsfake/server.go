package dsfake

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"

	"cloud.google.com/go/datastore"
	pb "cloud.google.com/go/datastore/apiv1/datastorepb"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
)

// Server serves every project, database and namespace that it is asked for. Its
// methods may be called at any time.
type Server struct {
	opts   Options
	faults atomic.Pointer[Faults]
	counts counts
	done   chan struct{} // closed by Close

	mu    sync.Mutex // the store and its transactions
	store store
	txs   transactions

	serving sync.Mutex
	grpc    *grpc.Server      // nil while down
	socket  *bufconn.Listener // its
	ended   chan struct{}     // closed when its goroutine has ended
}

var errDown = errors.New("dsfake: server is down")

// New starts a server without data. Close ends it.
func New(opts *Options) *Server {
	s := &Server{opts: opts.withDefaults(), done: make(chan struct{})}
	s.store.init()
	s.txs.init()
	s.faults.Store(&Faults{})
	s.Up()
	return s
}

// Up serves after Down, with the same data. A server that is up stays so.
func (s *Server) Up() {
	s.serving.Lock()
	defer s.serving.Unlock()
	if s.grpc != nil {
		return
	}
	s.grpc = grpc.NewServer(grpc.MaxRecvMsgSize(64<<20), grpc.MaxSendMsgSize(1<<30), grpc.UnaryInterceptor(s.intercept))
	pb.RegisterDatastoreServer(s.grpc, &service{s: s})
	s.socket, s.ended = bufconn.Listen(1<<20), make(chan struct{})
	go func(g *grpc.Server, l net.Listener, ended chan struct{}) {
		defer close(ended)
		g.Serve(l) // ends by Stop
	}(s.grpc, s.socket, s.ended)
}

// Listen serves on a port of this machine, too, until Down: for processes of their own. It
// returns the address, host:port.
func (s *Server) Listen() (string, error) {
	s.serving.Lock()
	defer s.serving.Unlock()
	if s.grpc == nil {
		return "", errDown
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	go s.grpc.Serve(l) // ends by Stop
	return l.Addr().String(), nil
}

// Down breaks all connections and accepts no more; clients try again until Up.
// Calls under way may still be applied; their answers are lost.
func (s *Server) Down() {
	s.serving.Lock()
	defer s.serving.Unlock()
	if s.grpc == nil {
		return
	}
	s.grpc.Stop()
	<-s.ended
	s.grpc, s.socket = nil, nil
}

// Close ends the server for good.
func (s *Server) Close() error {
	s.Down()
	close(s.done)
	return nil
}

// Dial is a dialer for grpc.WithContextDialer; the address does not matter.
func (s *Server) Dial(ctx context.Context, _ string) (net.Conn, error) {
	s.serving.Lock()
	socket := s.socket
	s.serving.Unlock()
	if socket == nil {
		return nil, errDown
	}
	return socket.DialContext(ctx)
}

// ClientOptions makes a client of the real library talk to this server, whatever
// the environment says.
func (s *Server) ClientOptions() []option.ClientOption {
	return []option.ClientOption{
		option.WithEndpoint("passthrough:///dsfake"),
		option.WithoutAuthentication(),
		option.WithGRPCDialOption(grpc.WithContextDialer(s.Dial)),
		option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())),
	}
}

// Client returns a client of a database of a project ("" is the default database).
// The caller closes it.
func (s *Server) Client(ctx context.Context, project, database string) (*datastore.Client, error) {
	return datastore.NewClientWithDatabase(ctx, project, database, s.ClientOptions()...)
}
