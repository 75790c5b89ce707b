// Package driver is the seam between the event log and a store.
//
// A store keeps shards. A shard is a gap-free sequence of commits numbered by
// revision 1, 2, 3 … Beside its commits a store keeps an index (which commits
// carry a key) and cells (small values that are not history).
//
// There is one way to write, [Log.Write]: a compare-and-swap on the tails of
// shards and the versions of cells. All of it happens, or nothing. (A store may do so
// with a Write that it has put further back: [Mover].) What a
// store cannot do alone (groups, conditions, early sight, decoding) is done
// once, above this package, in eventlog.
//
// A driver shows its readers what is durable, never less and never more: what
// a Write acknowledged survives the loss of power, and nothing is visible
// before it would survive it. The package drivertest holds the promises as a
// table of tests; a driver is right when it passes all of them.
package driver

import (
	"context"
	"errors"
	"fmt"
	"iter"
)

// A Revision numbers the commits of one shard: 1, 2, 3 … 0 is "before the first".
type Revision uint64

// A Range selects positions From ≤ p < To; To 0 is open. Backward yields them
// in descending order. Limit 0 is no limit.
type Range struct {
	From, To uint64
	Backward bool
	Limit    int
}

// Contains reports whether position p lies in the range.
func (r Range) Contains(p uint64) bool { return p >= r.From && (r.To == 0 || p < r.To) }

// A Key is an index entry of a commit. Name is not empty, valid UTF-8 without
// NUL, and its [Escape] is at most [MaxName] bytes long. A commit has a name
// once at most, at its last position in the commit. The positions of one name
// rise from commit to commit of a shard. Both are the writer's duty: a driver
// may rely on them and need not look.
type Key struct {
	Name string
	Pos  uint64
}

// A Commit is the atomic unit of a shard. Data is opaque to the store, but for a [Mover]. Keys are
// written, and not returned by reads: whoever wrote Data can derive them. Time, too, is
// in Data: the store does not keep it, but tells others of it (see [TailError]). What a
// read yields is the reader's own: the driver never changes it later.
type Commit struct {
	Revision Revision
	Data     []byte
	Keys     []Key
	Time     int64
}

// A Batch puts commits directly behind revision First-1 of a shard: they have
// the revisions First, First+1 … Without commits it only checks that First-1
// is the tail.
type Batch struct {
	Shard   int
	First   Revision
	Commits []Commit
	// Behind, unless it is zero, names the Write that has put the commit at First-1
	// there, or is about to, as [TailError].Ahead told it: the batch holds only
	// behind that one. Only a store that tells so looks at it.
	Behind [16]byte
	// Unless is for Move: the batch may pass commits that carry none of these names.
	Unless []string
}

// A Cell is a small named value. Versions of one key never repeat: the writer
// chooses a higher one each time; only a Write that is itself repeated puts its
// version again. Version 0 is "absent". The rules for Key are those of
// [Key].Name.
type Cell struct {
	Key     string
	Value   []byte
	Version uint64
}

// Op is what a [CellOp] does.
type Op uint8

const (
	Check  Op = iota // only the condition
	Put              // store Cell.Value under Cell.Version
	Delete           // remove the cell
)

// A CellOp is one operation on a cell. If is the version that the cell must
// have now (0: be absent); nil is "any". A key appears at most once in a Write.
type CellOp struct {
	Op   Op
	If   *uint64
	Cell Cell
}

// A Write is all or nothing. ID is the writer's name for it; a repeated Write
// has the same ID and the same content. A shard appears at most once.
type Write struct {
	ID      [16]byte
	Batches []Batch
	Cells   []CellOp
	// TakesAhead says that the writer can stand behind Writes under way: if this one is
	// going to lose against some, it may be refused before they are decided on, with
	// what they put there ([TailError].Ahead).
	TakesAhead bool
	// Latest is for Move, unless it is 0: a commit with a later Time may not be passed.
	Latest int64
	// Beside is what only one kind of store understands, such as entities of the
	// user's in the same database; it happens with the rest. A driver that does
	// not know it refuses the Write. What is wrong with it is ErrStale or
	// ErrBeside.
	Beside []any
}

// Head is a shard with its last revision.
type Head struct {
	Shard    int
	Revision Revision
}

