package remotelog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// protocol names the version of what is spoken after the upgrade. Both sides must
// speak the same.
const protocol = "rollforward-log/1"

// A frame is a length (4 bytes, little endian, of what follows), a kind, a request
// number, and what the kind says. docs/format.md describes them.
type kind uint8

// What a client sends. A request has a number that no other one under way has.
const (
	askWrite kind = iota + 1
	askTail
	askRead
	askFind
	askKeys
	askCells
	askWatch
	askStats
	askBackup
	askMore   // of an iteration: the client has used a page
	askCancel // the client has no more interest in a request
	askPing
	askMove // a Write that may be moved
)

// What a server sends.
const (
	tellDone  kind = iota + 65 // the answer to a request, or the end of an iteration
	tellPage                   // items of an iteration
	tellHead                   // a head of a watch
	tellAlive                  // an answer to a ping
)

// maxFrame bounds a frame: a Write of driver.MaxWrite bytes with many short names
// fits. Longer ones are refused unseen.
const maxFrame = 16 << 20

// readStep is how much memory a frame gets at a time, so that a length alone takes
// none.
const readStep = 1 << 20

var errProtocol = errors.New("protocol error")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{errProtocol}, args...)...)
}

// A frame as it is read. body is the reader's own.
type frame struct {
	kind kind
	id   uint64
	body []byte
}

// begin appends the head of a frame to b; end, called with the length that b had
// before, completes it.
func begin(b []byte, k kind, id uint64) []byte {
	b = append(b, 0, 0, 0, 0, byte(k))
	return binary.AppendUvarint(b, id)
}

func end(b []byte, start int) []byte {
	binary.LittleEndian.PutUint32(b[start:], uint32(len(b)-start-4))
	return b
}

// readFrame reads the next frame. io.EOF is an end between frames.
func readFrame(r io.Reader) (frame, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return frame{}, err
	}
	n := int(binary.LittleEndian.Uint32(head[:]))
	if n < 2 || n > maxFrame {
		return frame{}, malformed("frame of %d bytes", n)
	}
	body := make([]byte, 0, min(n, readStep))
	for len(body) < n {
		step := min(n-len(body), readStep)
		body = append(body, make([]byte, step)...)
		if _, err := io.ReadFull(r, body[len(body)-step:]); err != nil {
			return frame{}, errors.Join(io.ErrUnexpectedEOF, err)
		}
	}
	id, w := binary.Uvarint(body[1:])
	if w <= 0 {
		return frame{}, malformed("no request number")
	}
	return frame{kind(body[0]), id, body[1+w:]}, nil
}
