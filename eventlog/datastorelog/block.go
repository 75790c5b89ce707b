package datastorelog

import (
	"crypto/rand"
	"errors"
	"fmt"

	"cloud.google.com/go/datastore"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// A block is an entity: commits of one shard that were written together. The
// blocks of a shard are numbered 1, 2, 3 … without gap, and are written once.
type block struct {
	shard   int
	number  uint64
	first   driver.Revision // of its commits; last+1 when it has none
	last    driver.Revision // of the shard, with this block
	mark    mark
	part    bool     // it has keys of commit last, whose data is in a later block
	values  []string // of the index: its place, then its keys, each at its last position
	commits []stored
}

// stored is a commit in a block.
type stored struct {
	data []byte
	keys []ref
}

// A ref is a key of a commit: which of the block's, and at what position.
type ref struct {
	key int // in values
	pos uint64
}

// A mark tells who wrote a block: the Write's ID, and which call of it, the first
// half of which names the process.
type mark struct{ id, call [16]byte }

func newMark(id [16]byte, p process) mark {
	m := mark{id: id}
	copy(m.call[:], p[:])
	_, _ = rand.Read(m.call[len(p):])
	return m
}

func (m *mark) writer() process { return process(m.call[:8]) }

// Limits of a block. The service takes entities of 1 MiB with 20,000 index
// entries, two for each value; an emulator takes 5,000 values.
const (
	maxBlock  = 1_000_000 // bytes, as reckoned by its packer
	maxValues = 4_999     // beside the place
	perBlock  = 200       // bytes of what every block has
	perCommit = 8
	perKey    = 8 // beside the value
	perRef    = 12
)

// The properties of a block.
const (
	propIndex   = "index"   // indexed: values
	propFirst   = "first"   // not indexed, like the rest
	propLast    = "last"    //
	propMark    = "write"   // mark
	propCommits = "commits" // see encode
)

// A packer distributes the commits of a batch over as few blocks as take them.
type packer struct {
	shard  int
	next   uint64 // number of the next block
	mark   mark
	blocks []*block
	at     map[string]int // of the current block: where the values of a key are
	size   int            // of the current block
}

// pack returns the blocks that hold a batch, numbered from `next` on. A batch
// without commits is an empty block: it takes a number and no revision.
func pack(b driver.Batch, next uint64, m mark) []*block {
	p := packer{shard: b.Shard, next: next, mark: m}
	p.begin(b.First)
	for i := range b.Commits {
		p.add(&b.Commits[i])
	}
	for _, b := range p.blocks {
		b.values[0] = placeValue(b.shard, b.last, b.number)
	}
	return p.blocks
}

func (p *packer) begin(first driver.Revision) {
	p.blocks = append(p.blocks, &block{shard: p.shard, number: p.next, first: first, last: first - 1, mark: p.mark, values: make([]string, 1)})
	p.next++
	p.at, p.size = make(map[string]int), perBlock
}

func (p *packer) current() *block { return p.blocks[len(p.blocks)-1] }

// add puts a commit into the current block, or the next, or, where its keys are
// too long for one entity, into several: those that hold only keys come first.
func (p *packer) add(c *driver.Commit) {
	if len(p.current().commits) > 0 && !p.fits(len(c.Data), c.Keys) {
		p.begin(c.Revision)
	}
	keys := c.Keys
	for !p.fits(len(c.Data), keys) && len(keys) > 0 {
		n := p.fitting(keys)
		b := p.current()
		b.commits, b.part, b.last = []stored{{nil, p.refs(keys[:n])}}, true, c.Revision
		keys = keys[n:]
		p.begin(c.Revision)
	}
	b := p.current()
	b.commits = append(b.commits, stored{c.Data, p.refs(keys)})
	b.last = c.Revision
	p.size += perCommit + len(c.Data)
}

// fits reports whether the current block has room for a commit.
func (p *packer) fits(data int, keys []driver.Key) bool {
	size, values := p.size+perCommit+data, len(p.current().values)-1
	for _, k := range keys {
		size += perRef
		if _, ok := p.at[k.Name]; !ok {
			values++
			size += valueSize(k)
		}
	}
	return size <= maxBlock && values <= maxValues
}

// valueSize is what a key takes in the index property, at most.
func valueSize(k driver.Key) int { return driver.EscapedLen(k.Name) + 34 + perKey }

// fitting is how many of the keys, at least one, fit into the current block, which
// is empty.
func (p *packer) fitting(keys []driver.Key) int {
	size := p.size + perCommit
	for i, k := range keys {
		if size += perRef + valueSize(k); size > maxBlock || i == maxValues {
			return max(1, i)
		}
	}
	return len(keys)
}

// refs puts keys into the current block.
func (p *packer) refs(keys []driver.Key) []ref {
	b := p.current()
	refs := make([]ref, len(keys))
	for i, k := range keys {
		at, ok := p.at[k.Name]
		if !ok {
			at = len(b.values)
			b.values = append(b.values, "")
			p.at[k.Name] = at
			p.size += valueSize(k)
		}
		b.values[at] = keyValue(p.shard, k)
		p.size += perRef
		refs[i] = ref{at, k.Pos}
	}
	return refs
}

// Save implements datastore.PropertyLoadSaver.
func (b *block) Save() ([]datastore.Property, error) {
	values := make([]any, len(b.values))
	for i, v := range b.values {
		values[i] = v
	}
	return []datastore.Property{
		{Name: propIndex, Value: values},
		{Name: propFirst, Value: int64(b.first), NoIndex: true},
		{Name: propLast, Value: int64(b.last), NoIndex: true},
		{Name: propMark, Value: append(b.mark.id[:], b.mark.call[:]...), NoIndex: true},
		{Name: propCommits, Value: b.encode(), NoIndex: true},
	}, nil
}

// Load is never called: blocks are read as a rawBlock.
func (b *block) Load([]datastore.Property) error { return errWrongForm }

var errWrongForm = errors.New("datastorelog: blocks are written as block and read as rawBlock")

var (
	_ datastore.PropertyLoadSaver = (*block)(nil)
	_ datastore.PropertyLoadSaver = (*rawBlock)(nil)
)

// A rawBlock is what the store returned; its key comes apart from it.
type rawBlock struct {
	values      []string
	first, last int64
	mark        []byte
	commits     []byte
	problem     error
}

// there reports whether the entity was found.
func (r *rawBlock) there() bool { return r.commits != nil || r.problem != nil || r.values != nil }

// Load implements datastore.PropertyLoadSaver. What is wrong is told later, with
// the block's place.
func (r *rawBlock) Load(props []datastore.Property) error {
	*r = rawBlock{}
	for _, p := range props {
		ok := true
		switch p.Name {
		case propIndex:
			ok = r.loadValues(p.Value)
		case propFirst:
			r.first, ok = p.Value.(int64)
		case propLast:
			r.last, ok = p.Value.(int64)
		case propMark:
			r.mark, ok = p.Value.([]byte)
		case propCommits:
			r.commits, ok = p.Value.([]byte)
		}
		if !ok {
			r.problem = fmt.Errorf("property %s is a %T", p.Name, p.Value)
		}
	}
	return nil
}

func (r *rawBlock) loadValues(value any) bool {
	list, ok := value.([]any)
	if !ok {
		list = []any{value}
	}
	r.values = make([]string, len(list))
	for i, v := range list {
		if r.values[i], ok = v.(string); !ok {
			return false
		}
	}
	return true
}

// Save is never called.
func (r *rawBlock) Save() ([]datastore.Property, error) { return nil, errWrongForm }

// block returns the decoded block; number is that of its key.
func (r *rawBlock) block(shard int, number uint64) (*block, error) {
	b := &block{shard: shard, number: number, first: driver.Revision(r.first), last: driver.Revision(r.last), values: r.values}
	err := r.problem
	if err == nil {
		err = b.decode(r.mark, r.commits)
	}
	if err != nil {
		return nil, &driver.CorruptError{Shard: shard, Revision: max(1, b.first), Reason: fmt.Sprintf("block %d: %v", number, err)}
	}
	return b, nil
}

// size is about what the block takes in memory.
func (b *block) size() int {
	n := perBlock
	for _, c := range b.commits {
		n += perCommit + len(c.data) + perRef*len(c.keys)
	}
	for _, v := range b.values {
		n += len(v) + perKey
	}
	return n
}

// key returns which of the block's values is that of a key with this prefix; 0:
// it has none.
func (b *block) key(prefix string) int {
	for i, v := range b.values[1:] {
		if len(v) > len(prefix) && v[:len(prefix)] == prefix {
			return i + 1
		}
	}
	return 0
}
