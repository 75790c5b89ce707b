package dsfake

import (
	"fmt"

	pb "cloud.google.com/go/datastore/apiv1/datastorepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// write is a mutation that was checked.
type write struct {
	op       op
	key      key
	kind     string
	entity   *pb.Entity // nil for a delete
	postings []posting
	minted   bool // the key's id was allocated for it
}

type op string

const (
	insert op = "insert"
	update op = "update"
	upsert op = "upsert"
	remove op = "delete"
)

func unimplemented(what string) error {
	return status.Errorf(codes.Unimplemented, "dsfake: %s is not implemented", what)
}

// write checks a mutation as far as that needs no look at the data, except that it
// allocates the id of an incomplete key.
func (s *Server) write(d database, m *pb.Mutation) (w write, err error) {
	switch {
	case m.GetConflictDetectionStrategy() != nil:
		return w, unimplemented("a base version")
	case m.GetPropertyMask() != nil:
		return w, unimplemented("a property mask")
	case len(m.GetPropertyTransforms()) > 0:
		return w, unimplemented("a property transform")
	}
	switch o := m.GetOperation().(type) {
	case *pb.Mutation_Insert:
		w.op, w.entity = insert, o.Insert
	case *pb.Mutation_Update:
		w.op, w.entity = update, o.Update
	case *pb.Mutation_Upsert:
		w.op, w.entity = upsert, o.Upsert
	case *pb.Mutation_Delete:
		w.op, w.kind = remove, ""
		if w.key, err = d.completeKey(o.Delete); err == nil {
			w.kind = kind(o.Delete)
		}
		return w, err
	default:
		return w, invalid("A mutation has no operation.")
	}
	return w, s.prepare(d, &w)
}

// prepare checks and encodes the entity of a write.
func (s *Server) prepare(d database, w *write) error {
	w.entity = proto.CloneOf(w.entity)
	k, complete, err := d.key(w.entity.GetKey())
	if err != nil {
		return err
	}
	if !complete {
		if w.op == update {
			return invalid("Key path element must not be incomplete: [%s: ]", kind(w.entity.Key))
		}
		last := w.entity.Key.Path[len(w.entity.Key.Path)-1]
		last.IdType = &pb.Key_PathElement_Id{Id: s.store.allocate()}
		w.minted = true
		if k, _, err = d.key(w.entity.Key); err != nil {
			return err
		}
	}
	w.entity.Key.PartitionId = k.partition.id()
	w.key, w.kind = k, kind(w.entity.Key)
	w.postings, err = d.postings(w.entity)
	return err
}

// sequence refuses what must not follow one another in a commit.
func sequence(writes []write, transactional bool) error {
	before := map[key]op{}
	for _, w := range writes {
		last, again := before[w.key]
		switch {
		case !again:
		case !transactional:
			return invalid("A non-transactional commit may not contain multiple mutations affecting the same entity.")
		case w.op == insert && last != remove, w.op == update && last == remove:
			return invalid("Cannot %s then %s an entity in the same request.", last, w.op)
		}
		before[w.key] = w.op
	}
	return nil
}

// allowed tells whether a write fits to whether there is an entity.
func (w write) allowed(exists bool) error {
	switch {
	case w.op == insert && exists:
		return status.Error(codes.AlreadyExists, fmt.Sprintf("entity already exists: %s", describe(w.entity.Key)))
	case w.op == update && !exists:
		return status.Error(codes.NotFound, fmt.Sprintf("no entity to update: %s", describe(w.entity.Key)))
	}
	return nil
}

// describe shows a key to people.
func describe(k *pb.Key) string {
	s := ""
	for _, e := range k.GetPath() {
		s += "/" + e.Kind + ","
		if e.GetName() != "" {
			s += e.GetName()
		} else {
			s += fmt.Sprint(e.GetId())
		}
	}
	return s
}