// Log is what a store implements. Every method may be called at any time by
// any number of goroutines. Shards are numbered from 0; a store need not know
// how many there are: a shard without commits has tail 0.
//
// Iterators stop at the first error, which they yield with a zero value. They
// may be dropped at any time; a dropped iterator holds nothing. They end with
// the error of ctx when it is done. In the middle of one the caller may call
// every method, Write and Close too.
//
// Bounds of names (prefix, after, from, to) are compared bytewise. They are
// UTF-8, need not be names, and may end in NUL: name+"\x00" is directly behind
// name.
type Log interface {
	// Write does all of w or nothing. A nil error says that it is durable.
	// *TailError, *CellError: a condition did not hold. ErrUnknown: the outcome
	// is not known and may still change; the caller repeats the identical Write
	// until its place is taken. Every other error, that of ctx too, says that
	// this call wrote nothing and never will; it says nothing about an earlier
	// call with the same Write that was answered with ErrUnknown. A Write that
	// was applied is, when repeated, refused like any other that comes too
	// late: whether the place was taken by itself is for the caller to read.
	// The memory of w is the caller's again when Write returns.
	Write(ctx context.Context, w Write) error

	// Tail returns the last revision of a shard, 0 for an empty one.
	Tail(ctx context.Context, shard int) (Revision, error)

	// Read yields the commits of a shard with revisions in r, in order, without
	// holes, each once. A forward read sees at least what was acknowledged
	// before it began, and it may go on with what is acknowledged meanwhile.
	Read(ctx context.Context, shard int, r Range) iter.Seq2[Commit, error]

	// Find yields the commits that carry key at a position in r, in the order of
	// the positions, each once.
	Find(ctx context.Context, shard int, key string, r Range) iter.Seq2[Commit, error]

	// Keys yields the names in a shard's index that start with prefix and sort
	// after the name `after` (bytewise), in order, each with its last position.
	Keys(ctx context.Context, shard int, prefix, after string) iter.Seq2[Key, error]

	// Cells yields the cells with from ≤ key < to (to empty: no end), in
	// bytewise order, at most limit of them if limit > 0.
	Cells(ctx context.Context, from, to string, limit int) iter.Seq2[Cell, error]

	// Watch yields heads that may have moved, after the movement is durable,
	// until ctx is done or the store is closed. It may repeat and merge, and may
	// lose all but the last of a shard. What a slow caller has not taken yet
	// holds up no Write. A store that cannot know of other writers yields
	// nothing and returns.
	Watch(ctx context.Context) iter.Seq2[Head, error]

	// Exclusive reports whether only this value writes to the store, as with a
	// directory that is locked. Readers in time order then need not wait for
	// other writers' clocks.
	Exclusive() bool

	// Close waits for Writes under way and releases the store. Every later call
	// returns ErrClosed, a second Close too. It does not wait for iterations:
	// those under way end with ErrClosed, if not by themselves.
	Close() error
}

// Wide reports whether a Write over many shards costs the store of d little more than
// one to a single shard, so that writers put what they have into one Write. It is so
// where d is exclusive, and where it has a method Wide that says so.
func Wide(d Log) bool {
	w, ok := d.(interface{ Wide() bool })
	return d.Exclusive() || ok && w.Wide()
}

// A Mover is a Log that can put a Write further back in its shards than it was made
// for, behind commits that its writer did not know. Where several processes write the
// same shards, each would otherwise have to know all that the others have put there
// before it can put anything itself.
type Mover interface {
	Log

	// Move is Write for who does not mind where the commits stand. Each batch is put
	// directly behind the tail of its shard, or behind what is under way there, if every
	// commit that it passes so is remembered, carries none of the names in
	// [Batch].Unless and is not later than w.Latest; otherwise w is refused as by Write.
	// w has commits, and neither Cells nor Beside nor a batch with Behind; its commits
	// have a Time that rises in each batch, and their Data is eventlog's: it begins with a
	// checksum that covers the place, and the time, and Move sets both. A commit keeps its
	// time unless one ahead of it is as late: then it is a nanosecond later than that.
	// What has one time in w still has one, and what is later in w, in whichever shard,
	// still is. A position of a key that is 0 becomes the revision. The memory of w is the
	// store's until Move returns, and it may be changed.
	//
	// moved has the batches that do not stand where w says, or at another time.
	//
	// An error says the same as one of Write, but for ErrUnknown: the outcome is decided
	// by the time of the next call, whatever it is. Read shows the commits then, or they
	// will never be there. So w is not to be repeated: it might happen twice. Only
	// if ctx is done, or the error is ErrClosed too, nothing more is known. An error
	// that wraps errors.ErrUnsupported says that this store cannot move at present; nothing
	// happened.
	Move(ctx context.Context, w Write) (moved []Moved, err error)
}

