package remotelog

import (
	"encoding/binary"
	"unsafe"

	"github.com/rollforward/rollforward/eventlog/driver"
)

func appendBytes[T ~string | ~[]byte](b []byte, s T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

// appendWrite writes a valid Write. The revisions of its commits follow from First.
func appendWrite(b []byte, w *driver.Write) []byte {
	b = append(b, w.ID[:]...)
	b = appendBool(b, w.TakesAhead)
	b = appendBatches(b, w.Batches)
	b = binary.AppendUvarint(b, uint64(len(w.Cells)))
	for i := range w.Cells {
		o := &w.Cells[i]
		b = append(b, byte(o.Op))
		if b = appendBool(b, o.If != nil); o.If != nil {
			b = binary.AppendUvarint(b, *o.If)
		}
		b = appendCell(b, o.Cell)
	}
	return b
}

// appendMove writes a valid Write that may be moved.
func appendMove(b []byte, w *driver.Write) []byte {
	b = binary.AppendVarint(appendWrite(b, w), w.Latest)
	for i := range w.Batches {
		b = binary.AppendUvarint(b, uint64(len(w.Batches[i].Unless)))
		for _, name := range w.Batches[i].Unless {
			b = appendBytes(b, name)
		}
	}
	return b
}

func appendMoved(b []byte, moved []driver.Moved) []byte {
	b = binary.AppendUvarint(b, uint64(len(moved)))
	for i := range moved {
		b = appendBatch(b, &moved[i].Passed)
		b = binary.AppendUvarint(b, uint64(len(moved[i].Times)))
		for _, t := range moved[i].Times {
			b = binary.AppendVarint(b, t)
		}
	}
	return b
}

func appendBatches(b []byte, batches []driver.Batch) []byte {
	b = binary.AppendUvarint(b, uint64(len(batches)))
	for i := range batches {
		b = appendBatch(b, &batches[i])
	}
	return b
}

func appendBatch(b []byte, batch *driver.Batch) []byte {
	b = binary.AppendUvarint(b, uint64(batch.Shard))
	b = binary.AppendUvarint(b, uint64(batch.First))
	behind := batch.Behind != [16]byte{}
	if b = appendBool(b, behind); behind {
		b = append(b, batch.Behind[:]...)
	}
	b = binary.AppendUvarint(b, uint64(len(batch.Commits)))
	for j := range batch.Commits {
		c := &batch.Commits[j]
		b = appendBytes(b, c.Data)
		b = binary.AppendVarint(b, c.Time)
		b = binary.AppendUvarint(b, uint64(len(c.Keys)))
		for _, k := range c.Keys {
			b = appendKey(b, k)
		}
	}
	return b
}

func appendFlights(b []byte, flights []driver.Flight) []byte {
	b = binary.AppendUvarint(b, uint64(len(flights)))
	for i := range flights {
		b = append(b, flights[i].Write[:]...)
		b = appendBatch(b, &flights[i].Batch)
	}
	return b
}

func appendKey(b []byte, k driver.Key) []byte {
	return binary.AppendUvarint(appendBytes(b, k.Name), k.Pos)
}

func appendCell(b []byte, c driver.Cell) []byte {
	b = appendBytes(b, c.Key)
	b = appendBytes(b, c.Value)
	return binary.AppendUvarint(b, c.Version)
}

func appendCommit(b []byte, c driver.Commit) []byte {
	return appendBytes(binary.AppendUvarint(b, uint64(c.Revision)), c.Data)
}

func appendRange(b []byte, r driver.Range) []byte {
	b = binary.AppendUvarint(b, r.From)
	b = binary.AppendUvarint(b, r.To)
	b = appendBool(b, r.Backward)
	return appendLimit(b, r.Limit)
}

const maxLimit = 1<<62 - 1 // of items; nobody lives to see more

func appendLimit(b []byte, n int) []byte {
	return binary.AppendUvarint(b, uint64(min(max(n, 0), maxLimit)))
}

// A decoder takes values off a body. After the first value that is not there all
// are zero, and err is set.
type decoder struct {
	b       []byte
	keyRoom []driver.Key
	room    []driver.Commit
	err     error
}

func (d *decoder) fail(what string) {
	if d.err == nil {
		d.err = malformed("%s", what)
	}
	d.b = nil
}

func (d *decoder) uint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail("a number is missing")
		return 0
	}
	d.b = d.b[n:]
	return v
}

// int takes a number of at most limit.
func (d *decoder) int(limit int) int {
	v := d.uint()
	if v > uint64(limit) {
		d.fail("a number is too large")
		return 0
	}
	return int(v)
}

// count takes the length of a list whose items have at least size bytes each, all
// of which must be there.
func (d *decoder) count(size int) int {
	v := d.uint()
	if v > uint64(len(d.b)/size) {
		d.fail("a list is longer than the frame")
		return 0
	}
	return int(v)
}

func (d *decoder) byte() byte {
	if len(d.b) == 0 {
		d.fail("a byte is missing")
		return 0
	}
	v := d.b[0]
	d.b = d.b[1:]
	return v
}

