package outbox

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
)

// Cells of a shard. All of them can be derived from the log: they say which
// steps need no look now, so that their cost follows what is due.
//
//	$steps ^A cursor ^A SHARD                     mark
//	$steps ^A due ^A SHARD ^A TIME ^A VERSION     header: not before TIME (ns)
//	$steps ^A parked ^A SHARD ^A TYPE ^A VERSION  header: left to another program
//	$steps ^A stopped ^A SHARD ^A TARGET ^A VERSION  header: its target is stopped
const (
	cellPrefix  = "$steps\x01"
	dueCells    = "due"
	parkedCells = "parked"
	stopCells   = "stopped"
	unreadable  = "\x7f" // in place of a type
)

func cursorKey(shard int) string { return fmt.Sprintf("%scursor\x01%04d", cellPrefix, shard) }

func cellsOf(kind string, shard int) string {
	return fmt.Sprintf("%s%s\x01%04d\x01", cellPrefix, kind, shard)
}

func dueKey(shard int, due time.Time, version uint64) string {
	return fmt.Sprintf("%s\x01%020d", dueFrom(shard, due), version)
}

// dueFrom is the first key of what is due at t or later.
func dueFrom(shard int, t time.Time) string {
	ns := max(0, t.UnixNano())
	if t.After(lastTime) {
		ns = math.MaxInt64
	}
	return fmt.Sprintf("%s%020d", cellsOf(dueCells, shard), ns)
}

// lastTime is the last one that an int64 has nanoseconds for: what is due later is
// among what is due then.
var lastTime = time.Unix(0, math.MaxInt64)

func parkedKey(shard int, typ string, version uint64) string {
	if typ == "" {
		typ = unreadable
	}
	return fmt.Sprintf("%s%s\x01%020d", cellsOf(parkedCells, shard), typ, version)
}

func stopKey(shard int, target string, version uint64) string {
	return fmt.Sprintf("%s%s\x01%020d", cellsOf(stopCells, shard), target, version)
}

// cutCell takes a key apart.
func cutCell(key string) (kind, shard, rest string) {
	kind, rest, _ = strings.Cut(strings.TrimPrefix(key, cellPrefix), "\x01")
	shard, rest, _ = strings.Cut(rest, "\x01")
	return kind, shard, rest
}

// above is the first key behind all that start with prefix and a name.
func above(prefix string) string { return prefix + "\x02" }

// mark is a shard's cursor: the versions of its $steps stream up to At need no
// look; those of them that are not over are in cells.
type mark struct {
	At      uint64      `json:"at"`
	Far     uint64      `json:"far,omitempty"`   // so far some behind At may be in cells, too
	Epoch   uint64      `json:"epoch,omitempty"` // of the lease
	Due     int         `json:"due,omitempty"`   // how many cells there are
	Parked  int         `json:"parked,omitempty"`
	Stopped int         `json:"stopped,omitempty"`
	Saving  eventlog.ID `json:"saving,omitzero"` // that wrote it last, by which it knows itself
}

// decodeMark reads what is stored. What is no mark knows nothing.
func decodeMark(value []byte) mark {
	var m mark
	if len(value) == 0 || json.Unmarshal(value, &m) != nil || m.Due < 0 || m.Parked < 0 || m.Stopped < 0 {
		return mark{}
	}
	return m
}

func (m mark) encode() []byte {
	b, err := json.Marshal(m)
	if err != nil {
		panic(err) // numbers
	}
	return b
}

// header is what a cell says of a step.
type header struct {
	ID     eventlog.ID `json:"id"`
	Type   string      `json:"type"`
	Target string      `json:"target"`
	Timer  string      `json:"timer,omitempty"`
	Time   time.Time   `json:"time"` // of its commit
	Due    time.Time   `json:"due,omitzero"`
	Size   int         `json:"size,omitempty"` // of what is stored
	Again  bool        `json:"again,omitempty"`
	Reason string      `json:"reason,omitempty"`
}

func (it *item) header() []byte {
	h := header{ID: it.id, Type: it.typ, Target: it.target, Timer: it.timer, Time: it.time, Due: it.due, Size: it.length,
		Again: it.again, Reason: it.reason}
	b, err := json.Marshal(&h)
	if err != nil {
		panic(err) // texts, times and ids
	}
	return b
}

// cellItem makes an item of a cell, whose key ends in its version.
func cellItem(key string, value []byte) (*item, error) {
	i := strings.LastIndexByte(key, '\x01')
	version, err := strconv.ParseUint(key[i+1:], 10, 64)
	if err != nil || i < 0 {
		return nil, fmt.Errorf("%w: cell %q names no step", eventlog.ErrCorrupt, key)
	}
	var h header
	if err := json.Unmarshal(value, &h); err != nil {
		return nil, fmt.Errorf("%w: cell %q: %w", eventlog.ErrCorrupt, key, err)
	}
	return &item{version: version, id: h.ID, time: h.Time, typ: h.Type, target: h.Target, timer: h.Timer, due: h.Due,
		length: h.Size, again: h.Again, reason: h.Reason, cell: key}, nil
}

func dropCell(key string) driver.CellOp {
	return driver.CellOp{Op: driver.Delete, Cell: driver.Cell{Key: key}}
}