// Moved says where a batch stands that was moved.
type Moved struct {
	// Passed are the commits that it was put behind, from First on, as in
	// [TailError].News: the batch's own are directly behind these.
	Passed Batch
	Times  []int64 // of the batch's own commits
}

// Limits that hold for every driver, so that what one store takes another
// takes too. A Write beyond them is refused with ErrTooLarge; one of exactly
// that size is taken.
const (
	MaxName       = 1400         // bytes of a key's or cell's name after Escape
	MaxCommit     = 900_000      // bytes of Commit.Data, and of Cell.Value
	MaxCommitKeys = 5_000        // keys of one commit
	MaxWrite      = 3_500 * 1024 // bytes of data, values and names in one Write
	MaxMove       = 256 << 10    // bytes of data and excluded names in one Write that may be moved
	MaxUnless     = 5_000        // excluded names of a batch
)

var (
	// ErrUnknown: whether a Write happened, or still will, is not known.
	ErrUnknown = errors.New("outcome unknown")
	// ErrTooLarge: a limit is exceeded; the error says which and by how much.
	ErrTooLarge = errors.New("too large")
	// ErrDiskFull: the store has no room for writes; reads go on.
	ErrDiskFull = errors.New("disk full")
	// ErrClosed: the store was closed.
	ErrClosed = errors.New("closed")
	// ErrStale: what a Write has Beside rests on something that has changed. The
	// Write did not happen and never will, no earlier call with it either: whoever
	// made it has to make another.
	ErrStale = errors.New("stale")
	// ErrBeside: what a Write has Beside was refused, and would be again.
	ErrBeside = errors.New("refused beside the log")
	// ErrCorrupt: stored bytes are not what was written.
	ErrCorrupt = errors.New("corrupt")
)

// A TailError refuses a Write: the batch for Shard was not directly behind Tail.
// When several conditions do not hold, the error names any one of them.
//
// A store that has it at hand says what the writer did not know, so that it need
// not ask: News has, for any of the shards of the Write, what a Read from the
// refused batch's First would yield now, up to the shard's tail, with keys and time in
// place of the data. It is durable, and nobody changes it: others may be told the same.
// A shard that is not in News may or may not have moved; one that has an entry without
// commits has not. Of other shards it may have what a Read from any First would yield.
//
// A store that decides on one Write behind the other may say too what it has not
// decided on, if the Write takes it: Ahead has, for any of these shards, the commits behind the tail, or
// behind First-1 if that is further, of the Writes under way, in their order. They may
// still fail. Who does not want to wait puts a Batch behind them with
// [Batch].Behind; it is decided on after them, and refused when they fail. An entry
// without commits says that there are none. They have keys and time, and their data too.
//
// Of a batch with Behind that is not behind that Write any more, neither says anything;
// where News has an entry for it, everything before First is durable.
type TailError struct {
	Shard int
	Tail  Revision
	News  []Batch
	Ahead []Flight
}

// A Flight is a batch of a Write that is under way.
type Flight struct {
	Write [16]byte // its name: not its ID, but one that the store gives it
	Batch Batch
}

func (e *TailError) Error() string {
	return fmt.Sprintf("shard %d has tail %d", e.Shard, e.Tail)
}

// A CellError refuses a Write: the cell has another version than the expected one.
type CellError struct {
	Key     string
	Version uint64 // what it has; 0: absent
}

func (e *CellError) Error() string {
	return fmt.Sprintf("cell %q has version %d", e.Key, e.Version)
}

// A CorruptError names the commit whose stored bytes are damaged. It wraps
// ErrCorrupt.
type CorruptError struct {
	Shard    int
	Revision Revision
	Reason   string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("shard %d revision %d: corrupt: %s", e.Shard, e.Revision, e.Reason)
}

func (e *CorruptError) Unwrap() error { return ErrCorrupt }
