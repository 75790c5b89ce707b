package eventlog

import (
	"bufio"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"sync"

	"github.com/google/uuid"
)

// An ID names a commit or an event of it: a UUIDv7, so ids sort roughly by the
// time they were made. The zero ID is "none".
type ID [16]byte

// newID returns the id of a transaction. Its last two bytes are zero: there the
// ids of its events count.
func newID() ID {
	entropy.Lock()
	id := ID(uuid.Must(uuid.NewV7FromReader(entropy.source)))
	entropy.Unlock()
	id[14], id[15] = 0, 0
	return id
}

// entropy is the system's, read ahead: to ask for it once an id costs more than
// all the rest of an id.
var entropy = struct {
	sync.Mutex
	source *bufio.Reader
}{source: bufio.NewReader(rand.Reader)}

// event returns the id of the n-th event (from 0) of transaction id.
func (id ID) event(n int) ID {
	n++
	id[14], id[15] = byte(n>>8), byte(n)
	return id
}

// commit returns the id of the transaction that wrote event id, and the
// event's number in it.
func (id ID) commit() (tx ID, n int) {
	n = int(id[14])<<8 | int(id[15])
	id[14], id[15] = 0, 0
	return id, n - 1
}

// IsZero reports whether id is no id.
func (id ID) IsZero() bool { return id == ID{} }

// String returns the usual form, 0198c3f0-7b1e-7c4a-9d3e-000000000001.
func (id ID) String() string { return uuid.UUID(id).String() }

// MarshalText returns String; the zero ID is the empty text.
func (id ID) MarshalText() ([]byte, error) {
	if id.IsZero() {
		return nil, nil
	}
	return []byte(id.String()), nil
}

// UnmarshalText reads what MarshalText wrote.
func (id *ID) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*id = ID{}
		return nil
	}
	parsed, err := uuid.ParseBytes(text)
	if err != nil {
		return fmt.Errorf("eventlog: id %.60q: %w", text, err)
	}
	*id = ID(parsed)
	return nil
}

// ParseID reads the form that String writes.
func ParseID(s string) (ID, error) {
	var id ID
	err := id.UnmarshalText([]byte(s))
	return id, err
}

func (id ID) hex() string { return hex.EncodeToString(id[:]) }
