package dsfake

import (
	"math"
	"time"

	pb "cloud.google.com/go/datastore/apiv1/datastorepb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// store holds the versions of all entities. A version is the microsecond of a commit;
// each commit has one of its own, higher than all before it.
type store struct {
	version int64 // the last one
	nodes   map[key]*node
	indexes map[indexName]*index
	dead    []dead // what only snapshots still see, oldest death first
	ids     int64  // the last one that was allocated
	taken   map[int64]bool
}

// node is a key and what was ever under it, as far as a snapshot may ask for it.
type node struct {
	key     key
	history []state // oldest first
}

// state is an entity, or that there is none, from a version on.
type state struct {
	version  int64
	created  int64
	entity   *pb.Entity // nil if deleted; never changed
	postings []posting
	entries  []*entry // in the indexes, of this state
}

// dead is an entry that goes from its index when no snapshot sees it any more.
type dead struct {
	*entry
	of *index
}

func (st *store) init() {
	st.version = time.Now().UnixMicro()
	st.nodes = map[key]*node{}
	st.indexes = map[indexName]*index{}
	st.taken = map[int64]bool{}
}

const (
	latest = math.MaxInt64 - 1 // the snapshot that sees everything
	never  = math.MaxInt64     // when what lives dies
)

// at returns the state of a key in a snapshot, the zero state if there never was one.
func (n *node) at(snapshot int64) state {
	if n != nil {
		for i := len(n.history) - 1; i >= 0; i-- {
			if n.history[i].version <= snapshot {
				return n.history[i]
			}
		}
	}
	return state{}
}

// next takes the version of a commit.
func (st *store) next() int64 {
	st.version = max(st.version+1, time.Now().UnixMicro())
	return st.version
}

// set makes an entity, or nil, the state of a key from a version on, and returns how
// many index entries changed. Snapshots from oldest on stay readable.
func (st *store) set(k key, e *pb.Entity, postings []posting, version, oldest int64) (changed int64) {
	n := st.nodes[k]
	if n == nil {
		n = &node{key: k}
		st.nodes[k] = n
	}
	old := n.at(latest)
	s := state{version: version, created: version, entity: e, postings: postings}
	if e != nil && old.entity != nil {
		s.created = old.created
	}
	s.entries, changed = st.reindex(n, old, s)
	n.history = append(n.history, s)
	for len(n.history) > 1 && n.history[1].version <= oldest {
		n.history = n.history[1:]
	}
	st.sweep(oldest)
	return changed
}

// reindex moves a key's index entries from an old state to a new one.
func (st *store) reindex(n *node, old, s state) (entries []*entry, changed int64) {
	kept := map[indexName]map[string]*entry{}
	for _, e := range old.entries {
		if kept[e.of.name] == nil {
			kept[e.of.name] = map[string]*entry{}
		}
		kept[e.of.name][e.encoded] = e
	}
	add := func(name indexName, encoded string, v *pb.Value) {
		e := kept[name][encoded]
		if e == nil {
			e = &entry{encoded: encoded, node: n, value: v, born: s.version, died: never}
			st.index(name).insert(e)
			if v != nil {
				changed++
			}
		}
		delete(kept[name], encoded)
		entries = append(entries, e)
	}
	if s.entity != nil {
		add(indexName{partition: n.key.partition}, "", nil)
		add(indexName{partition: n.key.partition, kind: kind(s.entity.Key)}, "", nil)
		for _, p := range s.postings {
			add(indexName{n.key.partition, kind(s.entity.Key), p.property}, p.encoded, p.value)
		}
	}
	for _, gone := range kept {
		for _, e := range gone {
			e.died = s.version
			st.dead = append(st.dead, dead{e, e.of})
			if e.value != nil {
				changed++
			}
		}
	}
	return entries, changed
}

// sweep removes what snapshots from oldest on do not see.
func (st *store) sweep(oldest int64) {
	i := 0
	for ; i < len(st.dead) && st.dead[i].died <= oldest; i++ {
		st.dead[i].of.remove(st.dead[i].entry)
	}
	st.dead = st.dead[i:]
}

// allocate returns an id that nobody has.
func (st *store) allocate() int64 {
	for {
		st.ids++
		if !st.taken[st.ids] {
			return st.ids
		}
	}
}

func timestamp(version int64) *timestamppb.Timestamp {
	return timestamppb.New(time.UnixMicro(version))
}

// result is a state as it comes in answers.
func (s state) result() *pb.EntityResult {
	return &pb.EntityResult{Entity: s.entity, Version: s.version, CreateTime: timestamp(s.created), UpdateTime: timestamp(s.version)}
}
