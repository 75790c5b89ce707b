package emulator

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"
)

// Server is one running emulator.
type Server struct {
	kind      Kind
	java, jar string
	port      string

	cmd    *exec.Cmd
	leash  *os.File // the emulator dies when this closes
	output *os.File // has no name any more
	ended  chan struct{}
}

// errEnded says that an emulator ended before it was ready.
var errEnded = errors.New("ended at once")

// Start starts an emulator that is the test's own. It ends with the test; what it
// printed is shown if the test failed.
func (k Kind) Start(t testing.TB) *Server {
	t.Helper()
	k.Require(t)
	s, err := k.start()
	if err != nil {
		t.Fatalf("%v: %v", k, err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the %v printed:\n%s", k, s.tail())
		}
		s.Kill()
	})
	return s
}

// start finds a port that is free and stays so: two who choose the same one at
// the same time are told apart by who has it in the end.
func (k Kind) start() (s *Server, err error) {
	java, jar, err := k.find()
	if err != nil {
		return nil, err
	}
	for range 5 {
		s = &Server{kind: k, java: java, jar: jar, port: freePort()}
		if err = s.Restart(); err == nil {
			return s, nil
		}
	}
	return nil, err
}

// freePort is below the range that kernels hand out on their own.
func freePort() string {
	for {
		port := strconv.Itoa(20000 + rand.IntN(12000))
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err == nil {
			l.Close()
			return port
		}
	}
}

// Host is the server's address, host:port.
func (s *Server) Host() string { return "127.0.0.1:" + s.port }

// Kill ends the server at once, as kill -9 does; what it held is lost.
func (s *Server) Kill() {
	if s.cmd == nil {
		return
	}
	s.leash.Close()
	<-s.ended
	s.output.Close()
	s.cmd = nil
}

// Restart starts the server, which was killed, again at the same address, and
// returns when it is ready.
func (s *Server) Restart() error {
	if err := s.exec(); err != nil {
		return err
	}
	deadline := time.Now().Add(time.Minute)
	for !s.ready() {
		switch {
		case s.dead():
			out := s.tail()
			s.Kill()
			return fmt.Errorf("port %s: %w; it printed:\n%s", s.port, errEnded, out)
		case time.Now().After(deadline):
			out := s.tail()
			s.Kill()
			return fmt.Errorf("port %s: not ready after a minute; it printed:\n%s", s.port, out)
		}
		time.Sleep(50 * time.Millisecond)
	}
	return nil
}

// leashed replaces itself with the emulator and leaves a watcher behind in the
// same process group, which reads the pipe until it closes. No pid is passed on
// that could belong to somebody else by then.
const leashed = `(read -r _ <&3; kill -KILL 0) & exec "$@" 3<&-`

func (s *Server) exec() error {
	output, err := os.CreateTemp("", "emulator")
	if err != nil {
		return err
	}
	if err := os.Remove(output.Name()); err != nil {
		return err
	}
	held, leash, err := os.Pipe()
	if err != nil {
		return err
	}
	defer held.Close()
	cmd := exec.Command("sh", append([]string{"-c", leashed, "sh"}, s.kind.command(s.java, s.jar, s.port)...)...)
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = output, output, []*os.File{held}
	group(cmd)
	if err := cmd.Start(); err != nil {
		leash.Close()
		output.Close()
		return err
	}
	ended := make(chan struct{})
	go func() {
		cmd.Wait() // killed, as a rule
		close(ended)
	}()
	s.cmd, s.leash, s.output, s.ended = cmd, leash, output, ended
	return nil
}

func (s *Server) dead() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

// ready asks for two signs: somebody at the port answers Ok, and it is this
// server that has the port.
func (s *Server) ready() bool {
	if !bytes.Contains(s.printed(), []byte(s.kind.started)) {
		return false
	}
	res, err := http.Get("http://" + s.Host() + "/")
	if err != nil {
		return false
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return err == nil && res.StatusCode == http.StatusOK && bytes.HasPrefix(body, []byte("Ok"))
}

func (s *Server) printed() []byte {
	out, err := io.ReadAll(io.NewSectionReader(s.output, 0, 64<<20))
	if err != nil {
		return []byte(err.Error())
	}
	return out
}

// tail is the end of what the server printed.
func (s *Server) tail() []byte {
	const most = 8 << 10
	out := s.printed()
	return out[max(0, len(out)-most):]
}
