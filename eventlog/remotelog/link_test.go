package remotelog

import (
	"bufio"
	"errors"
	"net"
	"syscall"
	"testing"
)

// broken is a connection that nobody can send to any more, though nothing else tells.
type broken struct{ net.Conn }

func (broken) Write([]byte) (int, error) { return 0, syscall.EPIPE }

// TestBrokenPipe: where sending fails before the end of the connection is seen, a question
// goes on at another place, too.
func TestBrokenPipe(t *testing.T) {
	t.Parallel()
	here, there := net.Pipe()
	defer there.Close()
	c := newClient(newLink(broken{here}, bufio.NewReader(here)))
	if _, err := c.tail(t.Context(), 0); !errors.Is(err, errGone) {
		t.Errorf("a question: %v", err)
	}
	if err := c.close(); err != nil {
		t.Error(err)
	}
}
