package eventlog

// room bounds what stands in the lanes, so that a store which does not answer
// cannot fill the memory with callers who have long gone. Who finds it full waits
// before joining, where leaving leaves nothing behind. It is guarded by Log.mu.
type room struct {
	taken int
	freed chan struct{} // closed when something was given back; nil when nobody waits
}

const (
	roomBytes   = 64 << 20
	memberBytes = 1 << 10 // of a member beside what it writes
)

// full returns nil when there is room, else what is closed when to look again.
func (r *room) full() <-chan struct{} {
	if r.taken < roomBytes {
		return nil
	}
	if r.freed == nil {
		r.freed = make(chan struct{})
	}
	return r.freed
}

func (r *room) take(m *member) { r.taken += m.size + memberBytes }

func (r *room) give(m *member) {
	r.taken -= m.size + memberBytes
	if r.freed != nil && r.taken < roomBytes {
		close(r.freed)
		r.freed = nil
	}
}