func (d *decoder) bool() bool {
	v := d.byte()
	if v > 1 {
		d.fail("a truth value is neither 0 nor 1")
	}
	return v == 1
}

// bytes takes bytes that stay part of the body.
func (d *decoder) bytes() []byte {
	n := d.count(1)
	v := d.b[:n:n]
	d.b = d.b[n:]
	return v
}

// string takes a string that stays part of the body, which nobody changes.
func (d *decoder) string() string {
	b := d.bytes()
	return unsafe.String(unsafe.SliceData(b), len(b))
}

// done returns the error of the body, also when something is left of it.
func (d *decoder) done() error {
	if d.err == nil && len(d.b) > 0 {
		d.fail("bytes are left over")
	}
	return d.err
}

const maxShard = 1<<31 - 1

// write takes a Write. Its data stays part of the body.
func (d *decoder) write() (w driver.Write) {
	w.ID, w.TakesAhead = d.id(), d.bool()
	w.Batches = d.batches()
	if n := d.count(5); n > 0 {
		w.Cells = make([]driver.CellOp, n)
	}
	for i := range w.Cells {
		o := &w.Cells[i]
		if o.Op = driver.Op(d.byte()); d.bool() {
			o.If = new(d.uint())
		}
		o.Cell = d.cell()
	}
	return w
}

// move takes a Write that may be moved.
func (d *decoder) move() driver.Write {
	w := d.write()
	w.Latest = d.time()
	for i := range w.Batches {
		switch n := d.count(1); {
		case n > driver.MaxUnless:
			d.fail("too many excluded names")
		case n > 0:
			w.Batches[i].Unless = make([]string, n)
		}
		for j := range w.Batches[i].Unless {
			w.Batches[i].Unless[j] = d.string()
		}
	}
	return w
}

func (d *decoder) moved() []driver.Moved {
	n := d.count(5)
	if n == 0 {
		return nil
	}
	moved := make([]driver.Moved, n)
	for i := range moved {
		moved[i].Passed = d.batch()
		moved[i].Times = make([]int64, d.count(1))
		for j := range moved[i].Times {
			moved[i].Times[j] = d.time()
		}
	}
	return moved
}

func (d *decoder) batches() []driver.Batch {
	n := d.count(4)
	if n == 0 {
		return nil
	}
	batches := make([]driver.Batch, n)
	for i := range batches {
		batches[i] = d.batch()
	}
	return batches
}

func (d *decoder) batch() (b driver.Batch) {
	b.Shard, b.First = d.int(maxShard), driver.Revision(d.uint())
	if d.bool() {
		b.Behind = d.id()
	}
	if n := d.count(3); n > 0 {
		b.Commits = take(&d.room, n, len(d.b)/3)
	}
	for j := range b.Commits {
		c := &b.Commits[j]
		c.Revision, c.Data, c.Time = b.First+driver.Revision(j), d.bytes(), d.time()
		c.Keys = d.keys(d.count(2))
	}
	return b
}

func (d *decoder) flights() []driver.Flight {
	n := d.count(20)
	if n == 0 {
		return nil
	}
	flights := make([]driver.Flight, n)
	for i := range flights {
		flights[i] = driver.Flight{Write: d.id(), Batch: d.batch()}
	}
	return flights
}

func (d *decoder) time() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail("a time is missing")
		return 0
	}
	d.b = d.b[n:]
	return v
}

// id takes the ID of a Write.
func (d *decoder) id() (id [16]byte) {
	if len(d.b) < len(id) {
		d.fail("an id is missing")
		return id
	}
	d.b = d.b[copy(id[:], d.b):]
	return id
}

// take takes n of what there is memory for. There are at most as many as most in the
// body.
func take[T any](room *[]T, n, most int) []T {
	if len(*room) < n {
		*room = make([]T, max(n, min(most, 32)))
	}
	out := (*room)[:n:n]
	*room = (*room)[n:]
	return out
}

// keys takes n keys. Those of one body share memory.
func (d *decoder) keys(n int) []driver.Key {
	if n == 0 {
		return nil
	}
	keys := take(&d.keyRoom, n, len(d.b)/2)
	for i := range keys {
		keys[i] = d.key()
	}
	return keys
}

func (d *decoder) key() driver.Key { return driver.Key{Name: d.string(), Pos: d.uint()} }

func (d *decoder) cell() driver.Cell {
	return driver.Cell{Key: d.string(), Value: d.bytes(), Version: d.uint()}
}

func (d *decoder) commit() driver.Commit {
	return driver.Commit{Revision: driver.Revision(d.uint()), Data: d.bytes()}
}

func (d *decoder) rng() driver.Range {
	return driver.Range{From: d.uint(), To: d.uint(), Backward: d.bool(), Limit: d.int(maxLimit)}
}

func appendNumbers(b []byte, list ...uint64) []byte {
	for _, v := range list {
		b = binary.AppendUvarint(b, v)
	}
	return b
}
