package dsfake

import (
	"bytes"
	"encoding/binary"
	"time"

	pb "cloud.google.com/go/datastore/apiv1/datastorepb"
)

// transactions are those that have begun and are not forgotten.
type transactions struct {
	last     uint64
	open     map[uint64]*tx
	locks    map[resource]map[*tx]bool
	released chan struct{} // closed and made anew when locks are released
}

// tx is a transaction.
type tx struct {
	id          uint64
	database    database
	readOnly    bool
	aborted     bool  // nothing but a rollback is left
	snapshot    int64 // what it reads, once it has read; latest if its locks hold that still
	began, used time.Time
	reads       map[key]bool
	queries     []*plan
	locks       []resource
}

var txMagic = []byte("dsfake")

func (t *transactions) init() {
	t.open = map[uint64]*tx{}
	t.locks = map[resource]map[*tx]bool{}
	t.released = make(chan struct{})
}

func (s *Server) begin(d database, o *pb.TransactionOptions) (*tx, error) {
	if o.GetReadOnly().GetReadTime() != nil {
		return nil, unimplemented("a read time")
	}
	s.txs.last++
	now := time.Now()
	t := &tx{id: s.txs.last, database: d, readOnly: o.GetReadOnly() != nil, began: now, used: now, reads: map[key]bool{}}
	s.txs.open[t.id] = t
	return t, nil
}

// name is how clients call a transaction.
func (t *tx) name() []byte { return binary.BigEndian.AppendUint64(bytes.Clone(txMagic), t.id) }

// find returns the open transaction of a name.
func (s *Server) find(d database, name []byte) (*tx, error) {
	s.expire()
	id, ok := bytes.CutPrefix(name, txMagic)
	if !ok || len(id) != 8 {
		return nil, invalid("Invalid transaction.")
	}
	t := s.txs.open[binary.BigEndian.Uint64(id)]
	if t == nil || t.database != d {
		return nil, invalid("The referenced transaction has expired or is no longer valid.")
	}
	t.used = time.Now()
	return t, nil
}

// usable is find for everything but a rollback.
func (s *Server) usable(d database, name []byte) (*tx, error) {
	t, err := s.find(d, name)
	if err == nil && t.aborted {
		err = invalid("The referenced transaction has expired or is no longer valid.")
	}
	return t, err
}

// expires is when a transaction that is not used until then is gone.
func (s *Server) expires(t *tx) time.Time {
	idle, life := t.used.Add(s.opts.IdleTimeout), t.began.Add(s.opts.LifeTimeout)
	if idle.Before(life) {
		return idle
	}
	return life
}

// expire ends the transactions whose time is over.
func (s *Server) expire() {
	now := time.Now()
	for _, t := range s.txs.open {
		if !now.Before(s.expires(t)) {
			s.end(t)
		}
	}
}

// abort releases what a transaction holds; it can only be rolled back any more.
func (s *Server) abort(t *tx) {
	t.aborted = true
	s.unlock(t)
	t.reads, t.queries, t.snapshot = nil, nil, 0
	s.store.sweep(s.oldest())
}

// end forgets a transaction.
func (s *Server) end(t *tx) {
	s.abort(t)
	delete(s.txs.open, t.id)
}

// oldest is the oldest snapshot that somebody may still read.
func (s *Server) oldest() int64 {
	oldest := int64(latest)
	for _, t := range s.txs.open {
		if t.snapshot != 0 {
			oldest = min(oldest, t.snapshot)
		}
	}
	return oldest
}

// reader says how a request reads: in which snapshot, and in which transaction if any.
type reader struct {
	snapshot int64
	tx       *tx
	begun    []byte // the name of tx if the request began it
}

// reader resolves the read options of a request.
func (s *Server) reader(d database, o *pb.ReadOptions) (reader, error) {
	var t *tx
	var begun []byte
	var err error
	switch c := o.GetConsistencyType().(type) {
	case nil, *pb.ReadOptions_ReadConsistency_:
		return reader{snapshot: latest}, nil
	case *pb.ReadOptions_Transaction:
		t, err = s.usable(d, c.Transaction)
	case *pb.ReadOptions_NewTransaction:
		if t, err = s.begin(d, c.NewTransaction); err == nil {
			begun = t.name()
		}
	default:
		err = unimplemented("a read time")
	}
	if err != nil {
		return reader{}, err
	}
	if t.snapshot == 0 {
		t.snapshot = s.store.version
		if s.locking(t) {
			t.snapshot = latest
		}
	}
	return reader{t.snapshot, t, begun}, nil
}

// locking tells whether a transaction locks what it reads.
func (s *Server) locking(t *tx) bool { return s.opts.Mode == Pessimistic && !t.readOnly }

// version is the version of the database that a reader sees.
func (s *Server) versionOf(r reader) int64 { return min(r.snapshot, s.store.version) }
