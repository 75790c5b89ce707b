package remotelog

import (
	"bufio"
	"errors"
	"math"
	"net"
	"testing"
	"time"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// A deaf connection takes nothing, and nothing comes.
type deaf struct{ net.Conn }

func (deaf) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

// TestSendingFails: a connection of which the sender notices first that it has ended
// has ended like any other: who asks goes on elsewhere.
func TestSendingFails(t *testing.T) {
	t.Parallel()
	here, there := net.Pipe()
	defer there.Close()
	c := newClient(newLink(deaf{here}, bufio.NewReader(here)), false)
	defer c.close()
	w := put(1, 1)
	if err := c.write(t.Context(), &w); !errors.Is(err, driver.ErrUnknown) {
		t.Errorf("a write under way: %v", err)
	}
	if err := c.write(t.Context(), &w); !errors.Is(err, errGone) {
		t.Errorf("a write: %v", err)
	}
	if _, err := c.tail(t.Context(), 0); !errors.Is(err, errGone) {
		t.Errorf("a question: %v", err)
	}
	for _, err := range c.read(t.Context(), 0, driver.Range{}) {
		if !errors.Is(err, errGone) {
			t.Errorf("an iteration: %v", err)
		}
	}
}

// TestAskingFails: so does a question that is the first to meet it.
func TestAskingFails(t *testing.T) {
	t.Parallel()
	here, there := net.Pipe()
	defer there.Close()
	c := newClient(newLink(deaf{here}, bufio.NewReader(here)), false)
	if _, err := c.tail(t.Context(), 0); !errors.Is(err, errGone) {
		t.Errorf("a question: %v", err)
	}
	if err := c.close(); err != nil {
		t.Error(err)
	}
}

// TestLargestLimit: a limit that nobody reaches is none.
func TestLargestLimit(t *testing.T) {
	t.Parallel()
	store, s := served(t, nil)
	if err := store.Write(t.Context(), put(1, 1)); err != nil {
		t.Fatal(err)
	}
	l, err := Dial(t.Context(), s.URL, &Options{Patience: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	n := 0
	for _, err := range l.Read(t.Context(), 0, driver.Range{Limit: math.MaxInt}) {
		if n++; err != nil {
			t.Error(err)
		}
	}
	for _, err := range l.Cells(t.Context(), "", "", math.MaxInt) {
		if err != nil {
			t.Error(err)
		}
	}
	if n != 1 {
		t.Errorf("%d commits", n)
	}
}
